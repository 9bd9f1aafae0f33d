//! What goes to etcd and what comes back: the engine's side of the core, without an engine.
//!
//! All is linearizable: reads and transactions alike. An engine that serves a read from a member's own state breaks the
//! guard against restored backups.

/// What every answer carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header {
    /// etcd's `cluster_id`.
    pub cluster: u64,
    /// The store's revision.
    pub revision: i64,
}

/// A key as it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Item {
    /// The whole key.
    pub key: String,
    /// Its value; `None`: there is none.
    pub value: Option<Vec<u8>>,
    /// `mod_revision` of a key that is there. Of one that is not: the revision of its deletion (watch), or the header's
    /// revision (answer to a transaction).
    pub revision: i64,
}

/// A condition: the key's `mod_revision` is this. 0: the key is not there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Compare {
    /// The whole key.
    pub key: String,
    /// Its `mod_revision`.
    pub revision: i64,
}

/// A condition: of all keys with this prefix none was written after this revision. Deletions do not count.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Unwritten {
    /// What the keys begin with.
    pub prefix: String,
    /// The highest `mod_revision` that one of them may have.
    pub since: i64,
}

/// A put, or a deletion where there is no value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Write {
    /// The whole key.
    pub key: String,
    /// What it becomes.
    pub value: Option<Vec<u8>>,
}

/// One transaction: if all conditions hold, all writes are done at one revision. Else each compared key is read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Transaction {
    /// Conditions; their keys are also what the `else` branch gets. At most 100.
    pub compares: Vec<Compare>,
    /// Further conditions; nothing of these is read in the `else` branch.
    pub unwritten: Vec<Unwritten>,
    /// What is written. At most 100.
    pub writes: Vec<Write>,
}

/// What became of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was committed at the header's revision.
    Succeeded(Header),
    /// A condition did not hold. Every compared key as it is, those that are not there included.
    Failed(Header, Vec<Item>),
    /// Nobody knows: no answer in time, a broken connection, an error that does not exclude that it was, or will be,
    /// committed. Whatever is not one of the other two is this.
    Ambiguous,
}

/// Names a request to the engine, so that its answer can be told. Never used twice in a process.
pub type Ticket = u64;
