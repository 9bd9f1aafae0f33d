//! Certificates with their keys, accounts, and what came of tries, in `acme` in the state directory: a file each, for our own user alone.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use instant_acme::AccountCredentials;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tracing::error;
use zeroize::Zeroizing;

use super::{
    record::{Held, Record},
    schedule::{Trouble, Window},
};
use crate::system::keeping::keep;

const FORMAT: u32 = 1;

/// Where all of it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Store {
    certificates: PathBuf,
    accounts: PathBuf,
}

/// The file of a host.
#[derive(Serialize, Deserialize)]
struct Saved {
    format: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held: Option<SavedHeld>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    window: Option<Window>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trouble: Option<Trouble>,
}

#[derive(Serialize, Deserialize)]
struct SavedHeld {
    authority: String,
    chain: String,
    #[serde(with = "wiped")]
    key: Zeroizing<String>,
}

/// An account at an authority.
#[derive(Serialize, Deserialize)]
pub(super) struct SavedAccount {
    format: u32,
    authority: String,
    /// Where the authority writes to, as it knows it.
    pub(super) email: Option<String>,
    pub(super) credentials: AccountCredentials,
}

impl SavedAccount {
    pub(super) fn new(
        authority: &str,
        email: Option<&str>,
        credentials: AccountCredentials,
    ) -> Self {
        Self {
            format: FORMAT,
            authority: authority.to_owned(),
            email: email.map(str::to_owned),
            credentials,
        }
    }
}

impl Store {
    /// In `state_directory`, which need not be there yet.
    pub(super) fn new(state_directory: &Path) -> Self {
        let directory = state_directory.join("acme");
        Self {
            certificates: directory.join("certificates"),
            accounts: directory.join("accounts"),
        }
    }

    /// What is known of `host`. What cannot be read is told of in the log, and is as nothing.
    pub(super) fn load(&self, host: &str) -> Record {
        let saved = read(&self.certificates, &file_of(host), |saved: &Saved| {
            saved.format
        });
        let Some(saved) = saved else {
            return Record::default();
        };
        let held = saved.held.and_then(
            |SavedHeld {
                 authority,
                 chain,
                 key,
             }| {
                let held = Held::of(&authority, host, (chain, key));
                held.map_err(|reason| error!(host, reason, "a kept certificate cannot be used"))
                    .ok()
            },
        );
        Record {
            held,
            window: saved.window,
            trouble: saved.trouble,
        }
    }

    /// Keeps what is known of `host`: when this returns it is there, whatever happens.
    ///
    /// # Errors
    /// One line that says why it cannot.
    pub(super) fn save(&self, host: &str, record: &Record) -> Result<(), String> {
        let held = record.held.as_ref().map(|held| SavedHeld {
            authority: held.authority.clone(),
            chain: held.chain.clone(),
            key: held.key.clone(),
        });
        let saved = Saved {
            format: FORMAT,
            held,
            window: record.window.clone(),
            trouble: record.trouble.clone(),
        };
        write(&self.certificates, &file_of(host), &saved)
    }

    /// Our account at `authority`, if there is one.
    pub(super) fn account(&self, authority: &str) -> Option<SavedAccount> {
        let name = account_file(authority);
        let saved = read(&self.accounts, &name, |saved: &SavedAccount| saved.format);
        saved.filter(|saved| saved.authority == authority)
    }

    /// # Errors
    /// One line that says why it cannot be kept.
    pub(super) fn keep_account(&self, account: &SavedAccount) -> Result<(), String> {
        write(&self.accounts, &account_file(&account.authority), account)
    }

    /// The authority knows the account no more. It stays beside for people.
    pub(super) fn forget_account(&self, authority: &str) {
        set_aside(&self.accounts.join(account_file(authority)), "gone");
    }
}

fn file_of(host: &str) -> String {
    format!("{host}.json")
}

/// A name that people recognize. Two directories that have the same one have their accounts in turn.
fn account_file(authority: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = authority.chars().map(plain).take(200).collect();
    format!("{name}.json")
}

/// What stands in a file; `None`: there is none, or none that tpp wrote, and then it is put aside.
fn read<T: DeserializeOwned>(
    directory: &Path,
    name: &str,
    format: impl Fn(&T) -> u32,
) -> Option<T> {
    let path = directory.join(name);
    let text = match fs::read(&path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            error!(path = %path.display(), %error, "what was kept cannot be read");
            return None;
        }
    };
    let what = match serde_json::from_slice(&text) {
        Ok(saved) if format(&saved) == FORMAT => return Some(saved),
        Ok(saved) => format!("format {}", format(&saved)),
        // Only where it is: a message of the parser may have part of the text in it.
        Err(error) => format!("line {}, column {}", error.line(), error.column()),
    };
    error!(path = %path.display(), what, "what was kept is not what tpp wrote: it is put aside");
    set_aside(&path, "rejected");
    None
}

fn set_aside(path: &Path, ending: &str) {
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".{ending}"));
    // If even that fails it stays where it is until the next one is kept.
    let _ = fs::rename(path, aside);
}

fn write(directory: &Path, name: &str, what: &impl Serialize) -> Result<(), String> {
    let text = serde_json::to_vec_pretty(what).map_err(|error| error.to_string())?;
    let text = Zeroizing::new(text);
    let mut builder = DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(directory);
    let kept = made.and_then(|()| keep(directory, name, &text));
    kept.map_err(|error| format!("write {}: {error}", directory.join(name).display()))
}

/// Text that is wiped when it is dropped.
mod wiped {
    use serde::{Deserialize, Deserializer, Serializer};
    use zeroize::Zeroizing;

    pub(super) fn serialize<S: Serializer>(
        text: &Zeroizing<String>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(text)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(
        from: D,
    ) -> Result<Zeroizing<String>, D::Error> {
        String::deserialize(from).map(Zeroizing::new)
    }
}

#[cfg(test)]
mod tests;
