//! `[[pools.credentials]]`: accounts of any provider.

use std::collections::BTreeMap;

use ring::digest;

use super::{Credential, MAX_SESSIONS, PASSWORD, PASSWORD_FILE, SESSIONS, USERNAME, password};
use crate::config::{
    Secret,
    section::{provider::Provider, tables},
    text::{
        key::{Default, Key, Kind},
        reader::{Reader, Table},
        shape,
        tree::Value,
        unknown,
        values::Read,
        write::Map,
    },
};

const CLIENT_ID: Key = text("pools.credentials.client_id", TEXT, Default::Required);
const CLIENT_SECRET: Key = Key::new(
    "pools.credentials.client_secret",
    Kind::Secret,
    Default::Unset,
);
const CLIENT_SECRET_FILE: Key = file("pools.credentials.client_secret_file", SECRET_FILE);
const SCOPE: Key = text("pools.credentials.scope", TEXT, Default::Unset);
const AUDIENCE: Key = text("pools.credentials.audience", TEXT, Default::Unset);
const APP_ID: Key = text("pools.credentials.app_id", TEXT, Default::Required);
const APP_SECRET: Key = Key::new("pools.credentials.app_secret", Kind::Secret, Default::Unset);
const APP_SECRET_FILE: Key = file("pools.credentials.app_secret_file", SECRET_FILE);
const TENANT_KEY: Key = text("pools.credentials.tenant_key", TEXT, Default::Unset);
const KIND: Key = word("pools.credentials.kind", &["tenant", "app"]);
const APP_TYPE: Key = word("pools.credentials.app_type", &["internal", "marketplace"]);
const KEY: Key = Key::new("pools.credentials.key", Kind::Secret, Default::Unset);
const KEY_FILE: Key = file("pools.credentials.key_file", SECRET_FILE);
const KEYS_FILE: Key = file(
    "pools.credentials.keys_file",
    "the path of a file with a key in each line",
);

/// Those that `[[credentials]]` does not have.
pub(in crate::config) const KEYS: &[Key] = &[
    CLIENT_ID,
    CLIENT_SECRET,
    CLIENT_SECRET_FILE,
    SCOPE,
    AUDIENCE,
    APP_ID,
    APP_SECRET,
    APP_SECRET_FILE,
    TENANT_KEY,
    KIND,
    APP_TYPE,
    KEY,
    KEY_FILE,
    KEYS_FILE,
];

const TEXT: &str = "text of 1 to 256 bytes without control characters";
pub(in crate::config::section) const SECRET_FILE: &str = "the path of a file that holds it";

const fn text(path: &'static str, allowed: &'static str, default: Default) -> Key {
    Key::text(path, allowed, shape::user_name, default)
}

const fn file(path: &'static str, allowed: &'static str) -> Key {
    Key::text(path, allowed, shape::file_path, Default::Unset)
}

const fn word(path: &'static str, words: &'static [&'static str]) -> Key {
    Key::new(path, Kind::Choice(words), Default::Unset)
}

/// What an account of a provider consists of.
struct Shape {
    name: &'static Key,
    secret: password::Keys,
    extra: &'static [Key],
}

impl Shape {
    /// `None`: it is a key and nothing else.
    fn of(provider: Provider) -> Option<Self> {
        let shape = match provider {
            Provider::DolphinDb | Provider::Json => Self {
                name: const { &USERNAME },
                secret: const { (&PASSWORD, &PASSWORD_FILE) },
                extra: &[],
            },
            Provider::OAuth2 => Self {
                name: const { &CLIENT_ID },
                secret: const { (&CLIENT_SECRET, &CLIENT_SECRET_FILE) },
                extra: const { &[SCOPE, AUDIENCE] },
            },
            Provider::Feishu => Self {
                name: const { &APP_ID },
                secret: const { (&APP_SECRET, &APP_SECRET_FILE) },
                extra: const { &[TENANT_KEY, KIND, APP_TYPE] },
            },
            Provider::Static => return None,
        };
        Some(shape)
    }

    fn names(&self) -> Vec<&'static str> {
        let keys = [self.name, self.secret.0, self.secret.1, const { &SESSIONS }];
        keys.into_iter().chain(self.extra).map(Key::leaf).collect()
    }
}

/// The accounts in the list under `key`, each name once.
pub(in crate::config) fn read_all(
    reader: &mut Reader<'_>,
    pool: &Table<'_>,
    key: &Key,
    provider: Provider,
) -> Vec<Credential> {
    let mut accounts: Vec<Credential> = Vec::new();
    for table in tables(reader, pool, key.leaf()) {
        let read = match Shape::of(provider) {
            Some(shape) => account(reader, &table, provider, &shape)
                .into_iter()
                .collect(),
            None => keys(reader, &table),
        };
        for account in read {
            if accounts.iter().any(|one| one.username == account.username) {
                let found = format!("{:?} again", account.username);
                reader.note(
                    table.origin,
                    &table.name,
                    found,
                    "each account once in a pool",
                );
            } else {
                accounts.push(account);
            }
        }
    }
    accounts
}

fn account(
    reader: &mut Reader<'_>,
    table: &Table<'_>,
    provider: Provider,
    shape: &Shape,
) -> Option<Credential> {
    let names = shape.names();
    let mut extra = BTreeMap::new();
    if provider == Provider::Json {
        fields(reader, table, &names, &mut extra);
    } else {
        unknown::note(reader, table, &names);
    }
    for key in shape.extra {
        if let Some(text) = reader.text(table, key) {
            extra.insert(key.leaf().to_owned(), Secret::new(text.to_owned()));
        }
    }
    let username = reader.text(table, shape.name);
    let secret = password::read(reader, table, shape.secret);
    let sessions = usize::read(reader, table, &SESSIONS);
    let ((password, file), username) = (secret?, username?);
    Some(Credential {
        username: username.to_owned(),
        password,
        sessions,
        extra,
        file,
    })
}

/// Fields of any name, which a login's body may refer to.
fn fields(
    reader: &mut Reader<'_>,
    table: &Table<'_>,
    known: &[&str],
    extra: &mut BTreeMap<String, Secret>,
) {
    let others = table.entries.iter();
    for entry in others.filter(|entry| !known.contains(&entry.name.as_str())) {
        let text = match &entry.node.value {
            Value::Null => continue,
            Value::Text(text) if shape::name(&entry.name) => text.to_string(),
            Value::Whole(number) if shape::name(&entry.name) => number.to_string(),
            other => {
                let key = table.dotted(&crate::config::text::tree::shown_key(&entry.name));
                let allowed = "a text, under a name of letters, digits and any of . _ -";
                reader.note(Some(entry.node.origin), &key, other.kind(), allowed);
                continue;
            }
        };
        extra.insert(entry.name.clone(), Secret::new(text));
    }
}

/// The key, or the keys of a file, each an account of its own.
fn keys(reader: &mut Reader<'_>, table: &Table<'_>) -> Vec<Credential> {
    let known = [&KEY, &KEY_FILE, &KEYS_FILE, &SESSIONS].map(Key::leaf);
    unknown::note(reader, table, &known);
    let sessions = usize::read(reader, table, &SESSIONS);
    let credential = |key: &str, file| Credential {
        file,
        ..Credential::new(&fingerprint(key), key, sessions)
    };
    let Some(node) = table.find(&KEYS_FILE) else {
        let secret = password::read(reader, table, const { (&KEY, &KEY_FILE) });
        let secret = secret.into_iter();
        return secret
            .map(|(key, file)| credential(key.expose(), file))
            .collect();
    };
    if table.find(&KEY).or(table.find(&KEY_FILE)).is_some() {
        let found = "keys_file and another key";
        reader.note(
            table.origin,
            &table.name,
            found,
            "one of key, key_file, keys_file",
        );
    }
    let Some(text) = reader.text(table, &KEYS_FILE) else {
        return Vec::new();
    };
    let path = reader.paths.resolve_secret(text);
    let reason = match reader.files.read(&path) {
        Ok(content) => {
            let text = content.text.trim_start_matches('\u{feff}');
            let lines = text.lines().map(str::trim);
            let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
            let keys: Vec<_> = lines
                .map(|key| credential(key, Some(path.clone())))
                .collect();
            let nothing = std::iter::empty();
            password::warn_of(reader, &path.display().to_string(), &content, nothing);
            if !keys.is_empty() {
                return keys;
            }
            "no key".to_owned()
        }
        Err(reason) => reason,
    };
    let (found, allowed) = (format!("{path:?} ({reason})"), KEYS_FILE.kind.allowed());
    reader.note(
        Some(node.origin),
        &table.dotted(KEYS_FILE.leaf()),
        found,
        allowed,
    );
    Vec::new()
}

/// A name for a key, which tells nothing of it that could be used.
fn fingerprint(key: &str) -> String {
    let hash = digest::digest(&digest::SHA256, key.as_bytes());
    let bytes = hash.as_ref().iter().take(4);
    "key-".to_owned() + &bytes.map(|byte| format!("{byte:02x}")).collect::<String>()
}

/// What a file says of these accounts, but for what is secret.
pub(in crate::config) fn write_all(
    accounts: &[Credential],
    provider: Provider,
) -> Vec<serde_json::Value> {
    let shape = Shape::of(provider);
    let mut tables: Vec<Map> = Vec::new();
    for account in accounts {
        let mut map = Map::new();
        match &shape {
            Some(shape) => {
                map.insert(
                    shape.name.leaf().to_owned(),
                    account.username.as_str().into(),
                );
                write_file(account, shape.secret.1, &mut map);
                let shown = shape.extra.iter().map(Key::leaf);
                let shown = shown.filter_map(|name| Some((name.to_owned(), account.field(name)?)));
                map.extend(shown.map(|(name, text)| (name, text.into())));
            }
            None => write_file(account, &KEYS_FILE, &mut map),
        }
        map.insert(SESSIONS.leaf().to_owned(), account.sessions.into());
        // The keys of one file stand in one table.
        if shape.is_some() || account.file.is_none() || !tables.contains(&map) {
            tables.push(map);
        }
    }
    tables.into_iter().map(Into::into).collect()
}

fn write_file(account: &Credential, key: &Key, map: &mut Map) {
    if let Some(file) = &account.file {
        map.insert(key.leaf().to_owned(), file.to_string_lossy().into());
    }
}

/// Notes that all pools together have more sessions than can be.
pub(in crate::config) fn note_total<'c>(
    reader: &mut Reader<'_>,
    accounts: impl Iterator<Item = &'c Credential>,
) {
    let total = accounts
        .map(|one| one.sessions)
        .fold(0, usize::saturating_add);
    if total > MAX_SESSIONS {
        let found = format!("{total} sessions in all");
        let allowed = format!("at most {MAX_SESSIONS} sessions in all");
        reader.note(None, "pools", found, allowed);
    }
}
