//! The tpp and the upstream under torment, what is wrong with them now, and how it is put right.

mod wrongs;

use std::{
    collections::{HashSet, VecDeque},
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::{
    browser::{Authority, Issued},
    common::{
        command::Outcome,
        journal::Journal,
        processes,
        proxy::Proxy,
        settings::{Settings, password_of},
        upstream::{Oracle, Seen, Upstream},
        wait_until,
    },
    judge::{Held, Judge, Span, WORKER_TIMEOUT},
    servers::Servers,
};

/// Tokens in the beginning: fewer than clients.
const TOKENS: usize = 8;
const WORKERS: usize = 3;
/// A token turned down younger than this is not renewed at once.
const FRESH: Duration = Duration::from_secs(6);

/// Where clients come over TLS; they are shown one certificate.
const FRONT: &str = "\n[[listeners]]\naddress = \"127.0.0.2:0\"\ntls = true\n\
                     [[certificates]]\nname = \"one\"\ncert_file = \"one.pem\"\nkey_file = \"one.key\"\n";
/// Whom it is for.
pub(crate) const HOST: &str = "tpp.test";

/// How the supervisor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Supervisor {
    Up,
    Stopped,
    Dead,
}

/// Something that is wrong, and is put right at its time.
#[derive(Debug)]
pub(crate) enum Wrong {
    /// A worker stands, and is to go on.
    Stopped(u32),
    /// A worker stands until it is dead.
    Hanging(u32),
    Supervisor,
    Logins,
    LoginsOf(String),
    Upstream,
}

/// The whole.
pub(crate) struct Scene<'a> {
    pub(crate) proxy: Proxy,
    /// Whom clients over TLS trust, and where they come.
    pub(crate) authority: Authority,
    pub(crate) front: SocketAddr,
    certificate: Issued,
    pub(crate) servers: Servers,
    pub(crate) judge: Judge,
    pub(crate) journal: &'a Journal,
    pub(crate) supervisor: Supervisor,
    /// `lease.abandoned`, by the seed.
    abandoned: &'static str,
    /// What the file says.
    pub(crate) settings: Settings,
    /// Accounts of one session each; a name that was given up does not come back.
    pub(crate) users: VecDeque<String>,
    pub(crate) users_named: usize,
    pub(crate) wrongs: Vec<(Instant, Wrong)>,
    /// Since when not every slot may have a good token.
    logins_in_trouble: Option<Instant>,
    upstream_away: Option<Span>,
    /// A signal has asked for an upgrade, and nobody has looked yet what came of it.
    pub(crate) upgrading: bool,
    /// Workers that were ready when the supervisor was last known to look after them.
    pub(crate) last_ready: Vec<u32>,
}

impl<'a> Scene<'a> {
    pub(crate) fn set(seed: u64, journal: &'a Journal) -> Self {
        let servers = Servers::start(seed);
        servers.oracle().watch_service();
        let mut users = VecDeque::new();
        let mut users_named = 0;
        for _ in 0..TOKENS {
            users.push_back(name_user(&servers, &mut users_named));
        }
        let abandoned = ["wait", "login"][usize::from(seed.is_multiple_of(2))];
        let authority = Authority::new();
        let certificate = authority.issue(&[HOST]);
        let settings = settings(&servers, abandoned, &users, WORKERS, &certificate);
        let proxy = Proxy::start_copy(&settings);
        let front = proxy.status().listen[1].parse().expect("an address");
        Self {
            proxy,
            authority,
            front,
            certificate,
            servers,
            abandoned,
            judge: Judge::default(),
            journal,
            supervisor: Supervisor::Up,
            settings,
            users,
            users_named,
            wrongs: Vec::new(),
            logins_in_trouble: None,
            upstream_away: None,
            upgrading: false,
            last_ready: Vec::new(),
        }
    }

    /// The one that the file names.
    pub(crate) fn upstream(&self) -> &Upstream {
        self.servers.upstream()
    }

    pub(crate) fn oracle(&self) -> &Oracle {
        self.servers.oracle()
    }

    /// What has reached either upstream since it was last asked, in order of time.
    pub(crate) fn take_seen(&self) -> Vec<Seen> {
        self.servers.take_seen()
    }

    pub(crate) fn note(&self, what: impl Into<String>) {
        self.journal.note(what);
    }

    /// Writes a configuration with other accounts and workers. It is in force once somebody reads it.
    pub(crate) fn change_settings(&mut self, tokens: usize, workers: usize) {
        let rest = tokens.min(self.users.len() - 2);
        while self.users.len() > rest {
            let removed = self.users.pop_front().expect("there are more");
            self.judge.note_removed(&removed);
        }
        while self.users.len() < tokens {
            let name = name_user(&self.servers, &mut self.users_named);
            self.users.push_back(name);
        }
        self.settings = settings(
            &self.servers,
            self.abandoned,
            &self.users,
            workers,
            &self.certificate,
        );
        self.settings.write_to(self.proxy.directory());
    }

    /// Stops a worker and says what it holds.
    pub(crate) fn stop(&self, pid: u32) -> Held {
        let since = Instant::now();
        processes::stop(pid);
        let mut ports = self.peers_of(pid);
        // A supervisor that has it drain tells it to go on.
        while processes::is_alive(pid) && !processes::is_stopped(pid) {
            processes::stop(pid);
            ports.extend(self.peers_of(pid));
        }
        self.note(format!(
            "worker {pid} stopped with {} connections",
            ports.len()
        ));
        Held {
            pid,
            since,
            read: Instant::now(),
            ports,
        }
    }

    /// The ports of the clients whose connections a worker has.
    fn peers_of(&self, pid: u32) -> HashSet<u16> {
        let doors = [self.proxy.address(), self.front];
        let peers = doors.map(|door| processes::peers_of(pid, door));
        peers.into_iter().flatten().collect()
    }

    /// Whether there is a supervisor that answers `tppctl`. An upgrade that is under way is waited for: it breaks off
    /// what the executable before it was asked.
    pub(crate) fn can_be_asked(&mut self) -> bool {
        let is_up = self.supervisor == Supervisor::Up;
        if is_up && std::mem::take(&mut self.upgrading) {
            wait_until("the new executable is in charge", || {
                self.proxy.runs_image(self.proxy.image())
            });
            self.proxy.learn_addresses();
        }
        is_up
    }

    /// Notes which workers are ready, for the time when nobody can be asked. False: the supervisor is not there, or
    /// workers are being replaced, and nobody knows which of them will stay.
    pub(crate) fn find_ready_workers(&mut self) -> bool {
        if !self.can_be_asked() {
            return false;
        }
        let workers = self.proxy.workers();
        let is_settled = workers.iter().all(|worker| worker.state == "ready");
        let standing = self.standing();
        self.last_ready = workers.iter().map(|worker| worker.pid).collect();
        self.last_ready
            .retain(|pid| !standing.contains(pid) && processes::is_alive(*pid));
        is_settled && !self.last_ready.is_empty()
    }

    /// Workers that were stopped.
    pub(crate) fn standing(&self) -> Vec<u32> {
        let standing = self.wrongs.iter().filter_map(|(_, wrong)| match wrong {
            Wrong::Stopped(pid) | Wrong::Hanging(pid) => Some(*pid),
            _ => None,
        });
        standing.collect()
    }

    pub(crate) fn is_upstream_away(&self) -> bool {
        self.upstream_away.is_some()
    }

    /// Replacing workers or the executable while workers are struck down may fail, but must say why.
    pub(crate) fn may_be_refused(&self, outcome: &Outcome) {
        let is_told = outcome.code == Some(1) && !outcome.err.is_empty();
        assert!(outcome.code == Some(0) || is_told, "{outcome:?}");
        if is_told {
            self.note(format!("refused: {}", outcome.err.trim()));
        }
    }
}

fn name_user(servers: &Servers, named: &mut usize) -> String {
    let name = format!("user{named}");
    *named += 1;
    servers.add_account(&name, &password_of(&name));
    name
}

fn settings(
    servers: &Servers,
    abandoned: &str,
    users: &VecDeque<String>,
    workers: usize,
    certificate: &Issued,
) -> Settings {
    let settings = servers
        .settings()
        .workers(workers)
        // Longer than any pause of those who behave.
        .set("client.stall_timeout_seconds", 4)
        .set("client.min_rate_bytes_per_second", 20_000)
        .set("lease.abandoned", format!("\"{abandoned}\""))
        // Longer than the upstream works at anything.
        .set("lease.abandoned_wait_seconds", 5)
        .set("workers.worker_timeout_seconds", WORKER_TIMEOUT.as_secs())
        // Longer than any connection lasts: draining cuts nobody.
        .set("workers.drain_timeout_seconds", 120)
        .set("token.login_timeout_seconds", 3)
        .further(FRONT)
        .file("one.pem", &certificate.pem)
        .file("one.key", &certificate.key());
    users
        .iter()
        .fold(settings, |settings, user| settings.known_account(user, 1))
}
