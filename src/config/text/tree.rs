//! A file as it was written: values without judgement, each with the place it came from.
//!
//! TOML and YAML both become this tree, so that one checker serves the two. Texts are wiped from
//! memory when the tree is dropped, as any of them may be a password.

use zeroize::Zeroizing;

/// Where a value came from.
#[derive(Clone, Copy)]
pub(in crate::config) enum Origin {
    /// A line of the configuration file, counted from 1.
    Line(usize),
    /// An environment variable.
    Variable(&'static str),
    /// The body of a request.
    Body,
}

/// A value and its place.
#[derive(Clone)]
pub(in crate::config) struct Node {
    pub(in crate::config) origin: Origin,
    pub(in crate::config) value: Value,
}

/// What may be written in a file.
#[derive(Clone)]
pub(in crate::config) enum Value {
    /// YAML's `null`, which counts as a key that was left out.
    Null,
    Flag(bool),
    Whole(i128),
    /// A number that is not whole, as it was written.
    Fraction(Zeroizing<String>),
    Text(Zeroizing<String>),
    /// What no key takes, named by its kind: a date, a number beyond all bounds.
    Other(&'static str),
    List(Vec<Node>),
    Table(Vec<Entry>),
}

/// A key and its value.
#[derive(Clone)]
pub(in crate::config) struct Entry {
    pub(in crate::config) name: String,
    pub(in crate::config) node: Node,
}

impl Node {
    /// A text node, such as an environment variable yields.
    pub(in crate::config) fn text(origin: Origin, text: &str) -> Self {
        Self {
            origin,
            value: Value::text(text),
        }
    }
}

impl Value {
    pub(in crate::config) fn text(text: &str) -> Self {
        Self::Text(Zeroizing::new(text.to_owned()))
    }

    /// A noun phrase for a message.
    pub(in crate::config) fn describe(&self) -> String {
        match self {
            Self::Flag(flag) => flag.to_string(),
            Self::Whole(number) => number.to_string(),
            Self::Fraction(text) => text.to_string(),
            Self::Text(text) => quoted(text),
            Self::Null | Self::Other(_) | Self::List(_) | Self::Table(_) => self.kind().to_owned(),
        }
    }

    /// A noun phrase that gives nothing of the value away, for keys that bear a secret.
    pub(in crate::config) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Flag(_) => "true or false without quotes",
            Self::Whole(_) | Self::Fraction(_) => "a number without quotes",
            Self::Text(text) if text.is_empty() => "empty text",
            Self::Text(_) => "text",
            Self::Other(kind) => kind,
            Self::List(items) if items.is_empty() => "an empty list",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// The longest stretch of a value that a message repeats, in characters.
const SHOWN: usize = 60;

/// `text` in quotes, its control characters escaped, cut when it is long. What stands before an `@` is
/// left out: an address pasted with its `user:password@` must not reach a log.
pub(in crate::config) fn quoted(text: &str) -> String {
    let (hidden, rest) = match text.rfind('@') {
        Some(at) => ("…", &text[at..]),
        None => ("", text),
    };
    let cut = if rest.chars().count() > SHOWN {
        "…"
    } else {
        ""
    };
    let shown: String = rest.chars().take(SHOWN).collect();
    format!("\"{hidden}{}{cut}\"", shown.escape_debug())
}

/// A key as a message shows it: bare when it is plain, else quoted and cut.
pub(in crate::config) fn shown_key(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.len() <= SHOWN && name.chars().all(plain) {
        name.to_owned()
    } else {
        quoted(name)
    }
}
