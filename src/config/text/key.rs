//! What is known of one key: its name, what it takes, its default.

use super::tree::Value;

/// One key.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct Key {
    /// Section and name, such as `upstream.port`.
    pub(in crate::config) path: &'static str,
    pub(in crate::config) kind: Kind,
    pub(in crate::config) default: Default,
    pub(in crate::config) effect: Effect,
    /// The environment variables that override the file, the nearest first.
    pub(in crate::config) variables: &'static [&'static str],
}

/// What a key takes.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) enum Kind {
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
    /// One of these numbers.
    OneOf(&'static [u16]),
    /// A list of texts of a certain shape, each once.
    Texts {
        allowed: &'static str,
        valid: fn(&str) -> bool,
    },
    /// Names with percents.
    Percents,
    /// Names with texts.
    Pairs,
    /// Text, a number, true or false.
    Scalar,
    /// A table of its own, described by its own keys.
    Table,
    /// A list of tables, described by their own keys.
    Entries,
}

/// What holds when the key is left out.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) enum Default {
    Flag(bool),
    Whole(u64),
    Text(&'static str),
    Statuses(&'static [u16]),
    /// The feature is off.
    Unset,
    /// It must be given.
    Required,
}

/// What it takes to put a change of a key in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// A reload: all processes go on and take it over.
    Live,
    /// A reload, which starts other workers or ends some.
    Workers,
    /// A start of the supervisor anew.
    Restart,
}

const ADDRESS: &str = "an IP address with a port, such as \"0.0.0.0:8080\" or \"[::1]:8080\"";

const STATUSES: &str = "a list of HTTP statuses from 400 to 599";

impl Key {
    pub(in crate::config) const fn new(path: &'static str, kind: Kind, default: Default) -> Self {
        Self {
            path,
            kind,
            default,
            effect: Effect::Live,
            variables: &[],
        }
    }

    pub(in crate::config) const fn flag(path: &'static str, default: bool) -> Self {
        Self::new(path, Kind::Flag, Default::Flag(default))
    }

    pub(in crate::config) const fn number(
        path: &'static str,
        (min, max): (u64, u64),
        default: u64,
    ) -> Self {
        let zero = "";
        Self::new(
            path,
            Kind::Whole { min, max, zero },
            Default::Whole(default),
        )
    }

    pub(in crate::config) const fn text(
        path: &'static str,
        allowed: &'static str,
        valid: fn(&str) -> bool,
        default: Default,
    ) -> Self {
        Self::new(path, Kind::Text { allowed, valid }, default)
    }

    /// One of these words, of which the first is the default.
    pub(in crate::config) const fn choice(
        path: &'static str,
        words: &'static [&'static str],
    ) -> Self {
        Self::new(path, Kind::Choice(words), Default::Text(words[0]))
    }

    /// A list of texts of a certain shape; empty when left out.
    pub(in crate::config) const fn texts(
        path: &'static str,
        allowed: &'static str,
        valid: fn(&str) -> bool,
    ) -> Self {
        Self::new(path, Kind::Texts { allowed, valid }, Default::Unset)
    }

    /// A table within its section.
    pub(in crate::config) const fn table(path: &'static str) -> Self {
        Self::new(path, Kind::Table, Default::Unset)
    }

    /// A list of tables within its section.
    pub(in crate::config) const fn entries(path: &'static str) -> Self {
        Self::new(path, Kind::Entries, Default::Unset)
    }

    /// What 0 means, where that is not plain.
    pub(in crate::config) const fn zero(self, zero: &'static str) -> Self {
        let kind = match self.kind {
            Kind::Whole { min, max, .. } => Kind::Whole { min, max, zero },
            kind => kind,
        };
        Self { kind, ..self }
    }

    /// The variables that override the file, the nearest first.
    pub(in crate::config) const fn variables(self, variables: &'static [&'static str]) -> Self {
        Self { variables, ..self }
    }

    pub(in crate::config) const fn takes(self, effect: Effect) -> Self {
        Self { effect, ..self }
    }

    /// The name within its section.
    pub(in crate::config) fn leaf(&self) -> &'static str {
        self.path
            .rsplit_once('.')
            .map_or(self.path, |(_, leaf)| leaf)
    }

    /// The section, empty for the top of the file.
    pub(in crate::config) fn section(&self) -> &'static str {
        self.path
            .rsplit_once('.')
            .map_or("", |(section, _)| section)
    }
}

impl Kind {
    /// A noun phrase for what may stand there.
    pub(in crate::config) fn allowed(&self) -> String {
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
            Self::OneOf(numbers) => {
                let numbers: Vec<_> = numbers.iter().map(u16::to_string).collect();
                numbers.join(" or ")
            }
            Self::Texts { allowed, .. } => format!("a list, each {allowed}"),
            Self::Percents => "a table of names, each with a whole number from 0 to 100".to_owned(),
            Self::Pairs => "a table of names, each with a text".to_owned(),
            Self::Scalar => "text, a whole number, true or false".to_owned(),
            Self::Table => "a table of keys".to_owned(),
            Self::Entries => "a list of tables".to_owned(),
        }
    }

    /// A noun phrase for a value that does not fit.
    pub(in crate::config) fn found(&self, value: &Value) -> String {
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

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::*;

    /// At compile time these are made; here as they run.
    #[test]
    fn a_key_is_what_its_maker_says() {
        let any = |_: &str| true;
        let whole = black_box(Key::number("a.n", (1, 9), 3)).zero("none");
        assert_eq!(whole.kind.allowed(), "a whole number from 1 to 9 (0: none)");
        assert!(matches!(whole.default, Default::Whole(3)));
        assert_eq!((whole.section(), whole.leaf()), ("a", "n"));
        let flag = black_box(Key::flag("f", true)).zero("nothing of this");
        assert_eq!(flag.kind.allowed(), "true or false");
        assert_eq!((flag.section(), flag.leaf()), ("", "f"));
        assert_eq!((flag.effect, flag.variables), (Effect::Live, [].as_slice()));
        let text = black_box(Key::text("t", "a word", any, Default::Required));
        assert_eq!(text.kind.allowed(), "a word");
        let texts = black_box(Key::texts("t", "a word", any));
        assert_eq!(texts.kind.allowed(), "a list, each a word");
        let choice = black_box(Key::choice("c", &["a", "b", "c"]));
        assert_eq!(choice.kind.allowed(), "\"a\", \"b\" or \"c\"");
        assert!(matches!(choice.default, Default::Text("a")));
        assert_eq!(Kind::Choice(&["a"]).allowed(), "\"a\"");
        let further = black_box(Key::table("t"))
            .variables(&["T"])
            .takes(Effect::Restart);
        assert_eq!(
            (
                further.kind.allowed().as_str(),
                further.effect,
                further.variables
            ),
            ("a table of keys", Effect::Restart, ["T"].as_slice())
        );
        let entries = black_box(Key::entries("e"));
        assert_eq!(entries.kind.allowed(), "a list of tables");
    }
}
