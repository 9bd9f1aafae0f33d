//! The changes: each is made as an administrator makes it, and is in force when the next one begins.

use std::{collections::VecDeque, net::SocketAddr};

use nix::sys::signal::Signal;

use crate::common::{
    dice::Dice,
    journal::Journal,
    proxy::Proxy,
    settings::{Settings, password_of},
    upstream::{Oracle, Upstream},
    wait_until,
};

/// Tokens at least: fewer than clients, so that some stand in line, but more than connections that stay.
const LEAST_TOKENS: usize = 33;
const MORE_TOKENS: usize = 9;
const MOST_WORKERS: usize = 4;

/// One change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Reload,
    ReplaceWorkers,
    Upgrade,
    KillSupervisor,
}

/// Accounts of one or two sessions. What was given up, an account or a session, does not come back, for its slot may
/// still be held: so no account has more sessions than the upstream allows it at any time, and more connections than
/// that are a fault.
#[derive(Debug, Default)]
struct Accounts {
    in_force: VecDeque<Account>,
    named: usize,
}

#[derive(Debug)]
struct Account {
    name: String,
    sessions: usize,
    /// Its sessions change.
    changes: bool,
}

/// A tpp, its upstream and its administrator.
pub(crate) struct Office<'a> {
    upstream: Upstream,
    proxy: Proxy,
    accounts: Accounts,
    settings: Settings,
    dice: Dice,
    journal: &'a Journal,
    done: [usize; 4],
}

// === impl Accounts ===

impl Accounts {
    fn tokens(&self) -> usize {
        self.in_force.iter().map(|account| account.sessions).sum()
    }

    fn add(&mut self, upstream: &Upstream, dice: &mut Dice) {
        let name = format!("user{}", self.named);
        self.named += 1;
        let (changes, sessions) = (dice.one_in(2), 1 + dice.below(2));
        let most = if changes { 2 } else { sessions };
        upstream.add_account(&name, &password_of(&name), most);
        self.in_force.push_back(Account {
            name,
            sessions,
            changes,
        });
    }

    /// Some go, some change, others come, until there are about so many `tokens`.
    fn change(&mut self, tokens: usize, upstream: &Upstream, dice: &mut Dice) {
        for _ in 0..1 + dice.below(6) {
            self.in_force.pop_front();
        }
        for account in &mut self.in_force {
            if account.changes && dice.one_in(4) {
                account.changes = account.sessions == 1;
                account.sessions = 3 - account.sessions;
            }
        }
        while self.tokens() > tokens {
            self.in_force.pop_front();
        }
        while self.tokens() < tokens {
            self.add(upstream, dice);
        }
    }
}

// === impl Office ===

impl<'a> Office<'a> {
    pub(crate) fn open(seed: u64, journal: &'a Journal) -> Self {
        let mut dice = Dice::new(seed);
        let upstream = Upstream::start();
        let mut accounts = Accounts::default();
        accounts.change(LEAST_TOKENS, &upstream, &mut dice);
        let settings = settings(&upstream, &accounts, 2);
        let proxy = Proxy::start_copy(&settings);
        Self {
            upstream,
            proxy,
            accounts,
            settings,
            dice,
            journal,
            done: [0; 4],
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.proxy.address()
    }

    pub(crate) fn oracle(&self) -> Oracle {
        self.upstream.oracle().clone()
    }

    /// Makes one change and waits until it is in force.
    pub(crate) fn undergo(&mut self, change: Change) {
        let number = self.done[change as usize];
        self.done[change as usize] += 1;
        self.journal
            .note(format!("{change:?} {} begins", number + 1));
        match change {
            Change::Reload => self.reload(number.is_multiple_of(2)),
            Change::ReplaceWorkers => self.replace_workers(),
            Change::Upgrade if number.is_multiple_of(2) => {
                self.upgrade_to(&format!("tpp.{number}"))
            }
            Change::Upgrade => self.upgrade_by_signal(),
            Change::KillSupervisor => self.kill_supervisor(),
        }
        let (workers, tokens) = (self.settings.worker_count(), self.settings.slots());
        self.proxy.wait_until_ready(workers);
        wait_until("all tokens are in", || self.proxy.pool().total == tokens);
        self.journal.note(format!(
            "{change:?} {} is done: {workers} workers, {tokens} tokens",
            number + 1
        ));
    }

    /// Other accounts and another number of workers, by command or by signal.
    fn reload(&mut self, by_command: bool) {
        let tokens = LEAST_TOKENS + self.dice.below(MORE_TOKENS);
        self.accounts.change(tokens, &self.upstream, &mut self.dice);
        let before = self.settings.worker_count();
        let workers = 1 + (before + self.dice.below(MOST_WORKERS - 1)) % MOST_WORKERS;
        self.settings = settings(&self.upstream, &self.accounts, workers);
        self.settings.write_to(self.proxy.directory());
        self.journal
            .note(format!("to {workers} workers, {tokens} tokens"));
        if by_command {
            let outcome = self.proxy.ctl(&["reload"]);
            assert_eq!(outcome.code, Some(0), "{outcome:?}");
            assert!(
                outcome.out.contains("workers") && outcome.out.contains("accounts"),
                "{outcome:?}"
            );
            return;
        }
        let generation = self.proxy.status().config_generation;
        self.proxy.signal_supervisor(Signal::SIGHUP);
        wait_until("the new configuration is in force", || {
            self.proxy.status().config_generation == generation + 1
        });
    }

    fn replace_workers(&self) {
        let before = self.ready_pids();
        let outcome = self.proxy.ctl(&["restart"]);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        self.assert_replaced(&before);
    }

    /// To an executable at another path.
    fn upgrade_to(&mut self, name: &str) {
        let (pid, before) = (self.proxy.status().pid, self.ready_pids());
        let image = self.proxy.another_image(name);
        let outcome = self.proxy.upgrade(Some(&image));
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert!(self.proxy.runs_image(&image), "the new image is in charge");
        assert_eq!(self.proxy.status().pid, pid, "under the same process id");
        self.assert_replaced(&before);
    }

    /// To the one that was put in the place of the one that runs, as packages do it.
    fn upgrade_by_signal(&mut self) {
        let before = self.ready_pids();
        self.proxy.replace_image();
        self.proxy.signal_supervisor(Signal::SIGUSR2);
        wait_until("the new image is in charge", || {
            self.proxy.runs_image(self.proxy.image())
        });
        self.proxy.learn_addresses();
        wait_until("all workers are replaced", || {
            let ready = self.ready_pids();
            ready.len() == before.len() && !ready.iter().any(|pid| before.contains(pid))
        });
    }

    /// Its workers are the successor's.
    fn kill_supervisor(&mut self) {
        let before = self.ready_pids();
        self.proxy.kill_supervisor();
        self.journal.note("the supervisor is dead");
        self.proxy.start_successor();
        wait_until("the successor has the workers of the dead", || {
            self.ready_pids() == before
        });
    }

    /// The workers that the supervisor says are ready, in order.
    fn ready_pids(&self) -> Vec<u32> {
        let ready = self.proxy.ready_workers();
        let mut pids: Vec<_> = ready.iter().map(|worker| worker.pid).collect();
        pids.sort_unstable();
        pids
    }

    #[track_caller]
    fn assert_replaced(&self, before: &[u32]) {
        let ready = self.ready_pids();
        let stayed = before.iter().find(|pid| ready.contains(pid));
        assert_eq!(stayed, None, "of {before:?}, now {ready:?}");
    }

    /// All clients have left: everything is back in its place.
    pub(crate) fn close(self) {
        self.proxy.wait_until_all_is_back(self.settings.slots());
        wait_until("no worker is left over", || {
            self.proxy.worker_pids().len() == self.settings.worker_count()
        });
        self.upstream.assert_clean();
        let status = self.proxy.status();
        assert_eq!((status.request_errors, status.worker_restarts), (0, 0));
    }
}

fn settings(upstream: &Upstream, accounts: &Accounts, workers: usize) -> Settings {
    let settings = Settings::in_front_of(upstream)
        .workers(workers)
        // Nobody is cut: a keep-alive client that is served once more has left long before.
        .set("workers.drain_timeout_seconds", 600)
        .set("lease.idle_timeout_seconds", 600);
    accounts
        .in_force
        .iter()
        .fold(settings, |settings, account| {
            settings.known_account(&account.name, account.sessions)
        })
}
