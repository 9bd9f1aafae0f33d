//! The configuration from the outside.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::{collections::BTreeMap, path::Path};

use tpp::config::{Config, Format, Problems, Vars};

mod files;
mod full;
mod gateway;
mod hostile;
mod hosts;
mod messages;
mod values;
mod watching;

/// Relative, so that the messages hold no directory of this machine; tests run in the package's own.
const FIXTURES: &str = "fixtures/config";

/// Begins the password of every fixture.
const PASSWORD: &str = "hunter2";

/// The least that a configuration needs.
const LEAST: &str =
    "[upstream]\nhost = 'db'\n[[credentials]]\nusername = 'user1'\npassword = 'hunter2'\n";

type Variables = BTreeMap<String, String>;

fn variables(pairs: &[(&str, &str)]) -> Variables {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

/// Parses `text` as the file `name`, beside the fixtures' own files.
fn parse(name: &str, text: &str, vars: &dyn Vars) -> Result<Config, Problems> {
    let name = Path::new(name);
    tpp::config::parse(text, name, Format::of(name), Path::new(FIXTURES), vars)
}

fn toml(text: &str) -> Config {
    parse("tpp.toml", text, &Variables::new()).unwrap()
}
