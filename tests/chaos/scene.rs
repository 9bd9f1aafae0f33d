//! The tpp and the upstream under torment, what is wrong with them now, and how it is put right.

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
        upstream::{Login, Oracle, Seen, Upstream},
        wait_until,
    },
    judge::{Held, Judge, Span},
    servers::Servers,
};
use nix::sys::signal::Signal;

/// Tokens in the beginning: fewer than clients.
const TOKENS: usize = 8;
const WORKERS: usize = 3;
/// After this a worker without a heartbeat is killed.
pub(crate) const WORKER_TIMEOUT: Duration = Duration::from_secs(6);
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

    /// Puts something right after `delay`.
    pub(crate) fn right_later(&mut self, delay: Duration, wrong: Wrong) {
        self.wrongs.push((Instant::now() + delay, wrong));
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

    /// Puts right whatever is due.
    pub(crate) fn right_what_is_due(&mut self) {
        let now = Instant::now();
        let (due, later) = std::mem::take(&mut self.wrongs)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.wrongs = later;
        let due: Vec<(Instant, Wrong)> = due;
        due.into_iter().for_each(|(_, wrong)| self.right(wrong));
        self.look_at_logins();
    }

    /// Puts everything right, and waits until tpp is whole.
    pub(crate) fn heal(&mut self) {
        self.note("healing");
        for (_, wrong) in std::mem::take(&mut self.wrongs) {
            match wrong {
                Wrong::Hanging(pid) => self.wrongs.push((Instant::now(), Wrong::Hanging(pid))),
                wrong => self.right(wrong),
            }
        }
        // There is a supervisor again, and it finds them out.
        for (_, wrong) in std::mem::take(&mut self.wrongs) {
            if let Wrong::Hanging(pid) = &wrong {
                wait_until("the worker that hangs is killed", || {
                    !processes::is_stopped(*pid)
                });
            }
            self.right(wrong);
        }
        self.can_be_asked();
        let outcome = self.proxy.ctl(&["reload"]);
        assert_eq!(
            outcome.code,
            Some(0),
            "the configuration is good: {outcome:?}"
        );
        if self.logins_in_trouble.is_some() {
            let outcome = self.proxy.ctl(&["refresh", "--all"]);
            assert_eq!(outcome.code, Some(0), "{outcome:?}");
        }
        wait_until("every account has a good token", || {
            self.look_at_logins();
            self.logins_in_trouble.is_none()
        });
        let (tokens, workers) = (self.settings.slots(), self.settings.worker_count());
        wait_until("all tokens are in", || self.proxy.pool().total == tokens);
        self.proxy.wait_until_ready(workers);
        self.note("healed");
    }

    fn right(&mut self, wrong: Wrong) {
        self.note(format!("put right: {wrong:?}"));
        match wrong {
            Wrong::Stopped(pid) if self.judge.may_pass_for_dead(pid) => self.end_hanging(pid),
            Wrong::Stopped(pid) => {
                processes::send(pid, Signal::SIGCONT);
                self.judge.goes_on(pid);
            }
            Wrong::Hanging(pid) => self.end_hanging(pid),
            Wrong::Supervisor => self.right_the_supervisor(),
            Wrong::Logins => self.servers.script_logins(Login::Accept),
            Wrong::LoginsOf(user) => self.servers.script_login(&user, Login::Accept),
            Wrong::Upstream => {
                self.servers.come_up();
                self.upstream_is_back();
            }
        }
    }

    /// It may have been found out already. Or it hangs no more: a stopped process whose parent dies is continued by
    /// the system.
    fn end_hanging(&mut self, pid: u32) {
        if self.proxy.worker_pids().contains(&pid) {
            let held = self.stop(pid);
            self.judge.note_death(held);
            processes::send(pid, Signal::SIGKILL);
        }
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

    fn right_the_supervisor(&mut self) {
        match self.supervisor {
            Supervisor::Up => {}
            Supervisor::Stopped => self.proxy.signal_supervisor(Signal::SIGCONT),
            Supervisor::Dead => self.proxy.start_successor(),
        }
        self.upgrading &= self.supervisor == Supervisor::Stopped;
        self.supervisor = Supervisor::Up;
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

    /// Kills the supervisor; another one comes after `length`.
    pub(crate) fn supervisor_dies(&mut self, length: Duration) {
        self.trouble_logins();
        self.proxy.kill_supervisor();
        self.supervisor = Supervisor::Dead;
        self.right_later(length, Wrong::Supervisor);
    }

    /// Something has happened that may leave a slot without a good token for a while.
    pub(crate) fn trouble_logins(&mut self) {
        self.logins_in_trouble.get_or_insert_with(Instant::now);
    }

    /// Tokens are about to expire, which no client must see if they are not brand-new.
    pub(crate) fn tokens_expire(&mut self) {
        let youngest = self.servers.youngest_token();
        if youngest.is_some_and(|age| age < FRESH) {
            self.trouble_logins();
        }
    }

    /// The trouble is over once nothing stands in a login's way and each account has a good token.
    fn look_at_logins(&mut self) {
        let is_in_the_way = |wrong: &Wrong| !matches!(wrong, Wrong::Stopped(_) | Wrong::Hanging(_));
        let in_the_way = self.wrongs.iter().any(|(_, wrong)| is_in_the_way(wrong));
        let (users, upstream) = (&self.users, self.servers.upstream());
        let is_over = || !in_the_way && users.iter().all(|user| upstream.is_logged_in(user));
        if let Some(from) = self.logins_in_trouble
            && is_over()
        {
            self.logins_in_trouble = None;
            let until = Some(Instant::now());
            self.judge.note_logins(Span { from, until });
        }
    }

    /// The upstream is about to be cut or to go away.
    pub(crate) fn upstream_goes(&mut self) {
        self.upstream_away = Some(Span::beginning_now());
        self.trouble_logins();
    }

    pub(crate) fn upstream_is_back(&mut self) {
        if let Some(mut span) = self.upstream_away.take() {
            span.until = Some(Instant::now());
            self.judge.note_upstream(span);
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
