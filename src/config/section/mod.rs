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
    reader::{NO_OVERRIDES, Overrides, Reader, Table},
    tree::Value,
    unknown,
    write::Map,
};

pub(super) mod access;
pub(super) mod acme;
pub(super) mod api;
pub(super) mod backend;
pub(super) mod certificate;
pub(super) mod client;
pub(super) mod credentials;
pub(super) mod health_check;
pub(super) mod http2;
pub(super) mod lease;
pub(super) mod listen;
pub(super) mod listener;
pub(super) mod login;
pub(super) mod metrics;
pub(super) mod otlp_headers;
pub(super) mod outlier;
pub(super) mod pool;
pub(super) mod provider;
pub(super) mod proxy;
pub(super) mod rate_limit;
pub(super) mod retry;
pub(super) mod telemetry;
pub(super) mod tls;
pub(super) mod token;
pub(super) mod trusted;
pub(super) mod upstream;
pub(super) mod virtual_host;
pub(super) mod workers;

use self::{
    access::Access,
    acme::Acme,
    api::Api,
    backend::Backend,
    certificate::CertificateFiles,
    client::Client,
    health_check::HealthCheck,
    http2::Http2,
    lease::Lease,
    listener::Listener,
    login::{Inject, Login, Ok},
    metrics::Metrics,
    outlier::Outlier,
    pool::Pool,
    rate_limit::RateLimit,
    retry::Retry,
    telemetry::Telemetry,
    tls::Tls,
    token::Token,
    upstream::Upstream,
    virtual_host::{CircuitBreaker, Queue, Timeouts, VirtualHost},
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

    /// Names that may stand in its table besides those of its keys.
    fn more_names() -> Vec<&'static str> {
        Vec::new()
    }

    /// What stands in `table`; what is wrong is noted, and its default taken. With a `base`, its values are the
    /// defaults of all keys that need not be given.
    fn read_table(reader: &mut Reader<'_>, table: &Table<'_>, base: Option<&Self>) -> Self;

    /// Those keys whose values are not the same in `other`.
    fn differing(&self, other: &Self) -> Vec<&'static Key>;

    /// The table in which it would stand.
    fn write_table(&self) -> Map;
}

/// A section: each line is a field and its key. What a value alone does not tell is checked by a function
/// `(section, reader, table) -> section`, named after `then`; names that stand in its table for parts of a field are
/// given by a function named after `also`.
macro_rules! section {
    (
        $(#[$about:meta])*
        pub struct $Section:ident in $name:literal $(, also $names:path)? $(, then $check:path)? {
            $($(#[$about_field:meta])* pub $field:ident: $Type:ty = $key:expr;)*
        }
    ) => {
        $(#[$about])*
        pub struct $Section {
            $($(#[$about_field])* pub $field: $Type,)*
        }

        impl $crate::config::section::Section for $Section {
            const NAME: &'static str = $name;
            const KEYS: &'static [$crate::config::text::key::Key] = &[$($key),*];

            $(fn more_names() -> Vec<&'static str> {
                $names()
            })?

            fn read_table(
                reader: &mut $crate::config::text::reader::Reader<'_>,
                table: &$crate::config::text::reader::Table<'_>,
                base: Option<&Self>,
            ) -> Self {
                use $crate::config::text::values::Read;
                let section = Self {
                    $($field: <$Type as Read>::read_over(
                        reader,
                        table,
                        const { &$key },
                        base.map(|base| &base.$field),
                    ),)*
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

            fn write_table(&self) -> $crate::config::text::write::Map {
                let mut map = $crate::config::text::write::Map::new();
                $($crate::config::text::write::Write::write(&self.$field, const { &$key }, &mut map);)*
                map
            }
        }
    };
}

/// Sections that stand as a table within another.
macro_rules! nested {
    ($($Section:ty),+) => {$(
        impl $crate::config::text::values::Read for $Section {
            fn read(
                reader: &mut $crate::config::text::reader::Reader<'_>,
                table: &$crate::config::text::reader::Table<'_>,
                key: &$crate::config::text::key::Key,
            ) -> Self {
                Self::read_over(reader, table, key, None)
            }

            fn read_over(
                reader: &mut $crate::config::text::reader::Reader<'_>,
                table: &$crate::config::text::reader::Table<'_>,
                key: &$crate::config::text::key::Key,
                base: Option<&Self>,
            ) -> Self {
                let table = $crate::config::section::open_at::<Self>(reader, table, key.leaf());
                $crate::config::section::Section::read_table(reader, &table, base)
            }
        }

        impl $crate::config::text::write::Write for $Section {
            fn write(
                &self,
                key: &$crate::config::text::key::Key,
                map: &mut $crate::config::text::write::Map,
            ) {
                let table = $crate::config::section::Section::write_table(self);
                map.insert(key.leaf().to_owned(), table.into());
            }
        }
    )+};
}

use nested;
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
    Metrics::KEYS,
    Pool::KEYS,
    credentials::account::KEYS,
    Login::KEYS,
    Ok::KEYS,
    Inject::KEYS,
    Backend::KEYS,
    VirtualHost::KEYS,
    Queue::KEYS,
    CircuitBreaker::KEYS,
    Timeouts::KEYS,
    Retry::KEYS,
    HealthCheck::KEYS,
    Outlier::KEYS,
    RateLimit::KEYS,
    Access::KEYS,
    Api::KEYS,
    Listener::KEYS,
    Tls::KEYS,
    CertificateFiles::KEYS,
    Acme::KEYS,
    Http2::KEYS,
];

/// The tables of the file, but for the accounts.
const NAMES: [&str; 21] = [
    Workers::NAME,
    Upstream::NAME,
    Client::NAME,
    Token::NAME,
    Lease::NAME,
    Telemetry::NAME,
    Metrics::NAME,
    Pool::NAME,
    Backend::NAME,
    VirtualHost::NAME,
    Retry::NAME,
    HealthCheck::NAME,
    Outlier::NAME,
    RateLimit::NAME,
    Access::NAME,
    Api::NAME,
    Listener::NAME,
    Tls::NAME,
    CertificateFiles::NAME,
    Acme::NAME,
    Http2::NAME,
];

/// Each key.
pub(super) fn keys() -> impl Iterator<Item = &'static Key> {
    KEYS.iter().copied().flatten()
}

/// The keys of the section of this name.
#[cfg(test)]
pub(super) fn section_keys(section: &str) -> Vec<Key> {
    let lists = KEYS.iter().copied().flatten();
    lists
        .filter(|key| key.section() == section)
        .copied()
        .collect()
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
    open_at::<S>(reader, top, S::NAME)
}

/// The same for one that stands under `leaf` in `outer`.
fn open_at<'t, S: Section>(reader: &mut Reader<'_>, outer: &Table<'t>, leaf: &str) -> Table<'t> {
    let node = outer.named(leaf);
    let name = outer.dotted(leaf);
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
        origin: node.map(|node| node.origin).or(outer.origin),
        entries,
        overrides: outer.overrides,
    };
    let mut names = names_of::<S>();
    names.extend(credentials::predecessor::names_in(S::NAME, reader.format));
    unknown::note(reader, &table, &names);
    table
}

/// Every name that may stand in the section's table.
pub(super) fn names_of<S: Section>() -> Vec<&'static str> {
    let mut names: Vec<_> = S::KEYS.iter().map(Key::leaf).collect();
    names.extend(S::more_names());
    names
}

/// A list of tables, `[[…]]` in TOML; what is left out in one has the value of `base`.
pub(super) fn entries<S: Section>(
    reader: &mut Reader<'_>,
    top: &Table<'_>,
    base: Option<&S>,
) -> Vec<S> {
    let tables = tables(reader, top, S::NAME);
    let names = names_of::<S>();
    let read = |table: Table<'_>| {
        unknown::note(reader, &table, &names);
        S::read_table(reader, &table, base)
    };
    tables.into_iter().map(read).collect()
}

/// The tables of the list `leaf`; what is none is noted.
fn tables<'t>(reader: &mut Reader<'_>, outer: &Table<'t>, leaf: &str) -> Vec<Table<'t>> {
    let Some(node) = outer.named(leaf) else {
        return Vec::new();
    };
    let list = outer.dotted(leaf);
    let Value::List(items) = &node.value else {
        let allowed = format!("a list of tables (in TOML each under a [[{leaf}]] of its own)");
        reader.note(Some(node.origin), &list, node.value.kind(), allowed);
        return Vec::new();
    };
    let mut tables = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let name = format!("{list}[{index}]");
        match &item.value {
            Value::Table(entries) => tables.push(Table {
                name,
                origin: Some(item.origin),
                entries,
                overrides: &NO_OVERRIDES,
            }),
            other => reader.note(Some(item.origin), &name, other.kind(), "a table of keys"),
        }
    }
    tables
}

/// A section at the top of the file.
pub(super) fn read<S: Section>(reader: &mut Reader<'_>, top: &Table<'_>) -> S {
    let table = open::<S>(reader, top);
    S::read_table(reader, &table, None)
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
        gateway: false,
        problems: Vec::new(),
        warnings: Vec::new(),
    };
    S::read_table(&mut reader, &table, None)
}
