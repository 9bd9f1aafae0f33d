//! The environment laid over the file.

use std::ffi::OsString;

use super::{
    section,
    text::{
        key::{Key, Kind},
        problem::{Place, Problem},
        reader::Overrides,
        tree::{Node, Origin, Value},
        vars::Vars,
    },
};

/// The predecessor's variables that are not read any more, and what to use instead.
const GONE: [(&str, &str); 3] = [
    (
        "TPP_CREDENTIAL_USERNAME",
        "write username in [[credentials]]",
    ),
    (
        "TPP_CREDENTIAL_PASSWORD",
        "write password_file in [[credentials]]",
    ),
    ("TPP_TOKEN_POOL_SIZE", "write sessions in [[credentials]]"),
];

/// Reads every variable that a key names. A variable that is set but empty counts as not set.
pub(super) fn overrides(vars: &dyn Vars, problems: &mut Vec<Problem>) -> Overrides {
    let mut found = Overrides::new();
    // The nearest comes last, and stays.
    let named =
        section::keys().flat_map(|key| key.variables.iter().rev().map(move |name| (key, *name)));
    for (key, name) in named {
        match vars
            .var(name)
            .filter(|value| !value.is_empty())
            .map(OsString::into_string)
        {
            None => {}
            Some(Ok(text)) => {
                found.insert(key.path, node(key, name, &text));
            }
            Some(Err(_)) => problems.push(Problem {
                place: Place::Variable(name.to_owned()),
                key: key.path.to_owned(),
                found: "text that is not UTF-8".to_owned(),
                allowed: key.kind.allowed(),
            }),
        }
    }
    found
}

/// A line for each variable that is set in vain.
pub(super) fn gone(vars: &dyn Vars) -> Vec<String> {
    let set = |name| vars.var(name).is_some_and(|value| !value.is_empty());
    let line = |(name, instead)| format!("{name} is set, but not read: {instead}");
    GONE.into_iter()
        .filter(|(name, _)| set(name))
        .map(line)
        .collect()
}

/// The text as the kind of value that the key takes. What does not fit stays text, for the checker to refuse.
fn node(key: &Key, variable: &'static str, text: &str) -> Node {
    let origin = Origin::Variable(variable);
    let value = match key.kind {
        Kind::Flag => match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Value::Flag(true),
            "false" | "0" => Value::Flag(false),
            _ => Value::text(text),
        },
        Kind::Whole { .. } => text
            .trim()
            .parse()
            .map_or_else(|_| Value::text(text), Value::Whole),
        Kind::Addresses if text.contains(',') => Value::List(
            text.split(',')
                .map(|one| Node::text(origin, one.trim()))
                .collect(),
        ),
        _ => Value::text(text),
    };
    Node { origin, value }
}
