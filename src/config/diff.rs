//! What differs between two configurations: the one place where they are compared.

use std::fmt;

use super::{
    Config,
    section::{
        Section,
        credentials::Turnover,
        listen::{self, SOCKETS},
    },
    text::key::{Effect, Key},
};

/// What differs. Its `Display` says it in a few words, without a secret: `changed: listen, accounts (1 added)`.
#[derive(Debug)]
pub struct Diff {
    keys: Vec<&'static Key>,
    accounts: Turnover,
}

impl Config {
    /// What differs in `new`.
    #[must_use]
    pub fn diff(&self, new: &Self) -> Diff {
        let mut keys = listen::differing(self, new);
        keys.extend(self.workers.differing(&new.workers));
        keys.extend(self.upstream.differing(&new.upstream));
        keys.extend(self.client.differing(&new.client));
        keys.extend(self.token.differing(&new.token));
        keys.extend(self.lease.differing(&new.lease));
        keys.extend(self.telemetry.differing(&new.telemetry));
        Diff {
            keys,
            accounts: Turnover::between(&self.credentials, &new.credentials),
        }
    }
}

impl Diff {
    /// The keys that no reload can put in force, in the order of `tpp.toml`.
    #[must_use]
    pub fn at_restart(&self) -> Vec<&'static str> {
        let fixed = self.keys.iter().filter(|key| key.effect == Effect::Restart);
        fixed.map(|key| key.path).collect()
    }

    /// The keys that open other sockets.
    #[must_use]
    pub fn sockets(&self) -> Vec<&'static str> {
        let keys = self.keys.iter().map(|key| key.path);
        keys.filter(|path| SOCKETS.contains(path)).collect()
    }

    /// Each section, or key at the top of the file, once.
    fn places(&self) -> Vec<&'static str> {
        let mut places: Vec<_> = self
            .keys
            .iter()
            .map(|key| match key.section() {
                "" => key.path,
                section => section,
            })
            .collect();
        places.dedup();
        places
    }
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = self.places().into_iter().map(str::to_owned);
        let all: Vec<_> = places.chain(self.accounts.words()).collect();
        if all.is_empty() {
            f.write_str("nothing has changed")
        } else {
            write!(f, "changed: {}", all.join(", "))
        }
    }
}

#[cfg(test)]
mod tests;
