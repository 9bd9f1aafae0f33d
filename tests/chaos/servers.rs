//! The two upstreams that tpp is moved between. What goes wrong goes wrong at both.

use std::time::Duration;

use crate::{
    common::{
        dice::Dice,
        settings::{DIRECTORY, Settings},
        upstream::{Login, Oracle, Seen, Upstream},
    },
    door::TlsDoor,
};

#[derive(Debug)]
struct Server {
    upstream: Upstream,
    /// It speaks TLS.
    door: Option<TlsDoor>,
}

/// Both of them, and which one the configuration names.
#[derive(Debug)]
pub(crate) struct Servers {
    both: [Server; 2],
    named: usize,
}

impl Server {
    fn start(upstream: Upstream, speaks_tls: bool) -> Self {
        let door = speaks_tls.then(|| TlsDoor::to(upstream.address(), "127.0.0.1"));
        Self { upstream, door }
    }
}

impl Servers {
    /// Which of them speak TLS the seed says: at least one does.
    pub(crate) fn start(seed: u64) -> Self {
        let tls = *Dice::new(seed).pick(&[[true, false], [false, true], [true, true]]);
        let first = Upstream::start();
        let second = Upstream::start_under(first.oracle().clone());
        Self {
            both: [Server::start(first, tls[0]), Server::start(second, tls[1])],
            named: 0,
        }
    }

    /// The one that the configuration names.
    pub(crate) fn upstream(&self) -> &Upstream {
        &self.both[self.named].upstream
    }

    fn each(&self) -> impl Iterator<Item = &Upstream> {
        self.both.iter().map(|server| &server.upstream)
    }

    /// They share one judge.
    pub(crate) fn oracle(&self) -> &Oracle {
        self.upstream().oracle()
    }

    /// From now on the configuration names the other one, which knows none of the tokens that it issued before.
    pub(crate) fn move_to_other(&mut self) {
        self.named = 1 - self.named;
        self.upstream().expire_all();
        self.oracle().note_move();
    }

    /// A tpp in front of the one that is named, without accounts.
    pub(crate) fn settings(&self) -> Settings {
        let Server { upstream, door } = &self.both[self.named];
        let settings = Settings::in_front_of(upstream);
        let Some(door) = door else {
            return settings;
        };
        let file = format!("authority{}.pem", self.named);
        settings
            .set("upstream.port", door.address().port())
            .set("upstream.tls", true)
            .set("upstream.ca_file", format!("\"{DIRECTORY}/{file}\""))
            .file(&file, door.authority())
    }

    pub(crate) fn add_account(&self, user: &str, password: &str) {
        self.each()
            .for_each(|upstream| upstream.add_account(user, password, 1));
    }

    pub(crate) fn script_logins(&self, login: Login) {
        self.each()
            .for_each(|upstream| upstream.script_logins(login.clone()));
    }

    pub(crate) fn script_login(&self, user: &str, login: Login) {
        self.each()
            .for_each(|upstream| upstream.script_login(user, login.clone()));
    }

    pub(crate) fn expire_all(&self) {
        self.each().for_each(Upstream::expire_all);
    }

    pub(crate) fn expire(&self, user: &str) {
        self.each().for_each(|upstream| upstream.expire(user));
    }

    pub(crate) fn youngest_token(&self) -> Option<Duration> {
        self.each().filter_map(Upstream::youngest_token).min()
    }

    pub(crate) fn cut_connections(&self) {
        self.each().for_each(Upstream::cut_connections);
        self.cut_at_the_doors();
    }

    pub(crate) fn go_down(&mut self) {
        self.both
            .iter_mut()
            .for_each(|server| server.upstream.go_down());
        self.cut_at_the_doors();
    }

    /// What was cut behind a door is not seen before it at once.
    fn cut_at_the_doors(&self) {
        let doors = self.both.iter().filter_map(|server| server.door.as_ref());
        doors.for_each(TlsDoor::cut_connections);
    }

    pub(crate) fn come_up(&mut self) {
        self.both
            .iter_mut()
            .for_each(|server| server.upstream.come_up());
    }

    /// What has reached either of them since it was last asked, in order of time.
    pub(crate) fn take_seen(&self) -> Vec<Seen> {
        let mut seen: Vec<Seen> = self.each().flat_map(Upstream::take_seen).collect();
        seen.sort_by_key(|seen| seen.at);
        seen
    }
}
