//! The table of keys in words, for manuals.

use super::{
    section,
    text::key::{Default, Effect, Kind},
};

/// One key, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDescription {
    /// Section and name, such as `upstream.port`; those of an account begin with `credentials.`.
    pub path: &'static str,
    /// A noun phrase for what may stand there.
    pub allowed: String,
    /// The value it has when left out, as it is written in TOML; `None`: it is off, or must be given.
    pub default: Option<String>,
    /// It must be given.
    pub required: bool,
    /// What it takes to put a change in force.
    pub effect: Effect,
}

/// Every key, in the order of `tpp.toml`.
#[must_use]
pub fn describe() -> Vec<KeyDescription> {
    let own = section::keys().filter(|key| !matches!(key.kind, Kind::Table | Kind::Entries));
    let keys = own.map(|key| KeyDescription {
        path: key.path,
        allowed: key.kind.allowed(),
        default: match key.default {
            Default::Flag(flag) => Some(flag.to_string()),
            Default::Whole(number) => Some(number.to_string()),
            Default::Text(text) => Some(format!("\"{text}\"")),
            Default::Statuses(list) => Some(format!("{list:?}")),
            Default::Unset | Default::Required => None,
        },
        required: matches!(key.default, Default::Required),
        effect: key.effect,
    });
    keys.collect()
}
