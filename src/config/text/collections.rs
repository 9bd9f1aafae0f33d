//! Values of several parts: lists of texts, networks, names with values.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;

use super::{
    key::{Key, Kind},
    reader::{Reader, Table},
    tree::{Entry, Node, Value, shown_key},
    values::Read,
    write::{Map, Write},
};

/// The items of a list, each with its place in a message; a value that is no list is noted.
fn items<'t>(reader: &mut Reader<'_>, table: &Table<'t>, key: &Key) -> Vec<(String, &'t Node)> {
    let given = reader.read(table, key, |value| match value {
        Value::List(items) => Some(items.as_slice()),
        _ => None,
    });
    let name = table.dotted(key.leaf());
    let items = given.unwrap_or_default().iter().enumerate();
    items
        .map(|(index, item)| (format!("{name}[{index}]"), item))
        .collect()
}

/// Texts of the key's shape, each once, in the order given.
impl Read for Vec<String> {
    fn read(reader: &mut Reader<'_>, table: &Table<'_>, key: &Key) -> Self {
        let Kind::Texts { allowed, valid } = key.kind else {
            return Vec::new();
        };
        let mut texts: Self = Vec::new();
        for (name, item) in items(reader, table, key) {
            match &item.value {
                Value::Text(text) if valid(text) => {
                    if !texts.iter().any(|before| **before == **text) {
                        texts.push(text.to_string());
                    }
                }
                value => reader.note(Some(item.origin), &name, value.describe(), allowed),
            }
        }
        texts
    }
}

/// What a network looks like, for a message.
pub(in crate::config) const NETWORK: &str =
    "an IP address or a network such as \"10.0.0.0/8\" or \"fd00::/8\"";

/// A network, or an address, which is a network of one. Bits beyond the prefix are cleared.
pub(in crate::config) fn network(text: &str) -> Option<IpNet> {
    let net = text.parse::<IpNet>().ok();
    let net = net.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))?;
    Some(net.trunc())
}

impl Read for Vec<IpNet> {
    fn read(reader: &mut Reader<'_>, table: &Table<'_>, key: &Key) -> Self {
        let texts = Vec::<String>::read(reader, table, key);
        texts.iter().filter_map(|text| network(text)).collect()
    }
}

impl Write for Vec<IpNet> {
    fn write(&self, key: &Key, map: &mut Map) {
        let texts: Vec<_> = self.iter().map(ToString::to_string).collect();
        texts.write(key, map);
    }
}

/// The entries of a table of names; a value that is no table is noted.
fn pairs<'t>(reader: &mut Reader<'_>, table: &Table<'t>, key: &Key) -> &'t [Entry] {
    let given = reader.read(table, key, |value| match value {
        Value::Table(entries) => Some(entries.as_slice()),
        _ => None,
    });
    given.unwrap_or_default()
}

/// Notes a value that does not fit in a table of names.
fn note_pair(reader: &mut Reader<'_>, table: &Table<'_>, key: &Key, entry: &Entry, allowed: &str) {
    let name = format!("{}.{}", table.dotted(key.leaf()), shown_key(&entry.name));
    let found = entry.node.value.describe();
    reader.note(Some(entry.node.origin), &name, found, allowed);
}

impl Read for BTreeMap<String, u32> {
    fn read(reader: &mut Reader<'_>, table: &Table<'_>, key: &Key) -> Self {
        let mut percents = Self::new();
        for entry in pairs(reader, table, key) {
            match entry.node.value {
                Value::Null => {}
                Value::Whole(percent @ 0..=100) => {
                    percents.insert(entry.name.clone(), u32::try_from(percent).unwrap_or(0));
                }
                _ => note_pair(reader, table, key, entry, "a whole number from 0 to 100"),
            }
        }
        percents
    }
}

impl Read for BTreeMap<String, String> {
    fn read(reader: &mut Reader<'_>, table: &Table<'_>, key: &Key) -> Self {
        let mut texts = Self::new();
        for entry in pairs(reader, table, key) {
            match &entry.node.value {
                Value::Null => {}
                Value::Text(text) => {
                    texts.insert(entry.name.clone(), text.to_string());
                }
                _ => note_pair(reader, table, key, entry, "text"),
            }
        }
        texts
    }
}

impl Read for Option<serde_json::Value> {
    fn read(reader: &mut Reader<'_>, table: &Table<'_>, key: &Key) -> Self {
        reader.read(table, key, |value| match value {
            Value::Flag(flag) => Some((*flag).into()),
            Value::Whole(number) => i64::try_from(*number).ok().map(Into::into),
            Value::Text(text) => Some(text.as_str().into()),
            _ => None,
        })
    }
}
