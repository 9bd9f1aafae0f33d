//! Values back to what stands in a file: the other direction of `values`.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use super::key::Key;

/// A table's keys with their values, in the order of its section.
pub(in crate::config) type Map = serde_json::Map<String, serde_json::Value>;

/// A type that a key's value can be written from. What is left out stands for what is not set.
pub(in crate::config) trait Write {
    fn write(&self, key: &Key, map: &mut Map);
}

fn put(map: &mut Map, key: &Key, value: impl Into<serde_json::Value>) {
    map.insert(key.leaf().to_owned(), value.into());
}

macro_rules! write_plain {
    ($($Plain:ty),+) => {$(
        impl Write for $Plain {
            fn write(&self, key: &Key, map: &mut Map) {
                put(map, key, self.clone());
            }
        }
    )+};
}

write_plain!(bool, u16, u32, u64, usize, String, Vec<u16>, Vec<String>);

/// 0 is how no bound is written.
macro_rules! write_bounds {
    ($($Number:ty),+) => {$(
        impl Write for Option<$Number> {
            fn write(&self, key: &Key, map: &mut Map) {
                put(map, key, self.unwrap_or(0));
            }
        }
    )+};
}

write_bounds!(u32, usize);

impl Write for Duration {
    fn write(&self, key: &Key, map: &mut Map) {
        let number = if key.path.ends_with("_ms") {
            u64::try_from(self.as_millis()).unwrap_or(u64::MAX)
        } else {
            self.as_secs()
        };
        put(map, key, number);
    }
}

impl Write for Option<Duration> {
    fn write(&self, key: &Key, map: &mut Map) {
        self.unwrap_or_default().write(key, map);
    }
}

impl Write for Option<String> {
    fn write(&self, key: &Key, map: &mut Map) {
        if let Some(text) = self {
            put(map, key, text.as_str());
        }
    }
}

/// A path that is not UTF-8 cannot have been read from a file.
impl Write for PathBuf {
    fn write(&self, key: &Key, map: &mut Map) {
        put(map, key, self.to_string_lossy());
    }
}

impl Write for Option<PathBuf> {
    fn write(&self, key: &Key, map: &mut Map) {
        if let Some(path) = self {
            path.write(key, map);
        }
    }
}

impl Write for BTreeMap<String, u32> {
    fn write(&self, key: &Key, map: &mut Map) {
        put(map, key, table(self));
    }
}

impl Write for BTreeMap<String, String> {
    fn write(&self, key: &Key, map: &mut Map) {
        put(map, key, table(self));
    }
}

fn table<V: Clone + Into<serde_json::Value>>(pairs: &BTreeMap<String, V>) -> Map {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| (name.clone(), value.clone().into()))
        .collect()
}

impl Write for Option<serde_json::Value> {
    fn write(&self, key: &Key, map: &mut Map) {
        if let Some(value) = self {
            put(map, key, value.clone());
        }
    }
}
