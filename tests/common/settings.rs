//! A tpp.toml in the making.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use super::upstream::Upstream;

/// Stands in every password, so that one that leaks is found by a search.
pub(crate) const PASSWORD_MARK: &str = "pAs5w0rd";

/// What a tpp is started with. Without more said: two workers, ports of the system's choice, all in one directory.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Section (empty for the top), then key, then the value as it stands in TOML.
    values: BTreeMap<String, BTreeMap<String, String>>,
    accounts: Vec<(String, usize)>,
    environment: Vec<(String, String)>,
}

/// The password of `user` in every test.
pub(crate) fn password_of(user: &str) -> String {
    format!("{PASSWORD_MARK}-of-{user}")
}

impl Settings {
    /// A tpp in front of `upstream`; it has no account yet.
    pub(crate) fn in_front_of(upstream: &Upstream) -> Self {
        let settings = Self {
            values: BTreeMap::new(),
            accounts: Vec::new(),
            environment: Vec::new(),
        };
        let address = upstream.address();
        settings
            .set("listen", "\"127.0.0.1:0\"")
            .set("health_listen", "\"127.0.0.1:0\"")
            .set("workers.count", 2)
            .set("workers.drain_timeout_seconds", 10)
            .set("upstream.host", format!("\"{}\"", address.ip()))
            .set("upstream.port", address.port())
    }

    /// Sets `key` of the top level or `section.key`; `value` is TOML, so that a string has its quotes.
    pub(crate) fn set(mut self, key: &str, value: impl ToString) -> Self {
        let (section, key) = key.rsplit_once('.').unwrap_or(("", key));
        let section = self.values.entry(section.to_owned()).or_default();
        section.insert(key.to_owned(), value.to_string());
        self
    }

    pub(crate) fn workers(self, count: usize) -> Self {
        self.set("workers.count", count)
    }

    /// One more account, known to the upstream too.
    pub(crate) fn account(mut self, upstream: &Upstream, user: &str, sessions: usize) -> Self {
        upstream.add_account(user, &password_of(user), sessions);
        self.accounts.push((user.to_owned(), sessions));
        self
    }

    /// `count` accounts `user0`, `user1`, … of one session each.
    pub(crate) fn accounts(self, upstream: &Upstream, count: usize) -> Self {
        (0..count).fold(self, |settings, number| {
            settings.account(upstream, &format!("user{number}"), 1)
        })
    }

    /// A variable in tpp's environment.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// Slots that all accounts together fill.
    pub(crate) fn slots(&self) -> u64 {
        self.accounts
            .iter()
            .map(|(_, sessions)| *sessions as u64)
            .sum()
    }

    /// The number of workers asked for.
    pub(crate) fn worker_count(&self) -> usize {
        self.values["workers"]["count"]
            .parse()
            .expect("the tests give the number of workers as a number")
    }

    /// The file's text.
    pub(crate) fn to_toml(&self, control_socket: &Path) -> String {
        let mut text = format!("control_socket = \"{}\"\n", control_socket.display());
        for (section, values) in &self.values {
            if !section.is_empty() {
                writeln!(text, "\n[{section}]").expect("a String takes it");
            }
            for (key, value) in values {
                writeln!(text, "{key} = {value}").expect("a String takes it");
            }
        }
        for (user, sessions) in &self.accounts {
            let password = password_of(user);
            write!(
                text,
                "\n[[credentials]]\nusername = \"{user}\"\npassword = \"{password}\"\nsessions = {sessions}\n"
            )
            .expect("a String takes it");
        }
        text
    }
}
