//! `[[backends]]`.

use std::time::Duration;

use super::{Section, YEAR, health_check::HealthCheck, section, upstream::Upstream};
use crate::config::text::{
    choice::choice,
    key::{Default as Absent, Key},
    reader::{Reader, Table},
    shape,
    tree::{Entry, Node, Origin, Value},
    values::Read,
    write::{Map, Write},
};

section! {
    /// `[[backends]]`: one origin server.
    #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    pub struct Backend in "backends", also names_of_upstream, then with_pool {
        /// Unique.
        pub id: String = Key::text(
            "backends.id",
            "1 to 100 of a-z 0-9 . _ -",
            shape::id,
            Absent::Required,
        );
        /// Where it is, and how it is spoken to: the keys of `[upstream]`, whose values are the defaults.
        pub upstream: Upstream = ADDRESS;
        /// The groups it belongs to.
        pub tags: Vec<String> = Key::texts("backends.tags", shape::NAME, shape::name);
        /// Name of the pool whose tokens its requests bear; `None`: they bear what the client sent.
        pub pool: Option<String> = POOL;
        /// How much of its group's traffic it gets, in relation to the others; 0: nothing new.
        pub weight: u32 = Key::number("backends.weight", (0, 1000), 1).zero("nothing new");
        /// What an administrator wants of it.
        pub state: BackendState = Key::choice("backends.state", BackendState::WORDS);
        /// Whether it is used only when no other backend of the group can serve.
        pub backup: bool = Key::flag("backends.backup", false);
        /// Most requests under way at once, over all workers; `None`: no bound.
        pub max_concurrent: Option<usize> =
            Key::number("backends.max_concurrent", (0, 65_536), 0).zero("no limit");
        /// How long its share grows to the full one after it has become healthy.
        pub slow_start: Duration = Key::number("backends.slow_start_seconds", (0, YEAR), 0);
        /// How it is checked: `[backends.health_check]`, whose defaults are in `[health_check]`.
        pub health_check: HealthCheck = Key::table("backends.health_check");
    }
}

const ADDRESS: Key = Key::text(
    "backends.address",
    "a host name or an IP address with a port, such as \"10.0.0.5:8848\" or \"[::1]:8848\"",
    |text| shape::host_and_port(text).is_some(),
    Absent::Required,
);

pub(in crate::config) const POOL: Key = Key::text(
    "backends.pool",
    "a name of [[pools]], or \"none\"",
    shape::name,
    Absent::Unset,
);

/// How many idle connections are kept to a backend that does not say so.
const IDLE_CONNECTIONS: usize = 100;

/// How a backend says that it takes part in no pool.
pub(in crate::config) const NO_POOL: &str = "none";

/// Stands for the pool of a backend that should have named one.
pub(in crate::config) const UNCLEAR_POOL: &str = "";

choice! {
    /// What an administrator wants of a backend.
    pub enum BackendState {
        /// It serves.
        Ready = "ready",
        /// It gets nothing new; what is open goes on.
        Drain = "drain",
        /// It gets nothing, and is not checked.
        Maint = "maint",
    }
}

impl Backend {
    /// What holds of a backend that says nothing: the connection's side from `upstream`, and `pool`.
    pub(in crate::config) fn base(
        upstream: &Upstream,
        health_check: &HealthCheck,
        pool: Option<&str>,
    ) -> Self {
        Self {
            id: String::new(),
            upstream: Upstream {
                max_idle_connections: IDLE_CONNECTIONS,
                ..upstream.clone()
            },
            tags: Vec::new(),
            pool: pool.map(str::to_owned),
            weight: 1,
            state: BackendState::Ready,
            backup: false,
            max_concurrent: None,
            slow_start: Duration::ZERO,
            health_check: health_check.clone(),
        }
    }
}

/// `none` is no pool's name.
fn with_pool(backend: Backend, _: &mut Reader<'_>, _: &Table<'_>) -> Backend {
    Backend {
        pool: backend.pool.filter(|name| name != NO_POOL),
        ..backend
    }
}

/// The address stands for two keys of `[upstream]`.
fn names_of_upstream() -> Vec<&'static str> {
    let names = Upstream::KEYS.iter().map(Key::leaf);
    names.filter(|name| !is_of_address(name)).collect()
}

fn is_of_address(name: &str) -> bool {
    matches!(name, "host" | "port")
}

/// An upstream as it stands in a backend's own table.
impl Read for Upstream {
    fn read(reader: &mut Reader<'_>, table: &Table<'_>, key: &Key) -> Self {
        Self::read_over(reader, table, key, None)
    }

    fn read_over(
        reader: &mut Reader<'_>,
        table: &Table<'_>,
        key: &Key,
        base: Option<&Self>,
    ) -> Self {
        let address = reader.text(table, key).and_then(shape::host_and_port);
        // What is wrong has been noted; these only let the other keys be looked at.
        let (host, port) = address.unwrap_or(("invalid", 1));
        let origin = table.find(key).map(|node| node.origin).or(table.origin);
        let origin = origin.unwrap_or(Origin::Body);
        let others = table
            .entries
            .iter()
            .filter(|entry| !is_of_address(&entry.name));
        let mut entries: Vec<_> = others.cloned().collect();
        for (name, value) in [
            ("host", Value::text(host)),
            ("port", Value::Whole(port.into())),
        ] {
            let node = Node { origin, value };
            let name = name.to_owned();
            entries.push(Entry { name, node });
        }
        let inner = Table {
            name: table.name.clone(),
            origin: table.origin,
            entries: &entries,
            overrides: table.overrides,
        };
        Self::read_table(reader, &inner, base)
    }
}

impl Write for Upstream {
    fn write(&self, key: &Key, map: &mut Map) {
        map.insert(key.leaf().to_owned(), self.authority().into());
        let others = self.write_table().into_iter();
        map.extend(others.filter(|(name, _)| !is_of_address(name)));
    }
}
