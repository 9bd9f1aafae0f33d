//! The overlay in a file: there whole or not at all, whenever the machine stops.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::system::keeping::keep;

/// In `state_directory`.
const NAME: &str = "gateway.json";
const FORMAT: u32 = 1;

/// What stands in the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Saved {
    format: u32,
    /// Changes made so far.
    pub(crate) revision: u64,
    pub(crate) backends: Vec<SavedChange>,
    pub(crate) domains: Vec<SavedChange>,
    /// What could not be used when it was last read, and is kept for people.
    #[serde(default)]
    pub(crate) rejected: Vec<Rejected>,
    /// Pools that are paused; `None`: nobody has said of any whether it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) paused: Option<BTreeSet<String>>,
}

/// One entry that was changed, with the keys of the configuration file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedChange {
    /// The whole entry.
    pub entry: Value,
    /// The file's own, which it overrides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<Value>,
}

/// A change that is not in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rejected {
    /// What it is of.
    pub kind: String,
    /// The change.
    pub change: SavedChange,
    /// Why.
    pub reason: String,
}

impl Saved {
    pub(crate) fn new(
        revision: u64,
        backends: Vec<SavedChange>,
        domains: Vec<SavedChange>,
        rejected: Vec<Rejected>,
    ) -> Self {
        Self {
            format: FORMAT,
            revision,
            backends,
            domains,
            rejected,
            paused: None,
        }
    }

    /// The same with these pools paused.
    pub(crate) fn with_paused(self, paused: Option<BTreeSet<String>>) -> Self {
        Self { paused, ..self }
    }
}

/// Where the overlay is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Store {
    directory: PathBuf,
}

/// Why nothing is known of what was kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is not what tpp wrote ({what}); it is kept as {}", path.display(), kept.display())]
    Foreign {
        path: PathBuf,
        what: String,
        kept: PathBuf,
    },
}

impl Store {
    /// In `directory`, which need not be there yet.
    pub(crate) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
        }
    }

    /// The file, for people.
    pub(crate) fn shown(&self) -> String {
        self.path().display().to_string()
    }

    fn path(&self) -> PathBuf {
        self.directory.join(NAME)
    }

    /// What was kept; `None`: nothing.
    ///
    /// # Errors
    /// If it cannot be read. What is no overlay is put aside, for people to look at.
    pub(crate) fn load(&self) -> Result<Option<Saved>, LoadError> {
        let path = self.path();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(LoadError::Read { path, source }),
        };
        let what = match serde_json::from_slice::<Saved>(&text) {
            Ok(saved) if saved.format == FORMAT => return Ok(Some(saved)),
            Ok(saved) => format!("format {}", saved.format),
            Err(error) => error.to_string(),
        };
        let kept = self.directory.join(format!("{NAME}.rejected"));
        // If even that fails it stays where it is until the next change.
        let _ = fs::rename(&path, &kept);
        Err(LoadError::Foreign { path, what, kept })
    }

    /// Keeps `saved`: when this returns it is there, whatever happens.
    ///
    /// # Errors
    /// If it cannot be written; then what was kept before is.
    pub(crate) fn save(&self, saved: &Saved) -> io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        let mut text = serde_json::to_vec_pretty(saved)?;
        text.push(b'\n');
        keep(&self.directory, NAME, &text)
    }
}

#[cfg(test)]
mod killed;
#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    pub(super) fn saved(revision: u64) -> Saved {
        let change = SavedChange {
            entry: json!({"id": "a"}),
            declared: None,
        };
        Saved::new(revision, vec![change], Vec::new(), Vec::new())
    }

    #[test]
    fn what_is_kept_is_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(&directory.path().join("state"));
        assert_eq!(store.load().unwrap(), None);
        for revision in 1..=2 {
            store.save(&saved(revision)).unwrap();
            assert_eq!(store.load().unwrap(), Some(saved(revision)));
        }
    }

    #[test]
    fn half_a_file_beside_it_does_not_matter() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path());
        store.save(&saved(1)).unwrap();
        fs::write(directory.path().join("gateway.json.new"), b"{\"form").unwrap();
        assert_eq!(store.load().unwrap(), Some(saved(1)));
        store.save(&saved(2)).unwrap();
        assert_eq!(store.load().unwrap(), Some(saved(2)));
    }

    #[test]
    fn what_tpp_did_not_write_is_put_aside() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path());
        for strange in [
            "",
            "{}",
            "{\"format\":2,\"revision\":1,\"backends\":[],\"domains\":[]}",
        ] {
            fs::write(directory.path().join(NAME), strange).unwrap();
            assert!(matches!(store.load(), Err(LoadError::Foreign { .. })));
            let kept = fs::read_to_string(directory.path().join("gateway.json.rejected"));
            assert_eq!(kept.unwrap(), strange);
            assert_eq!(store.load().unwrap(), None);
        }
    }
}
