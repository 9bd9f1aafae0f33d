//! One key at a time: the value that was given, the default, or a problem noted.

use std::{collections::BTreeMap, net::SocketAddr, path::Path};

use super::{
    file::Files,
    key::{Default, Key, Kind},
    notation::Format,
    paths::Paths,
    problem::{Place, Problem},
    tree::{Entry, Node, Origin, Value},
};

/// The walk's surroundings and what it has noted.
pub(in crate::config) struct Reader<'a> {
    pub(in crate::config) file: &'a Path,
    pub(in crate::config) format: Format,
    pub(in crate::config) paths: Paths<'a>,
    pub(in crate::config) files: Files,
    /// Every key there is, for a message about one that stands in the wrong place.
    pub(in crate::config) keys: &'static [&'static [Key]],
    /// Whether backends are declared, so that neither an upstream nor an account need be given at the top.
    pub(in crate::config) gateway: bool,
    pub(in crate::config) problems: Vec<Problem>,
    pub(in crate::config) warnings: Vec<String>,
}

/// Values that stand for the file's, by the path of their keys.
pub(in crate::config) type Overrides = BTreeMap<&'static str, Node>;

/// No variable stands for a key of a table that may occur several times.
pub(in crate::config) static NO_OVERRIDES: Overrides = Overrides::new();

/// A table of the file, with the environment before it.
pub(in crate::config) struct Table<'t> {
    /// Dotted name, empty for the top of the file.
    pub(in crate::config) name: String,
    pub(in crate::config) origin: Option<Origin>,
    pub(in crate::config) entries: &'t [Entry],
    pub(in crate::config) overrides: &'t Overrides,
}

impl<'t> Table<'t> {
    /// What was given under a key's name; YAML's null counts as nothing.
    pub(in crate::config) fn named(&self, name: &str) -> Option<&'t Node> {
        let entry = self.entries.iter().find(|entry| entry.name == name)?;
        (!matches!(entry.node.value, Value::Null)).then_some(&entry.node)
    }

    /// What was given for a key, by the environment or by the file.
    pub(in crate::config) fn find(&self, key: &Key) -> Option<&'t Node> {
        self.overrides
            .get(key.path)
            .or_else(|| self.named(key.leaf()))
    }

    /// The dotted name of something in this table.
    pub(in crate::config) fn dotted(&self, leaf: &str) -> String {
        if self.name.is_empty() {
            leaf.to_owned()
        } else {
            format!("{}.{leaf}", self.name)
        }
    }
}

/// An address, with its place for a message.
pub(in crate::config) struct Bound {
    pub(in crate::config) address: SocketAddr,
    pub(in crate::config) key: String,
    pub(in crate::config) origin: Option<Origin>,
}

/// Reading one key.
impl Reader<'_> {
    /// Notes a problem of the main file or of a variable.
    pub(in crate::config) fn note(
        &mut self,
        origin: Option<Origin>,
        key: &str,
        found: impl Into<String>,
        allowed: impl Into<String>,
    ) {
        let place = self.place(origin);
        let (key, found, allowed) = (key.to_owned(), found.into(), allowed.into());
        self.problems.push(Problem {
            place,
            key,
            found,
            allowed,
        });
    }

    pub(in crate::config) fn place(&self, origin: Option<Origin>) -> Place {
        match origin {
            Some(Origin::Variable(name)) => Place::Variable(name.to_owned()),
            Some(Origin::Body) => Place::Body,
            Some(Origin::Line(line)) => Place::file(self.file, Some(line)),
            None => Place::file(self.file, None),
        }
    }

    /// The value of a key if it is given and `pick` takes it; else what is wrong is noted.
    pub(in crate::config) fn read<'t, T>(
        &mut self,
        table: &Table<'t>,
        key: &Key,
        pick: impl FnOnce(&'t Value) -> Option<T>,
    ) -> Option<T> {
        let (origin, found) = match table.find(key) {
            Some(node) => match pick(&node.value) {
                Some(value) => return Some(value),
                None => (Some(node.origin), key.kind.found(&node.value)),
            },
            None if matches!(key.default, Default::Required) => {
                (table.origin, "nothing".to_owned())
            }
            None => return None,
        };
        self.note(origin, &table.dotted(key.leaf()), found, key.kind.allowed());
        None
    }

    pub(in crate::config) fn text<'t>(&mut self, table: &Table<'t>, key: &Key) -> Option<&'t str> {
        let given = self.read(table, key, |value| match (&key.kind, value) {
            (Kind::Text { valid, .. }, Value::Text(text)) if valid(text) => Some(text.as_str()),
            (Kind::Choice(words), Value::Text(text)) => {
                words.iter().copied().find(|word| **word == **text)
            }
            _ => None,
        });
        given.or(match key.default {
            Default::Text(text) => Some(text),
            _ => None,
        })
    }

    /// The addresses of a key that takes one or a list; those that are none are noted.
    pub(in crate::config) fn addresses(&mut self, table: &Table<'_>, key: &Key) -> Vec<Bound> {
        let Some(node) = table.find(key) else {
            let default = match key.default {
                Default::Text(text) => text.parse().ok(),
                _ => None,
            };
            let bound = |address| Bound {
                address,
                key: key.path.to_owned(),
                origin: None,
            };
            return default.map(bound).into_iter().collect();
        };
        let list = match (&node.value, &key.kind) {
            (Value::List(items), Kind::Addresses) if !items.is_empty() => items,
            _ => {
                return self
                    .address(node, key.path.to_owned(), &key.kind)
                    .into_iter()
                    .collect();
            }
        };
        let named = list
            .iter()
            .enumerate()
            .map(|(index, item)| (format!("{}[{index}]", key.path), item));
        named
            .filter_map(|(name, item)| self.address(item, name, &Kind::Address))
            .collect()
    }

    fn address(&mut self, node: &Node, key: String, kind: &Kind) -> Option<Bound> {
        if let Value::Text(text) = &node.value
            && let Ok(address) = text.parse()
        {
            return Some(Bound {
                address,
                key,
                origin: Some(node.origin),
            });
        }
        self.note(
            Some(node.origin),
            &key,
            kind.found(&node.value),
            kind.allowed(),
        );
        None
    }
}
