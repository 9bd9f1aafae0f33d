//! What is known of one key: its name, what it takes, its default.

use super::tree::Value;

/// One key.
pub(super) struct Key {
    /// Section and name, such as `upstream.port`.
    pub(super) path: &'static str,
    pub(super) kind: Kind,
    pub(super) default: Default,
    /// When a change in the file takes hold.
    pub(super) change: Change,
    /// The environment variable that overrides the file.
    pub(super) variable: Option<&'static str>,
}

/// What a key takes.
pub(super) enum Kind {
    Flag,
    /// A number within bounds, both included. Where 0 has a meaning of its own, it is given in words.
    Whole {
        min: u64,
        max: u64,
        zero: &'static str,
    },
    /// A list of HTTP statuses that stand for an error.
    Statuses,
    /// Text of a certain shape.
    Text {
        allowed: &'static str,
        valid: fn(&str) -> bool,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of addresses with ports, or one alone.
    Addresses,
    /// One address with its port.
    Address,
    /// Text that no message may repeat.
    Secret,
}

/// What holds when the key is left out.
#[derive(Clone, Copy)]
pub(super) enum Default {
    Flag(bool),
    Whole(u64),
    Text(&'static str),
    Statuses(&'static [u16]),
    /// The feature is off.
    Unset,
    /// It must be given.
    Required,
}

/// When a change takes hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    /// At the next reload.
    Reload,
    /// When the supervisor is started anew.
    Restart,
}

use Change::{Reload, Restart};

const ADDRESS: &str = "an IP address with a port, such as \"0.0.0.0:8080\" or \"[::1]:8080\"";

const STATUSES: &str = "a list of HTTP statuses from 400 to 599";

impl Key {
    pub(super) const fn new(
        path: &'static str,
        kind: Kind,
        default: Default,
        change: Change,
    ) -> Self {
        let variable = None;
        Self {
            path,
            kind,
            default,
            change,
            variable,
        }
    }

    pub(super) const fn flag(path: &'static str, default: bool, change: Change) -> Self {
        Self::new(path, Kind::Flag, Default::Flag(default), change)
    }

    pub(super) const fn whole(
        path: &'static str,
        (min, max): (u64, u64),
        default: u64,
        change: Change,
    ) -> Self {
        let zero = "";
        let kind = Kind::Whole { min, max, zero };
        Self::new(path, kind, Default::Whole(default), change)
    }

    pub(super) const fn seconds(path: &'static str, (min, max): (u64, u64), default: u64) -> Self {
        Self::limit(path, (min, max), "", default)
    }

    /// A number, such as one of seconds, of which 0 has a meaning of its own.
    pub(super) const fn limit(
        path: &'static str,
        (min, max): (u64, u64),
        zero: &'static str,
        default: u64,
    ) -> Self {
        Self::new(
            path,
            Kind::Whole { min, max, zero },
            Default::Whole(default),
            Reload,
        )
    }

    pub(super) const fn text(
        path: &'static str,
        allowed: &'static str,
        valid: fn(&str) -> bool,
        default: Default,
    ) -> Self {
        Self::new(path, Kind::Text { allowed, valid }, default, Reload)
    }

    pub(super) const fn variable(self, name: &'static str) -> Self {
        Self {
            variable: Some(name),
            ..self
        }
    }

    pub(super) const fn at_restart(self) -> Self {
        Self {
            change: Restart,
            ..self
        }
    }

    /// The name within its section.
    pub(super) fn leaf(&self) -> &'static str {
        self.path
            .rsplit_once('.')
            .map_or(self.path, |(_, leaf)| leaf)
    }

    /// The section, empty for the top of the file.
    pub(super) fn section(&self) -> &'static str {
        self.path
            .rsplit_once('.')
            .map_or("", |(section, _)| section)
    }
}

impl Kind {
    /// A noun phrase for what may stand there.
    pub(super) fn allowed(&self) -> String {
        match self {
            Self::Flag => "true or false".to_owned(),
            Self::Whole { min, max, zero: "" } => format!("a whole number from {min} to {max}"),
            Self::Whole { min, max, zero } => {
                format!("a whole number from {min} to {max} (0: {zero})")
            }
            Self::Statuses => STATUSES.to_owned(),
            Self::Text { allowed, .. } => (*allowed).to_owned(),
            Self::Choice(words) => {
                let words: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
                match words.split_last() {
                    Some((last, rest)) if !rest.is_empty() => {
                        format!("{} or {last}", rest.join(", "))
                    }
                    _ => words.concat(),
                }
            }
            Self::Addresses => format!("{ADDRESS}, or a list of such"),
            Self::Address => ADDRESS.to_owned(),
            Self::Secret => "text that is not empty".to_owned(),
        }
    }

    /// A noun phrase for a value that does not fit.
    pub(super) fn found(&self, value: &Value) -> String {
        match (self, value) {
            (Self::Secret, value) => value.kind().to_owned(),
            // YAML makes a number of a text that looks like one.
            (
                Self::Text { .. } | Self::Choice(_),
                Value::Whole(_) | Value::Fraction(_) | Value::Flag(_),
            ) => {
                format!("{} without quotes", value.describe())
            }
            (_, value) => value.describe(),
        }
    }
}
