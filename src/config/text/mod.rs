//! Reading text: from a file's bytes to values that are checked one at a time, each with its place for a message.
//!
//! Nothing here knows a key of tpp's: `section` brings them.

pub(super) mod choice;
pub(super) mod collections;
pub(super) mod file;
pub(super) mod key;
pub(super) mod notation;
pub(super) mod paths;
pub(super) mod problem;
pub(super) mod reader;
pub(super) mod shape;
pub(super) mod spelled;
pub(super) mod tree;
pub(super) mod unknown;
pub(super) mod values;
pub(super) mod vars;
pub(super) mod write;
