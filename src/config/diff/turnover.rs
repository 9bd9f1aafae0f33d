//! What became of a list's entries.

use std::{collections::HashMap, fmt};

/// How many entries came, went and changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turnover {
    /// What the list is called.
    list: &'static str,
    added: usize,
    removed: usize,
    changed: usize,
}

impl Turnover {
    /// From `old` to `new`, whose entries are told apart by `key`.
    pub(super) fn between<'e, T: PartialEq + 'e>(
        list: &'static str,
        key: impl Fn(&'e T) -> &'e str,
        old: impl IntoIterator<Item = &'e T>,
        new: impl IntoIterator<Item = &'e T>,
    ) -> Self {
        let mut left: HashMap<_, _> = old.into_iter().map(|one| (key(one), one)).collect();
        let (mut added, mut changed) = (0, 0);
        for entry in new {
            match left.remove(key(entry)) {
                None => added += 1,
                Some(before) if before != entry => changed += 1,
                Some(_) => {}
            }
        }
        Self {
            list,
            added,
            removed: left.len(),
            changed,
        }
    }

    pub(super) fn is_none(&self) -> bool {
        self.added + self.removed + self.changed == 0
    }
}

/// `accounts (1 added, 2 changed)`.
impl fmt::Display for Turnover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.added, "added"),
            (self.removed, "removed"),
            (self.changed, "changed"),
        ];
        let words: Vec<_> = counts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, how)| format!("{count} {how}"))
            .collect();
        write!(f, "{} ({})", self.list, words.join(", "))
    }
}
