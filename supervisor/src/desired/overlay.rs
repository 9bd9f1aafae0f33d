//! What was changed by API.
//!
//! The file owns what it declares: a change to such an entry is an override, which remembers the entry it overrides and holds until that
//! one is another. An entry that the file does not declare is its maker's, until the file declares one of that name.

use std::collections::BTreeMap;

use tpp::config::{Backend, VirtualHost};

/// One entry as it was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change<T> {
    /// The whole entry.
    pub entry: T,
    /// The file's own, which it overrides; `None`: the file declared none.
    pub declared: Option<T>,
}

/// The changes to entries of one kind, by their names.
pub type Changes<T> = BTreeMap<String, Change<T>>;

/// All that was changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overlay {
    /// To backends.
    pub backends: Changes<Backend>,
    /// To virtual hosts.
    pub domains: Changes<VirtualHost>,
}

/// Whose an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The file's, as it stands there.
    File,
    /// The file's, changed by API.
    Override,
    /// Made by API.
    Api,
}

impl Source {
    /// In one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Override => "override",
            Self::Api => "api",
        }
    }
}
