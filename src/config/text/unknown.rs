//! Keys that do not exist, and which one may have been meant.

use super::{
    reader::{Reader, Table},
    tree::shown_key,
};

/// Likeness from which one name is taken for a slip of the other.
const ALIKE: f64 = 0.8;

/// Notes each key of `table` that is none of `known`.
pub(in crate::config) fn note(reader: &mut Reader<'_>, table: &Table<'_>, known: &[&str]) {
    for entry in table.entries {
        if known.contains(&entry.name.as_str()) {
            continue;
        }
        let found = match meant(reader, &entry.name, known) {
            Some(name) => format!("an unknown key (did you mean \"{name}\"?)"),
            None => "an unknown key".to_owned(),
        };
        let key = table.dotted(&shown_key(&entry.name));
        reader.note(Some(entry.node.origin), &key, found, known.join(", "));
    }
}

/// The nearest name: a like one of the same table, or the same one of another.
fn meant(reader: &Reader<'_>, name: &str, known: &[&str]) -> Option<String> {
    let elsewhere = reader
        .keys
        .iter()
        .copied()
        .flatten()
        .find(|key| key.leaf() == name);
    if let Some(key) = elsewhere {
        return Some(key.path.to_owned());
    }
    let lower = name.to_ascii_lowercase().replace('-', "_");
    let score = |known: &&str| (strsim::jaro_winkler(&lower, known), (*known).to_owned());
    let nearest = known.iter().map(score).max_by(|a, b| a.0.total_cmp(&b.0));
    nearest
        .filter(|(score, _)| *score >= ALIKE)
        .map(|(_, name)| name)
}
