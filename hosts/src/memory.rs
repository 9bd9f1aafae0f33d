//! An etcd in memory: revisions, transactions, listings, a watch from any revision, compaction. It is linearizable, as it has one caller
//! at a time; losing, delaying and doubling is up to who carries messages to it and back.
use std::collections::BTreeMap;

use crate::engine::{Header, Item, Outcome, Transaction, Unwritten};

/// The store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Store {
    header: Header,
    compacted: i64,
    keys: BTreeMap<String, (i64, Vec<u8>)>,
    /// Changes since the compaction, in order of revision.
    changes: Vec<Item>,
}

/// The begin of a watch is compacted away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("required revision has been compacted")]
pub struct Compacted;

impl Store {
    /// An empty store, as etcd begins: at revision 1.
    #[must_use]
    pub fn new(cluster: u64) -> Self {
        Self {
            header: Header {
                cluster,
                revision: 1,
            },
            compacted: 0,
            keys: BTreeMap::new(),
            changes: Vec::new(),
        }
    }

    /// What an answer carries now.
    #[must_use]
    pub fn header(&self) -> Header {
        self.header
    }

    /// All keys with a prefix, in order.
    #[must_use]
    pub fn list(&self, prefix: &str) -> (Header, Vec<Item>) {
        let with = self
            .keys
            .range(prefix.to_owned()..)
            .take_while(|(key, _)| key.starts_with(prefix));
        (self.header, with.map(|(key, _)| self.get(key)).collect())
    }

    /// Commits a transaction, or reads what it compares.
    pub fn commit(&mut self, transaction: &Transaction) -> Outcome {
        let revision = |key: &str| self.keys.get(key).map_or(0, |(revision, _)| *revision);
        if !transaction
            .compares
            .iter()
            .all(|compare| revision(&compare.key) == compare.revision)
            || transaction.unwritten.iter().any(|it| self.was_written(it))
        {
            let items = transaction
                .compares
                .iter()
                .map(|compare| self.get(&compare.key))
                .collect();
            return Outcome::Failed(self.header, items);
        }
        let writes: Vec<(String, Option<Vec<u8>>)> = transaction
            .writes
            .iter()
            .map(|write| (write.key.clone(), write.value.clone()))
            .collect();
        self.write(writes);
        Outcome::Succeeded(self.header)
    }

    fn was_written(&self, unwritten: &Unwritten) -> bool {
        let (_, items) = self.list(&unwritten.prefix);
        items.iter().any(|item| item.revision > unwritten.since)
    }

    /// Writes at one revision, whatever is there: for tests that do what no host does.
    pub fn write(&mut self, writes: Vec<(String, Option<Vec<u8>>)>) {
        self.header.revision += 1;
        let revision = self.header.revision;
        for (key, value) in writes {
            match &value {
                Some(value) => drop(self.keys.insert(key.clone(), (revision, value.clone()))),
                None if self.keys.remove(&key).is_none() => continue,
                None => {}
            }
            self.changes.push(Item {
                key,
                value,
                revision,
            });
        }
    }

    /// The changes of keys with a prefix from a revision on.
    ///
    /// # Errors
    /// If some of them are compacted away.
    pub fn watch(&self, prefix: &str, from: i64) -> Result<Vec<Item>, Compacted> {
        if from <= self.compacted {
            return Err(Compacted);
        }
        let new = self
            .changes
            .iter()
            .filter(|item| item.revision >= from && item.key.starts_with(prefix));
        Ok(new.cloned().collect())
    }

    /// Forgets all changes up to now.
    pub fn compact(&mut self) {
        self.compacted = self.header.revision;
        self.changes.clear();
    }

    /// One key.
    #[must_use]
    pub fn get(&self, key: &str) -> Item {
        match self.keys.get(key) {
            Some((revision, value)) => Item {
                key: key.to_owned(),
                value: Some(value.clone()),
                revision: *revision,
            },
            None => Item {
                key: key.to_owned(),
                value: None,
                revision: self.header.revision,
            },
        }
    }
}
