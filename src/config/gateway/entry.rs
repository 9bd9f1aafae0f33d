//! One entry by itself, as the management API has it: JSON with the names of the file's keys.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value as Json;

use super::plain;
use crate::config::{
    Config, Format, Vars,
    section::{
        self, Section,
        backend::{Backend, NO_POOL},
        names_of,
        virtual_host::VirtualHost,
    },
    text::{
        file::Files,
        paths::Paths,
        problem::{Place, Problem},
        reader::{NO_OVERRIDES, Reader, Table},
        tree::{self, Node, Origin, Value},
        unknown,
    },
};

/// How a body changes what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlay {
    /// PUT: what is left out stays, and a table of names is taken whole.
    Subset,
    /// PATCH: RFC 7396, in which null clears.
    MergePatch,
}

/// What the management API makes and changes.
pub trait Entry: Sized {
    /// A new one of `body`. What is left out has the defaults that a file like `config` would give it.
    ///
    /// # Errors
    /// Each key that is wrong, named as in the body.
    fn of_json(body: &Json, config: &Config) -> Result<Self, Vec<Problem>>;

    /// With the names of the file's keys, every key that is set.
    fn to_json(&self) -> Json;

    /// Itself with `body` laid over it. In either way a null takes a key back to its default.
    ///
    /// # Errors
    /// As [`Entry::of_json`].
    fn laid_over(&self, body: &Json, how: Overlay, config: &Config) -> Result<Self, Vec<Problem>> {
        if !body.is_object() {
            return Self::of_json(body, config);
        }
        let mut whole = self.to_json();
        merge(&mut whole, body, how);
        Self::of_json(&whole, config)
    }
}

impl Entry for VirtualHost {
    fn of_json(body: &Json, _: &Config) -> Result<Self, Vec<Problem>> {
        read(body, None)
    }

    fn to_json(&self) -> Json {
        self.write_table().into()
    }
}

impl Entry for Backend {
    fn of_json(body: &Json, config: &Config) -> Result<Self, Vec<Problem>> {
        let gateway = &config.gateway;
        let pool = plain::default_pool(&gateway.pools);
        let base = Self::base(&config.upstream, &gateway.health_check, pool.as_deref());
        read(body, Some(&base))
    }

    fn to_json(&self) -> Json {
        let mut map = self.write_table();
        let pool = self.pool.as_deref().unwrap_or(NO_POOL);
        map.insert("pool".to_owned(), pool.into());
        map.into()
    }
}

/// Tables whose names are an administrator's own.
const OF_NAMES: [&str; 1] = ["split"];

fn merge(whole: &mut Json, body: &Json, how: Overlay) {
    let Json::Object(changes) = body else {
        *whole = body.clone();
        return;
    };
    if !whole.is_object() {
        *whole = Json::Object(serde_json::Map::new());
    }
    let Json::Object(entries) = whole else {
        return;
    };
    for (name, change) in changes {
        if change.is_null() {
            entries.remove(name);
        } else if how == Overlay::Subset && OF_NAMES.contains(&name.as_str()) {
            entries.insert(name.clone(), change.clone());
        } else {
            merge(
                entries.entry(name.clone()).or_insert(Json::Null),
                change,
                how,
            );
        }
    }
}

/// Reads an entry from a body as if it stood in a file.
fn read<S: Section>(body: &Json, base: Option<&S>) -> Result<S, Vec<Problem>> {
    let node = node(body);
    let Value::Table(entries) = &node.value else {
        return Err(vec![Problem {
            place: Place::Body,
            key: String::new(),
            found: node.value.kind().to_owned(),
            allowed: "a JSON object".to_owned(),
        }]);
    };
    let nothing_set = BTreeMap::<String, String>::new();
    let mut reader = Reader {
        file: Path::new(""),
        format: Format::Toml,
        paths: Paths::new(Path::new("/"), &nothing_set as &dyn Vars),
        files: Files::new(),
        keys: section::KEYS,
        gateway: true,
        problems: Vec::new(),
        warnings: Vec::new(),
    };
    let table = Table {
        name: String::new(),
        origin: Some(Origin::Body),
        entries,
        overrides: &NO_OVERRIDES,
    };
    unknown::note(&mut reader, &table, &names_of::<S>());
    let entry = S::read_table(&mut reader, &table, base);
    match reader.problems {
        none if none.is_empty() => Ok(entry),
        problems => Err(problems),
    }
}

/// A body's value as one of a file's.
fn node(json: &Json) -> Node {
    let value = match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Flag(*flag),
        Json::Number(number) => match number.as_i128() {
            Some(number) => Value::Whole(number),
            None => Value::Fraction(number.to_string().into()),
        },
        Json::String(text) => Value::text(text),
        Json::Array(items) => Value::List(items.iter().map(node).collect()),
        Json::Object(entries) => {
            let entry = |(name, json): (&String, &Json)| tree::Entry {
                name: name.clone(),
                node: node(json),
            };
            Value::Table(entries.iter().map(entry).collect())
        }
    };
    Node {
        origin: Origin::Body,
        value,
    }
}
