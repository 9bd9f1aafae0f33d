//! By what right etcd is spoken to: certificates and a password, as they stand in their files. These are read for each connection, so
//! that what was renewed there is in force without a restart.

use std::{error::Error, io, path::PathBuf, time::Duration};

use etcd_client::{Certificate, ConnectOptions, Identity, TlsOptions};
use tokio::fs;
use tpp::config::Hosts;

use super::EngineError;

/// How long a member may take to accept a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);
/// How long one may be silent before it is asked whether it is there, and may take to answer that.
const KEEP_ALIVE: Duration = Duration::from_secs(2);
/// Codes of gRPC by which etcd says no: the argument (or the password) is wrong, no permission, no room, not in this state, no valid token.
const REFUSALS: [i32; 5] = [3, 7, 8, 9, 16];
/// What of these is not about who asks: its database is full …
const NO_ROOM: i32 = 8;
/// … or users were changed while the question was under way.
const CHANGED_MEANWHILE: &str = "revision of auth store is old";

/// Why a file of `[hosts]` does not say what it should.
#[derive(Debug, thiserror::Error)]
#[error("read {path}")]
pub(crate) struct UnreadableFile {
    path: String,
    #[source]
    source: io::Error,
}

/// The files that say it.
#[derive(Debug, Clone)]
pub(super) struct Access {
    ca_file: Option<PathBuf>,
    identity: Option<(PathBuf, PathBuf)>,
    user: Option<(String, PathBuf)>,
}

impl Access {
    /// As `[hosts]` says.
    pub(super) fn of(hosts: &Hosts) -> Self {
        Self {
            ca_file: hosts.ca_file.clone(),
            identity: hosts.cert_file.clone().zip(hosts.key_file.clone()),
            user: hosts.username.clone().zip(hosts.password_file.clone()),
        }
    }

    /// Whether all files are there to be read.
    ///
    /// # Errors
    /// Which is not.
    pub(super) fn check(&self) -> Result<(), UnreadableFile> {
        let identity = self.identity.iter().flat_map(|(one, two)| [one, two]);
        let password = self.user.iter().map(|(_, file)| file);
        for file in self.ca_file.iter().chain(identity).chain(password) {
            std::fs::File::open(file).map_err(|source| unreadable(file, source))?;
        }
        Ok(())
    }

    /// For a connection to `endpoint`, with what stands in the files now.
    ///
    /// # Errors
    /// Which cannot be read.
    pub(super) async fn options(&self, endpoint: &str) -> Result<ConnectOptions, UnreadableFile> {
        let mut options = ConnectOptions::new()
            .with_connect_timeout(CONNECT_LIMIT)
            .with_keep_alive(KEEP_ALIVE, KEEP_ALIVE)
            .with_keep_alive_while_idle(true)
            .with_require_leader(true)
            .with_auto_token_refresh(true);
        if endpoint.starts_with("https://") {
            options = options.with_tls(self.tls().await?);
        }
        if let Some((user, file)) = &self.user {
            let text = read(file).await?;
            let text = String::from_utf8_lossy(&text);
            options = options.with_user(user, text.lines().next().unwrap_or_default());
        }
        Ok(options)
    }

    /// What is said of a connection that broke off. A member that wants a certificate may close before its word for that arrives.
    pub(super) fn explained(&self, endpoint: &str, why: String) -> String {
        let says_nothing = !["ertificate", "refused"]
            .iter()
            .any(|word| why.contains(word));
        if says_nothing && self.identity.is_none() && endpoint.starts_with("https://") {
            format!("{why}; this host shows no certificate (hosts.cert_file)")
        } else {
            why
        }
    }

    async fn tls(&self) -> Result<TlsOptions, UnreadableFile> {
        let mut tls = TlsOptions::new();
        tls = match &self.ca_file {
            Some(file) => tls.ca_certificate(Certificate::from_pem(read(file).await?)),
            None => tls.with_native_roots(),
        };
        if let Some((certificate, key)) = &self.identity {
            tls = tls.identity(Identity::from_pem(
                read(certificate).await?,
                read(key).await?,
            ));
        }
        Ok(tls)
    }
}

async fn read(path: &PathBuf) -> Result<zeroize::Zeroizing<Vec<u8>>, UnreadableFile> {
    let read = fs::read(path).await;
    read.map(Into::into)
        .map_err(|source| unreadable(path, source))
}

fn unreadable(path: &std::path::Path, source: io::Error) -> UnreadableFile {
    UnreadableFile {
        path: path.display().to_string(),
        source,
    }
}

impl From<UnreadableFile> for EngineError {
    fn from(error: UnreadableFile) -> Self {
        Self::Said(with_causes(&error.to_string(), &error))
    }
}

impl From<etcd_client::Error> for EngineError {
    fn from(error: etcd_client::Error) -> Self {
        match &error {
            etcd_client::Error::GRpcStatus(status) => {
                let code = i32::from(status.code());
                let why = with_causes(status.message(), status);
                if code == NO_ROOM {
                    Self::Refused(why)
                } else if REFUSALS.contains(&code) && !why.contains(CHANGED_MEANWHILE) {
                    Self::NotAllowed(why)
                } else {
                    Self::Said(why)
                }
            }
            etcd_client::Error::TransportError(error) => {
                Self::Said(with_causes(&error.to_string(), error))
            }
            other => Self::Said(other.to_string()),
        }
    }
}

/// `what`, and what is behind it: of a handshake that failed the last of them says why.
fn with_causes(what: &str, error: &dyn Error) -> String {
    let mut said = what.to_owned();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !said.contains(&more) {
            said = format!("{said}: {more}");
        }
        cause = error.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_shows_no_certificate_is_told_so_where_that_may_be_why() {
        let mut access = Access {
            ca_file: None,
            identity: None,
            user: None,
        };
        let said = |access: &Access, endpoint, why: &str| access.explained(endpoint, why.into());
        let broken = said(&access, "https://a:1", "broken pipe");
        assert!(broken.contains("hosts.cert_file"), "{broken}");
        for (endpoint, why) in [
            ("http://a:1", "broken pipe"),
            ("https://a:1", "connection refused"),
        ] {
            assert_eq!(said(&access, endpoint, why), why);
        }
        access.identity = Some(("a".into(), "b".into()));
        assert_eq!(said(&access, "https://a:1", "broken pipe"), "broken pipe");
    }

    #[test]
    fn what_is_behind_an_error_is_said_and_nothing_twice() {
        let file = unreadable("/a".as_ref(), io::Error::other("no such thing"));
        assert_eq!(with_causes("read /a", &file), "read /a: no such thing");
        let io = io::Error::other(file);
        assert_eq!(with_causes("read /a", &io), "read /a: no such thing");
    }
}
