//! What the pool does, for the core, and what the core does, for people.

use std::time::Duration;

use tokio::time::Instant;
use tpp::clock::{boot_nanos, monotonic_millis};
use tpp_hosts::{Event, PoolSeen, Session, Use};
use tracing::info;

use super::{
    super::{
        SharedPool,
        local::{longest_wait, look, settings_of},
    },
    Gone, Share,
};
use crate::pools::Running;

/// How often the core is told what the pool does while nobody waits …
const LOOK: Duration = Duration::from_secs(1);
/// … and while somebody does, or a session has come and has no token yet.
const LOOK_AT_LINE: Duration = Duration::from_millis(100);
/// How soon it is noticed that somebody begins to wait.
const GLANCE: Duration = Duration::from_millis(50);
/// The shortest time between two looks because of news.
const NEWS: Duration = Duration::from_millis(5);
/// How old what people see may be.
const SHOW: Duration = Duration::from_millis(250);
/// Who has waited for so long, milliseconds, is told of at once.
const PATIENCE_MS: u64 = 50;

/// The last look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Looked {
    at: Instant,
    /// How long it took.
    took: Duration,
    /// For how long somebody had waited then, milliseconds.
    line: u64,
}

impl Share {
    /// Looks at the pool, if it is time, somebody has begun to wait, or a token has come.
    pub(super) fn glance(&mut self) {
        let now = Instant::now();
        self.next_glance = now + GLANCE;
        if self.gone != Gone::No {
            return self.see_off();
        }
        let line = longest_wait(&self.running.stock, monotonic_millis());
        let is_due = self.looked.is_none_or(|last| {
            let is_lively = line > 0 || !self.coming.is_empty();
            let has_begun = line >= PATIENCE_MS && last.line < PATIENCE_MS;
            let every = if is_lively { LOOK_AT_LINE } else { LOOK };
            has_begun || self.has_news || now >= last.at + every
        });
        if is_due {
            self.look(now);
            self.take_settings();
        }
        if is_due || now >= self.shown + SHOW {
            self.shown = now;
            self.show();
        }
    }

    /// The pool is gone: once nothing of it is in use all goes to others.
    fn see_off(&mut self) {
        if self.gone == Gone::Lends && self.running.has_ended() {
            self.gone = Gone::Empty;
            info!(
                pool = self.pool,
                "nothing of the pool is in use: its sessions go to other hosts"
            );
            self.step(Event::Gone);
        }
    }

    /// A session has come into use.
    pub(super) fn note_lent(&mut self, session: Session) {
        if let Some(since) = self.coming.remove(&session) {
            let took = boot_nanos().saturating_sub(since);
            self.common.moves.observe(Duration::from_nanos(took));
        }
        self.has_news = true;
        // A look at a thousand accounts is not to follow the one before at once.
        let soonest = self.looked.map(|last| last.at + NEWS.max(4 * last.took));
        let at = soonest.unwrap_or(self.next_glance).max(Instant::now());
        self.next_glance = self.next_glance.min(at);
    }

    /// Tells the core what the pool does.
    fn look(&mut self, now: Instant) {
        let seen: PoolSeen = {
            let book = self.running.refresher.ledger();
            look(&self.running.stock, &book, &self.names, monotonic_millis())
        };
        self.has_news = false;
        let line = seen.oldest_ms;
        // Those that came with a token were not waited for.
        let has_come = seen
            .sessions
            .iter()
            .filter(|(_, used)| *used != Use::Coming);
        for (session, _) in has_come {
            self.coming.remove(session);
        }
        self.step(Event::Pool(seen));
        self.looked = Some(Looked {
            at: now,
            took: now.elapsed(),
            line,
        });
    }

    /// The accounts may be others. One that is gone is the core's until its slots are empty.
    pub(super) fn change(&mut self, running: Running) {
        let accounts = running.accounts();
        self.names.learn(accounts);
        let upstream = self.names.upstream();
        let settings = settings_of(&self.common, upstream, accounts, running.token_life());
        self.next_settings = (settings != self.settings).then_some(settings);
        self.running = running;
    }

    /// Tells the core of other accounts, once nothing is left of those that are gone.
    fn take_settings(&mut self) {
        if self.next_settings.is_some()
            && self.running.refresher.ledger().has_none_retired()
            && let Some(settings) = self.next_settings.take()
        {
            self.settings = settings.clone();
            self.step(Event::Settings(Box::new(settings)));
        }
    }

    fn show(&self) {
        let seen = SharedPool {
            status: Some(self.core.status(boot_nanos())),
            is_ready: self.is_ready,
            waits_for: None,
        };
        self.common.seen().pools.insert(self.pool.clone(), seen);
    }
}
