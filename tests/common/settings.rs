//! A tpp.toml in the making.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::upstream::Upstream;

/// Stands in every password, so that one that leaks is found by a search.
pub(crate) const PASSWORD_MARK: &str = "pAs5w0rd";

/// What a tpp is started with. Without more said: two workers, ports of the system's choice, all in one directory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    /// Section (empty for the top), then key, then the value as it stands in TOML.
    values: BTreeMap<String, BTreeMap<String, String>>,
    accounts: Vec<(String, usize)>,
    environment: Vec<(String, String)>,
    /// Text at the end of the configuration.
    further: String,
    /// Files beside the configuration.
    files: Vec<(String, String)>,
    /// A configuration's name and text instead of the one made of the above.
    instead: Option<(String, String)>,
    /// Slots that no account above fills.
    slots_besides: u64,
    through: Vec<String>,
}

/// Stands for tpp's directory in every value and file.
pub(crate) const DIRECTORY: &str = "{directory}";

/// The password of `user` in every test.
pub(crate) fn password_of(user: &str) -> String {
    format!("{PASSWORD_MARK}-of-{user}")
}

impl Settings {
    /// A tpp in front of `upstream`; it has no account yet.
    pub(crate) fn in_front_of(upstream: &Upstream) -> Self {
        let address = upstream.address();
        Self::of_gateway()
            .set("upstream.host", format!("\"{}\"", address.ip()))
            .set("upstream.port", address.port())
    }

    /// A tpp whose backends come with [`Self::further`].
    pub(crate) fn of_gateway() -> Self {
        Self::default()
            .set("listen", "\"127.0.0.1:0\"")
            .set("health_listen", "\"127.0.0.1:0\"")
            .set("control_socket", format!("\"{DIRECTORY}/control.sock\""))
            .set("state_directory", format!("\"{DIRECTORY}/state\""))
            .set("workers.count", 2)
            .set("workers.drain_timeout_seconds", 10)
            // Most tests make a line by holders that ask nothing; tests of a crowd say otherwise.
            .set("lease.contended_idle_ms", 0)
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
    pub(crate) fn account(self, upstream: &Upstream, user: &str, sessions: usize) -> Self {
        upstream.add_account(user, &password_of(user), sessions);
        self.known_account(user, sessions)
    }

    /// One more account, whatever the upstream knows of it.
    pub(crate) fn known_account(mut self, user: &str, sessions: usize) -> Self {
        self.accounts.push((user.to_owned(), sessions));
        self
    }

    /// No account so far.
    pub(crate) fn without_accounts(mut self) -> Self {
        self.accounts.clear();
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

    /// Text at the end of the configuration, after the accounts.
    pub(crate) fn further(mut self, text: &str) -> Self {
        self.further.push_str(text);
        self
    }

    /// Replaces the first `old` in that text, which must be there.
    pub(crate) fn replace(mut self, old: &str, new: &str) -> Self {
        assert!(self.further.contains(old), "{old:?} in {}", self.further);
        self.further = self.further.replacen(old, new, 1);
        self
    }

    /// A file beside the configuration.
    pub(crate) fn file(mut self, name: &str, text: &str) -> Self {
        self.files.push((name.to_owned(), text.to_owned()));
        self
    }

    /// A configuration written by hand, with so many slots; `workers.count` must still say what it asks for.
    pub(crate) fn instead(mut self, name: &str, text: &str) -> Self {
        self.instead = Some((name.to_owned(), text.to_owned()));
        self
    }

    /// Says that accounts told of elsewhere fill `count` slots more.
    pub(crate) fn slots_besides(mut self, count: u64) -> Self {
        self.slots_besides = count;
        self
    }

    /// A limit on the files that each of tpp's processes may have open.
    pub(crate) fn with_most_files(self, most: u64) -> Self {
        self.started_through(&["prlimit", &format!("--nofile={most}:{most}")])
    }

    /// A command that becomes tpp: tpp's own words come after these.
    pub(crate) fn started_through(mut self, words: &[&str]) -> Self {
        self.through
            .extend(words.iter().map(|word| (*word).to_owned()));
        self
    }

    /// The command that becomes tpp; empty: tpp itself.
    pub(crate) fn through(&self) -> &[String] {
        &self.through
    }

    pub(crate) fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// Slots that all accounts together fill.
    pub(crate) fn slots(&self) -> u64 {
        let of_accounts = self.accounts.iter().map(|(_, sessions)| *sessions as u64);
        self.slots_besides + of_accounts.sum::<u64>()
    }

    /// The number of workers asked for.
    pub(crate) fn worker_count(&self) -> usize {
        self.values["workers"]["count"]
            .parse()
            .expect("the tests give the number of workers as a number")
    }

    /// Writes all files into `directory` and returns the configuration's path.
    pub(crate) fn write_to(&self, directory: &Path) -> PathBuf {
        let (name, text) = self
            .instead
            .clone()
            .unwrap_or_else(|| ("tpp.toml".into(), self.to_toml()));
        let config = directory.join(&name);
        let place = directory.to_str().expect("a path in UTF-8");
        for (name, text) in self.files.iter().chain([&(name, text)]) {
            // At once, for tpp may read it at any time.
            let (new, path) = (directory.join(format!("{name}.new")), directory.join(name));
            fs::write(&new, text.replace(DIRECTORY, place)).expect("write a file");
            fs::rename(new, path).expect("put a file in its place");
        }
        config
    }

    fn to_toml(&self) -> String {
        let mut text = String::new();
        for (section, values) in &self.values {
            if !section.is_empty() {
                write_line(&mut text, &format!("\n[{section}]"));
            }
            for (key, value) in values {
                write_line(&mut text, &format!("{key} = {value}"));
            }
        }
        for (user, sessions) in &self.accounts {
            let password = password_of(user);
            write_line(&mut text, "\n[[credentials]]");
            write_line(
                &mut text,
                &format!("username = \"{user}\"\npassword = \"{password}\""),
            );
            write_line(&mut text, &format!("sessions = {sessions}"));
        }
        text + &self.further
    }
}

fn write_line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}
