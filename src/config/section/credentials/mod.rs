//! The accounts: `[[credentials]]`, the lines of `credentials_file`, and the predecessor's `credential`.

use std::{collections::BTreeMap, path::PathBuf};

use crate::config::{
    Secret,
    text::{
        key::{Default, Key, Kind},
        problem::{Place, Problem},
        reader::{Reader, Table},
        shape,
    },
};

pub(in crate::config) mod account;
mod lines;
mod list;
mod password;
pub(in crate::config) mod predecessor;

/// Most sessions (slots) over all credentials.
pub const MAX_SESSIONS: usize = 16_384;

/// The list of accounts.
pub(in crate::config) const LIST: &str = "credentials";

pub(in crate::config) use password::open_to_all;
pub(super) use {account::SECRET_FILE, password::read as read_secret};

const CREDENTIALS_FILE: Key = Key::text(
    "credentials_file",
    "the path of a file of user:password lines",
    shape::file_path,
    Default::Unset,
);
const USERNAME: Key = Key::text(
    "credentials.username",
    "text of 1 to 256 bytes without control characters",
    shape::user_name,
    Default::Required,
);
const PASSWORD: Key = Key::new("credentials.password", Kind::Secret, Default::Unset);
const PASSWORD_FILE: Key = Key::text(
    "credentials.password_file",
    "the path of a file that holds the password",
    shape::file_path,
    Default::Unset,
);
const SESSIONS: Key = Key::number("credentials.sessions", (1, MAX_SESSIONS as u64), 1);

/// The key at the top of the file.
pub(in crate::config) const FILE_KEYS: &[Key] = &[CREDENTIALS_FILE];
/// The keys of each account.
pub(in crate::config) const KEYS: &[Key] = &[USERNAME, PASSWORD, PASSWORD_FILE, SESSIONS];

/// An account and how many sessions (slots) to draw from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// What tells it from the others of its pool: the user name; with other providers `client_id`, `app_id`, or a name
    /// made of the key's fingerprint.
    pub username: String,
    /// Its password; with other providers `client_secret`, `app_secret` or the key.
    pub password: Secret,
    /// How many slots it fills.
    pub sessions: usize,
    /// What else its provider is told, by key: `scope`, `audience`; `tenant_key`, and `kind` and `app_type` where they
    /// are given; with provider `json` any field.
    pub extra: BTreeMap<String, Secret>,
    /// Where the password was read, if it has a file.
    pub file: Option<PathBuf>,
}

impl Credential {
    /// An account of a user name and a password.
    #[must_use]
    pub fn new(username: &str, password: &str, sessions: usize) -> Self {
        Self {
            username: username.to_owned(),
            password: Secret::new(password.to_owned()),
            sessions,
            extra: BTreeMap::new(),
            file: None,
        }
    }

    /// What `extra` has under `name`.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.extra.get(name).map(Secret::expose)
    }
}

/// Reads all accounts. `token` is the section in which the predecessor kept its number of sessions.
pub(in crate::config) fn read(
    reader: &mut Reader<'_>,
    top: &Table<'_>,
    token: &Table<'_>,
) -> Accounts {
    let mut accounts = Accounts::default();
    predecessor::read(reader, top, token, &mut accounts);
    list::read(reader, top, &mut accounts);
    lines::read(reader, top, &mut accounts);
    accounts.note_total(reader);
    accounts
}

/// What has been read so far.
#[derive(Default)]
pub(in crate::config) struct Accounts {
    pub(in crate::config) list: Vec<Credential>,
    /// Where each user name was met first.
    first: BTreeMap<String, Place>,
    /// Whether there was an account at all, sound or not.
    any: bool,
    /// Whether a password stands in the main file.
    pub(in crate::config) inline_passwords: bool,
}

impl Accounts {
    /// Takes an account in, unless its user has one already.
    fn admit(
        &mut self,
        reader: &mut Reader<'_>,
        place: Place,
        key: String,
        credential: Credential,
    ) {
        if let Some(first) = self.first.get(&credential.username) {
            let found = format!("{:?} again (first in {first})", credential.username);
            let allowed = "each user name once; sessions sets how many tokens it draws".to_owned();
            reader.problems.push(Problem {
                place,
                key,
                found,
                allowed,
            });
            return;
        }
        self.first.insert(credential.username.clone(), place);
        self.list.push(credential);
    }

    fn note_total(&self, reader: &mut Reader<'_>) {
        let counts = self.list.iter().map(|one| one.sessions);
        let total = counts.fold(0, usize::saturating_add);
        if !self.any && !reader.gateway {
            let allowed = "at least one account, in [[credentials]] or credentials_file";
            reader.note(None, LIST, "nothing", allowed);
        } else if total > MAX_SESSIONS {
            let allowed = format!("at most {MAX_SESSIONS} sessions in all");
            let found = format!("{total} sessions in all");
            reader.note(None, LIST, found, allowed);
        }
    }
}
