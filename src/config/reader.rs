//! One key at a time: the value that was given, the default, or a problem noted.

use std::{net::SocketAddr, path::Path, time::Duration};

use super::{
    env::Overrides,
    file::Format,
    key::{Default, Key, Kind},
    paths::Paths,
    problem::{Place, Problem},
    tree::{Entry, Node, Origin, Value},
};

/// The walk's surroundings and what it has noted.
pub(super) struct Check<'a> {
    pub(super) file: &'a Path,
    pub(super) format: Format,
    pub(super) paths: Paths<'a>,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<String>,
    /// Whether a password stands in the main file.
    pub(super) inline_passwords: bool,
}

/// A table of the file, with the environment before it.
pub(super) struct Table<'t> {
    /// Dotted name, empty for the top of the file.
    pub(super) name: String,
    pub(super) origin: Option<Origin>,
    pub(super) entries: &'t [Entry],
    pub(super) overrides: &'t Overrides,
}

impl<'t> Table<'t> {
    /// What was given under a key's name; YAML's null counts as nothing.
    pub(super) fn named(&self, name: &str) -> Option<&'t Node> {
        let entry = self.entries.iter().find(|entry| entry.name == name)?;
        (!matches!(entry.node.value, Value::Null)).then_some(&entry.node)
    }

    /// What was given for a key, by the environment or by the file.
    pub(super) fn find(&self, key: &Key) -> Option<&'t Node> {
        self.overrides
            .get(key.path)
            .or_else(|| self.named(key.leaf()))
    }

    /// The dotted name of something in this table.
    pub(super) fn dotted(&self, leaf: &str) -> String {
        if self.name.is_empty() {
            leaf.to_owned()
        } else {
            format!("{}.{leaf}", self.name)
        }
    }
}

/// An address, with its place for a message.
pub(super) struct Bound {
    pub(super) address: SocketAddr,
    pub(super) key: String,
    pub(super) origin: Option<Origin>,
}

/// Reading one key.
impl Check<'_> {
    /// Notes a problem of the main file or of a variable.
    pub(super) fn note(
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

    pub(super) fn place(&self, origin: Option<Origin>) -> Place {
        match origin {
            Some(Origin::Variable(name)) => Place::Variable(name.to_owned()),
            Some(Origin::Line(line)) => Place::file(self.file, Some(line)),
            None => Place::file(self.file, None),
        }
    }

    /// The value of a key if it is given and `pick` takes it; else what is wrong is noted.
    pub(super) fn read<'t, T>(
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

    pub(super) fn flag(&mut self, table: &Table<'_>, key: &Key) -> bool {
        let given = self.read(table, key, |value| match value {
            Value::Flag(flag) => Some(*flag),
            _ => None,
        });
        given.unwrap_or(matches!(key.default, Default::Flag(true)))
    }

    pub(super) fn whole(&mut self, table: &Table<'_>, key: &Key) -> u64 {
        let Kind::Whole { min, max, .. } = key.kind else {
            return 0;
        };
        let given = self.read(table, key, |value| match value {
            Value::Whole(number) => u64::try_from(*number)
                .ok()
                .filter(|number| (min..=max).contains(number)),
            _ => None,
        });
        given.unwrap_or(match key.default {
            Default::Whole(number) => number,
            _ => min,
        })
    }

    pub(super) fn count(&mut self, table: &Table<'_>, key: &Key) -> usize {
        usize::try_from(self.whole(table, key)).unwrap_or(usize::MAX)
    }

    pub(super) fn seconds(&mut self, table: &Table<'_>, key: &Key) -> Duration {
        Duration::from_secs(self.whole(table, key))
    }

    /// Seconds of which 0 means that there is no limit.
    pub(super) fn limit(&mut self, table: &Table<'_>, key: &Key) -> Option<Duration> {
        Some(self.seconds(table, key)).filter(|limit| !limit.is_zero())
    }

    pub(super) fn text<'t>(&mut self, table: &Table<'t>, key: &Key) -> Option<&'t str> {
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

    /// A count of which 0 means that there is no bound.
    pub(super) fn bound(&mut self, table: &Table<'_>, key: &Key) -> Option<usize> {
        Some(self.count(table, key)).filter(|most| *most > 0)
    }

    /// The statuses of a key, each once; those that are none are noted.
    pub(super) fn statuses(&mut self, table: &Table<'_>, key: &Key) -> Vec<u16> {
        let given = self.read(table, key, |value| match value {
            Value::List(items) => Some(items),
            _ => None,
        });
        let Some(items) = given else {
            return match key.default {
                Default::Statuses(list) => list.to_vec(),
                _ => Vec::new(),
            };
        };
        let mut statuses = Vec::new();
        for (index, item) in items.iter().enumerate() {
            match &item.value {
                Value::Whole(status @ 400..=599) => statuses.extend(u16::try_from(*status)),
                value => {
                    let name = format!("{}[{index}]", table.dotted(key.leaf()));
                    let allowed = "an HTTP status from 400 to 599";
                    self.note(Some(item.origin), &name, value.describe(), allowed);
                }
            }
        }
        statuses.sort_unstable();
        statuses.dedup();
        statuses
    }

    /// The addresses of a key that takes one or a list; those that are none are noted.
    pub(super) fn addresses(&mut self, table: &Table<'_>, key: &Key) -> Vec<Bound> {
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
