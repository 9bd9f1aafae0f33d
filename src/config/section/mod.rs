//! One file a section: its type, its keys, what is checked beyond a single key, and what differs.
//!
//! A key stands in one place: a line of its section's type gives field, type, name, bounds and default, and of that
//! line are made the checker, the defaults, the comparison and the manual. A test holds `tpp.toml` to it.

use std::{collections::BTreeMap, path::Path};

use super::text::{
    file::Files,
    key::Key,
    notation::Format,
    paths::Paths,
    reader::{Overrides, Reader, Table},
    tree::Value,
    unknown,
};

pub(super) mod client;
pub(super) mod credentials;
pub(super) mod lease;
pub(super) mod listen;
pub(super) mod telemetry;
pub(super) mod token;
pub(super) mod upstream;
pub(super) mod workers;

use self::{
    client::Client, lease::Lease, telemetry::Telemetry, token::Token, upstream::Upstream,
    workers::Workers,
};

/// A year, in seconds: no time in a file is longer.
const YEAR: u64 = 365 * 24 * 3600;

/// A table of the file whose keys are all known.
pub(super) trait Section: Sized {
    /// Its name in the file.
    const NAME: &'static str;
    /// Its keys, in the order of `tpp.toml`.
    const KEYS: &'static [Key];

    /// What stands in `table`; what is wrong is noted, and its default taken.
    fn read(reader: &mut Reader<'_>, table: &Table<'_>) -> Self;

    /// Those keys whose values are not the same in `other`.
    fn differing(&self, other: &Self) -> Vec<&'static Key>;
}

/// A section: each line is a field and its key. What a value alone does not tell is checked by a function
/// `(section, reader, table) -> section`, named after `then`.
macro_rules! section {
    (
        $(#[$about:meta])*
        pub struct $Section:ident in $name:literal $(, then $check:path)? {
            $($(#[$about_field:meta])* pub $field:ident: $Type:ty = $key:expr;)*
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub struct $Section {
            $($(#[$about_field])* pub $field: $Type,)*
        }

        impl $crate::config::section::Section for $Section {
            const NAME: &'static str = $name;
            const KEYS: &'static [$crate::config::text::key::Key] = &[$($key),*];

            fn read(
                reader: &mut $crate::config::text::reader::Reader<'_>,
                table: &$crate::config::text::reader::Table<'_>,
            ) -> Self {
                use $crate::config::text::values::Read;
                let section = Self {
                    $($field: <$Type as Read>::read(reader, table, const { &$key }),)*
                };
                $(let section = $check(section, reader, table);)?
                section
            }

            fn differing(&self, other: &Self) -> Vec<&'static $crate::config::text::key::Key> {
                let mut keys: Vec<&'static $crate::config::text::key::Key> = Vec::new();
                $(if self.$field != other.$field {
                    keys.push(const { &$key });
                })*
                keys
            }
        }
    };
}

use section;

/// Every key, in the order of `tpp.toml`; the predecessor's are not among them.
pub(super) const KEYS: &[&[Key]] = &[
    listen::KEYS,
    credentials::FILE_KEYS,
    Workers::KEYS,
    Upstream::KEYS,
    Client::KEYS,
    Token::KEYS,
    Lease::KEYS,
    credentials::KEYS,
    Telemetry::KEYS,
];

/// The tables of the file, but for the accounts.
const NAMES: [&str; 6] = [
    Workers::NAME,
    Upstream::NAME,
    Client::NAME,
    Token::NAME,
    Lease::NAME,
    Telemetry::NAME,
];

/// Each key.
pub(super) fn keys() -> impl Iterator<Item = &'static Key> {
    KEYS.iter().copied().flatten()
}

/// The names of the keys in `section`, empty for the top of the file.
fn names_in(section: &str) -> Vec<&'static str> {
    keys()
        .filter(|key| key.section() == section)
        .map(Key::leaf)
        .collect()
}

/// The names at the top of a file.
pub(super) fn names_at_top(format: Format) -> Vec<&'static str> {
    let mut names = names_in("");
    names.extend(NAMES);
    names.push(credentials::LIST);
    names.extend(credentials::predecessor::names_at_top(format));
    names
}

/// Finds a section's table and looks for names that are none of its keys.
pub(super) fn open<'t, S: Section>(reader: &mut Reader<'_>, top: &Table<'t>) -> Table<'t> {
    let node = top.named(S::NAME);
    let name = top.dotted(S::NAME);
    let entries = match node.map(|node| (&node.value, node.origin)) {
        None => &[],
        Some((Value::Table(entries), _)) => entries.as_slice(),
        Some((other, origin)) => {
            reader.note(Some(origin), &name, other.describe(), "a table of keys");
            &[]
        }
    };
    let table = Table {
        name,
        origin: node.map(|node| node.origin),
        entries,
        overrides: top.overrides,
    };
    let mut names = names_in(S::NAME);
    names.extend(credentials::predecessor::names_in(S::NAME, reader.format));
    unknown::note(reader, &table, &names);
    table
}

/// A section in which nothing stands.
fn defaults<S: Section>() -> S {
    let overrides = Overrides::new();
    let table = Table {
        name: S::NAME.to_owned(),
        origin: None,
        entries: &[],
        overrides: &overrides,
    };
    let nothing_set = BTreeMap::<String, String>::new();
    let mut reader = Reader {
        file: Path::new(""),
        format: Format::Toml,
        paths: Paths::new(Path::new(""), &nothing_set),
        files: Files::new(),
        keys: KEYS,
        problems: Vec::new(),
        warnings: Vec::new(),
    };
    S::read(&mut reader, &table)
}
