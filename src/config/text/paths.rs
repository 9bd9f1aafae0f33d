//! Where a path in the configuration leads.

use std::path::{Path, PathBuf};

use super::vars::Vars;

/// Set by systemd for a unit with `LoadCredential=`: a directory that the service alone may read.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// Set by systemd for a unit with `StateDirectory=`: directories of the service, with colons between.
const STATE_DIRECTORY: &str = "STATE_DIRECTORY";

/// What relative paths are relative to.
pub(in crate::config) struct Paths<'a> {
    base: &'a Path,
    credentials: Option<PathBuf>,
    state: Option<PathBuf>,
}

impl<'a> Paths<'a> {
    pub(in crate::config) fn new(base: &'a Path, vars: &dyn Vars) -> Self {
        let set = |name| vars.var(name).filter(|value| !value.is_empty());
        let state = set(STATE_DIRECTORY).and_then(|list| {
            let first = std::env::split_paths(&list).next();
            first.filter(|path| path.is_absolute())
        });
        Self {
            base,
            credentials: set(CREDENTIALS_DIRECTORY).map(PathBuf::from),
            state,
        }
    }

    /// The directory that systemd keeps for the service's state.
    pub(in crate::config) fn state(&self) -> Option<&Path> {
        self.state.as_deref()
    }

    /// Relative to the directory of the configuration file.
    pub(in crate::config) fn resolve(&self, text: &str) -> PathBuf {
        self.base.join(text)
    }

    /// The same for a file with passwords, which may also be one of systemd's credentials: a relative path that
    /// exists there, or one that begins with `$CREDENTIALS_DIRECTORY/`. Of a directory that a unit loads, systemd
    /// makes flat names: `credentials/user1` is looked for as `credentials_user1`.
    pub(in crate::config) fn resolve_secret(&self, text: &str) -> PathBuf {
        let Some(directory) = &self.credentials else {
            return self.resolve(text);
        };
        let rest = text.strip_prefix("$CREDENTIALS_DIRECTORY/");
        if let Some(rest) = rest.or_else(|| text.strip_prefix("${CREDENTIALS_DIRECTORY}/")) {
            return directory.join(rest);
        }
        let passed = directory.join(text.replace('/', "_"));
        if Path::new(text).is_relative() && passed.exists() {
            passed
        } else {
            self.resolve(text)
        }
    }
}
