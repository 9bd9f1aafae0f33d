//! The logins: begun, and what each comes to.

use std::{sync::Arc, time::Instant};

use tokio::task::{self, JoinError};
use tpp::{
    pool::{Origin, SlotIndex},
    shared::Rest,
};
use tracing::{debug, error, info, warn};

use super::{Refresher, shares::PUT_OFF};
use crate::{
    provider::{Grant, LoginError, Outcome},
    refresh::{assignment, clock},
    schedule::{Failure, Login},
};

/// Where a token was to be drawn, and what came of it.
pub(super) type Done = (Origin, Result<Grant, LoginError>);

impl Refresher {
    pub(super) fn start(&mut self, login: Login) {
        let slot = login.slot;
        if self.is_too_late(slot) {
            let then = clock::now() + PUT_OFF;
            return self.handle.ledger().schedule.put_off(&login, then);
        }
        let Some(account) = self.handle.ledger().owner(slot as usize).cloned() else {
            // The schedule knows no slot that is nobody's.
            return error!(slot, "a login for a slot without an account");
        };
        debug!(slot, user = account.username, "logging in");
        for slot in self.filled_by(slot) {
            self.stock.login_begins(SlotIndex::new(slot as usize));
        }
        let provider = Arc::clone(&self.provider);
        let choice = self.places.choice(slot);
        let task = self.logins.spawn(async move {
            match choice.await {
                Some(at) => (at.origin, provider.grant(&account, at.address).await),
                None => (Origin::NONE, Err(provider.unresolved())),
            }
        });
        self.under_way.insert(task.id(), (login, Instant::now()));
    }

    pub(super) fn done(&mut self, done: Result<(task::Id, Done), JoinError>) {
        let id = done.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some((login, since)) = self.under_way.remove(&id) else {
            return;
        };
        if done.is_ok() {
            self.tally(|logins| logins.duration.observe(since.elapsed()));
        }
        match done {
            Ok((_, (origin, Ok(grant)))) => {
                self.note_reached(origin, true);
                self.logged_in(login, &grant, origin);
            }
            Ok((_, (origin, Err(reason)))) => {
                self.note_reached(origin, !reason.is_unreachable());
                let (slot, wait) = (login.slot, reason.asked_wait());
                let failure = match reason.outcome() {
                    Outcome::Busy => Failure::Busy,
                    Outcome::Trouble => Failure::Trouble,
                    Outcome::Refused => Failure::Refused,
                };
                self.failed(login, failure, reason.to_string());
                if let Some(wait) = wait {
                    let mut book = self.handle.ledger();
                    book.schedule.asked_to_wait(slot, wait, clock::now());
                }
            }
            // To a server that is in force no more: its slot has begun anew.
            Err(cut) if cut.is_cancelled() => {}
            // Bytes from outside reach that code: what it cannot bear must cost no slot.
            Err(broken) => {
                error!(slot = login.slot, error = %broken, "a login broke down");
                self.failed(login, Failure::Trouble, "the login broke down".to_owned());
            }
        }
    }

    /// Notes whether a login reached the backend it was for, if it went to one.
    fn note_reached(&mut self, origin: Origin, reached: bool) {
        if self.provider.manner().is_at_backend() {
            self.places.note(origin, reached);
        }
    }

    fn logged_in(&mut self, login: Login, grant: &Grant, origin: Origin) {
        // The slot may have been given to another account meanwhile.
        if !self.handle.ledger().schedule.expects(&login) {
            return self.throw_away(login.slot, &grant.secret);
        }
        if !self.places.have(origin) {
            let reason = "the upstream has moved meanwhile".to_owned();
            return self.failed(login, Failure::Trouble, reason);
        }
        let slot = login.slot;
        let index = SlotIndex::new(slot as usize);
        self.note_whether_shared(slot, grant);
        self.part_from(index.get(), Some(&grant.secret));
        match self.stock.install(index, grant.secret.expose(), origin) {
            Ok(version) => {
                self.stock.note_life(index, grant.expires_in);
                let fingerprint = grant.secret.fingerprint();
                debug!(slot, version, fingerprint, "token installed");
                self.stock.region().supervisors().logins_succeeded.add(1);
                self.tally(|logins| logins.succeeded.add(1));
                let now = clock::now();
                self.handle
                    .ledger()
                    .logged_in(login, version, grant, &self.provider, now);
                self.tell_lent(slot);
                self.say_ready();
            }
            // The region was made for the longest token that the configuration then allowed.
            Err(too_long) => self.failed(login, Failure::Trouble, too_long.to_string()),
        }
    }

    fn failed(&mut self, login: Login, failure: Failure, reason: String) {
        let slot = login.slot;
        let account = {
            let book = self.handle.ledger();
            if !book.schedule.expects(&login) {
                return;
            }
            book.owner(slot as usize).cloned()
        };
        let user = account.as_ref().map_or("", |account| &account.username);
        let counters = self.stock.region().supervisors();
        match failure {
            Failure::Refused => {
                self.tell_refused(user);
                warn!(slot, user, reason, "login refused: the account rests");
                counters.logins_refused.add(1);
                self.tally(|logins| {
                    logins.refused.add(1);
                    logins.rests.add(1);
                });
            }
            Failure::Busy | Failure::Trouble => {
                warn!(slot, user, reason, "login failed: it will be tried again");
                counters.logins_failed.add(1);
                self.tally(|logins| logins.failed.add(1));
            }
        }
        let others = {
            let mut book = self.handle.ledger();
            book.failed(login, failure, reason, clock::now());
            let until = book.schedule.resting_until(slot);
            let rest = until.zip(account.as_ref()).map(|(until, account)| Rest {
                until: clock::to_boot_millis(until),
                tag: assignment::tag(account),
            });
            self.stock.note_rest(SlotIndex::new(slot as usize), rest);
            book.schedule.put_off_with(slot)
        };
        for slot in others.into_iter().chain([slot]) {
            self.put_off(slot);
        }
        // Last: a connection that waits for this login's result looks at once.
        self.stock.login_failed(SlotIndex::new(slot as usize));
    }

    pub(super) fn say_ready(&mut self) {
        if self.ready_said {
            return;
        }
        let (usable, configured) = {
            let book = self.handle.ledger();
            (book.lent(), book.configured())
        };
        if usable == 1 {
            info!("first token in: serving");
        }
        if usable == configured {
            self.ready_said = true;
            info!(tokens = usable, "all tokens in");
        }
    }
}
