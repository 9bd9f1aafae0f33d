//! Keys that do not exist, and which one may have been meant.

use super::{
    file::Format,
    reader::{Check, Table},
    schema,
    tree::shown_key,
};

/// Likeness from which one name is taken for a slip of the other.
const ALIKE: f64 = 0.8;

/// The names at the top of the file.
pub(super) fn names_at_top(format: Format) -> Vec<&'static str> {
    let mut names = schema::names_in("");
    names.extend(schema::SECTIONS);
    names.push(schema::CREDENTIALS);
    if format == Format::Yaml {
        names.push(schema::CREDENTIAL);
    }
    names
}

/// The names in a section.
pub(super) fn names_in(section: &str, format: Format) -> Vec<&'static str> {
    let mut names = schema::names_in(section);
    if format == Format::Yaml && section == schema::POOL_SIZE.section() {
        names.push(schema::POOL_SIZE.leaf());
    }
    names
}

/// Notes each key of `table` that is none of `known`.
pub(super) fn note(check: &mut Check<'_>, table: &Table<'_>, known: &[&str]) {
    for entry in table.entries {
        if known.contains(&entry.name.as_str()) {
            continue;
        }
        let found = match meant(&entry.name, known) {
            Some(name) => format!("an unknown key (did you mean \"{name}\"?)"),
            None => "an unknown key".to_owned(),
        };
        let key = table.dotted(&shown_key(&entry.name));
        check.note(Some(entry.node.origin), &key, found, known.join(", "));
    }
}

/// The nearest name: a like one of the same table, or the same one of another.
fn meant(name: &str, known: &[&str]) -> Option<String> {
    let elsewhere = schema::KEYS.iter().find(|key| key.leaf() == name);
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
