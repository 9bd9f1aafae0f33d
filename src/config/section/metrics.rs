//! `[metrics]`: who may read them where they are served beside the health endpoint.

use super::{
    Section,
    credentials::{SECRET_FILE, read_secret},
};
use crate::config::{
    Secret,
    text::{
        key::{Default, Key, Kind},
        reader::{Reader, Table},
        shape,
        write::Map,
    },
};

pub(in crate::config) const TOKEN: Key = Key::new("metrics.token", Kind::Secret, Default::Unset);
const TOKEN_FILE: Key = Key::text(
    "metrics.token_file",
    SECRET_FILE,
    shape::file_path,
    Default::Unset,
);

/// `[metrics]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metrics {
    /// What `Authorization: Bearer` must bring; `None`: everybody who reaches them may read them.
    pub token: Option<Secret>,
}

impl Section for Metrics {
    const NAME: &'static str = "metrics";
    const KEYS: &'static [Key] = &[TOKEN, TOKEN_FILE];

    fn read_table(reader: &mut Reader<'_>, table: &Table<'_>, _: Option<&Self>) -> Self {
        let keys = const { (&TOKEN, &TOKEN_FILE) };
        let is_given = table.find(keys.0).is_some() || table.find(keys.1).is_some();
        let token = is_given.then(|| read_secret(reader, table, keys)).flatten();
        Self {
            token: token.map(|(token, _)| token),
        }
    }

    fn differing(&self, other: &Self) -> Vec<&'static Key> {
        if self == other {
            Vec::new()
        } else {
            vec![const { &TOKEN }]
        }
    }

    /// Nothing: a secret is written nowhere.
    fn write_table(&self) -> Map {
        Map::new()
    }
}
