//! Environment variables.

use std::{collections::BTreeMap, ffi::OsString};

/// Environment variables, read through a trait so that a test can bring its own.
pub trait Vars {
    /// The value of `name`, if it is set.
    fn var(&self, name: &str) -> Option<OsString>;
}

/// The variables of this process.
#[derive(Debug, Clone, Copy)]
pub struct ProcessVars;

impl Vars for ProcessVars {
    fn var(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }
}

impl Vars for BTreeMap<String, String> {
    fn var(&self, name: &str) -> Option<OsString> {
        self.get(name).map(OsString::from)
    }
}
