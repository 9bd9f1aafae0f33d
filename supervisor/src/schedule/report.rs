//! How a login ended, and what that means for its slot, its user and all others.

use std::time::{Duration, Instant};

use super::{
    Failure, Login, Schedule,
    rules::{LONGEST_ASKED_WAIT, OUTAGE_TROUBLES, RELEASE_INTERVAL, RELEASE_SPREAD},
    slot::UnderWay,
};

impl Schedule {
    /// Whether `login` is still the one under way for its slot; false if the slot was removed meanwhile.
    #[must_use]
    pub fn expects(&self, login: &Login) -> bool {
        let under_way = self
            .slots
            .get(&login.slot)
            .and_then(|slot| slot.under_way.as_ref());
        under_way.is_some_and(|under_way| under_way.ticket == login.ticket)
    }

    /// Takes note that `login` brought the token that is now `version` of its slot, and that the server gave it
    /// `expires_in`, if it said so. False, and nothing done, if nobody [expects](Self::expects) it.
    pub fn succeeded(
        &mut self,
        login: Login,
        version: u64,
        expires_in: Option<Duration>,
        now: Instant,
    ) -> bool {
        let Some(under_way) = self.finish(&login) else {
            return false;
        };
        let token = self.rules.drawn(version, now, expires_in, &mut self.dice);
        let Some(slot) = self.slots.get_mut(&login.slot) else {
            return false;
        };
        let index = slot.account;
        slot.fill(token);
        // A login older than the refusal says nothing about the slots refused since.
        let pardon = self.accounts[index].refused_before(under_way.since);
        if under_way.password == self.accounts[index].password {
            self.accounts[index].prove();
        }
        if pardon {
            self.pardon_refused(index, now);
        }
        if self.accounts[index].is_shared {
            self.share(login.slot, index);
        }
        self.server_answered(now);
        true
    }

    /// Takes note that `login` failed. False, and nothing done, if nobody [expects](Self::expects) it. The
    /// slot keeps the token it has.
    pub fn failed(&mut self, login: Login, failure: Failure, now: Instant) -> bool {
        let Some(under_way) = self.finish(&login) else {
            return false;
        };
        match failure {
            Failure::Busy | Failure::Trouble => self.trouble(login.slot, now),
            Failure::Refused => self.refused(login.slot, &under_way, now),
        }
        true
    }

    /// Takes note that `login` was not begun, and is not to be before `then`.
    pub fn put_off(&mut self, login: &Login, then: Instant) {
        if self.finish(login).is_some()
            && let Some(slot) = self.slots.get_mut(&login.slot)
        {
            slot.not_before = slot.not_before.max(then);
        }
    }

    /// Takes note that the server, busy, asks the user of `slot` to wait for so long after a login that failed; an hour at most.
    pub fn asked_to_wait(&mut self, slot: u32, wait: Duration, now: Instant) {
        if let Some(slot) = self.slots.get_mut(&slot) {
            let until = now + wait.min(LONGEST_ASKED_WAIT);
            slot.not_before = slot.not_before.max(until);
            self.accounts[slot.account].put_off(until);
        }
    }

    fn pardon_refused(&mut self, account: usize, now: Instant) {
        for number in &self.accounts[account].slots {
            if let Some(slot) = self.slots.get_mut(number).filter(|slot| slot.refused) {
                slot.pardon(now);
            }
        }
    }

    fn finish(&mut self, login: &Login) -> Option<UnderWay> {
        if !self.expects(login) {
            return None;
        }
        let slot = self.slots.get_mut(&login.slot)?;
        self.accounts[slot.account].under_way -= 1;
        slot.under_way.take()
    }

    fn trouble(&mut self, number: u32, now: Instant) {
        self.troubles = self.troubles.saturating_add(1);
        let crowd = self.crowd();
        let Some(slot) = self.slots.get_mut(&number) else {
            return;
        };
        let account = &mut self.accounts[slot.account];
        // Until a user has logged in once, one slot tries for all, so the count is the user's.
        if account.is_proven() {
            slot.trouble(now, crowd, &mut self.dice);
        } else {
            account.trouble(now, crowd, &mut self.dice);
        }
    }

    fn refused(&mut self, number: u32, under_way: &UnderWay, now: Instant) {
        self.server_answered(now);
        let Some(slot) = self.slots.get_mut(&number) else {
            return;
        };
        let account = &mut self.accounts[slot.account];
        if under_way.password == account.password {
            slot.refused = true;
            slot.not_before = now + account.refuse(now, &mut self.dice);
        }
    }

    /// How many are trying again and again.
    fn crowd(&self) -> u32 {
        let slots = self.slots.values().filter(|slot| slot.failures > 0).count();
        let accounts = self
            .accounts
            .iter()
            .filter(|account| account.failures() > 0)
            .count();
        u32::try_from(slots + accounts).unwrap_or(u32::MAX)
    }

    /// After an outage, those who wait to try again need not wait any longer.
    fn server_answered(&mut self, now: Instant) {
        let outage = std::mem::take(&mut self.troubles) >= OUTAGE_TROUBLES;
        let recent = self
            .released
            .is_some_and(|at| now.saturating_duration_since(at) < RELEASE_INTERVAL);
        if !outage || recent {
            return;
        }
        self.released = Some(now);
        for slot in self
            .slots
            .values_mut()
            .filter(|slot| slot.failures > 0 && !slot.refused)
        {
            slot.not_before = slot
                .not_before
                .min(now + self.dice.between(Duration::ZERO, RELEASE_SPREAD));
        }
        for account in &mut self.accounts {
            account.release(now + self.dice.between(Duration::ZERO, RELEASE_SPREAD));
        }
    }
}
