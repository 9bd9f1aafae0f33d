//! Which slot logs in when: pure rules over `now`, without a clock, a socket or a lock of their own.
//!
//! The caller's loop asks for a [`Plan`] whenever something happened or the plan's `next_look` has come, runs the
//! logins it names, and reports how each ended. What holds, whatever the order of calls:
//! - one login per slot at a time (per account where one token fills all its slots: `sharing`), at most `login_concurrency` in all;
//! - a token is renewed before its time is up, at an instant of its own, and at once when the upstream
//!   turned it down;
//! - trouble, and a server that is busy, are retried soon, then ever more slowly, and take nothing from other slots;
//! - a refused credential rests for five minutes with all its slots, then one of them tries;
//! - a password not yet known to be right is tried by one slot, the others follow when it was;
//! - a failed login takes no token away: it is good until its time is up or the upstream turns it down;
//! - a token drawn because its forerunner was turned down, and turned down at its first use, is not to blame.

mod account;
mod plan;
mod report;
mod rules;
mod sharing;
mod slot;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    time::{Duration, Instant},
};

pub use plan::Plan;
pub use rules::Rules;
pub use sharing::Copy;
pub use slot::SlotState;

use account::{Account, Gate};
use rules::Dice;
use slot::Slot;

/// One login under way. It cannot be copied, so that it is reported once.
#[derive(Debug, PartialEq, Eq)]
pub struct Login {
    /// The slot it is for.
    pub slot: u32,
    ticket: u64,
}

/// How a login failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The server has no place or no time for a login now; it says nothing about the credential.
    Busy,
    /// Something on the way; it may pass by itself.
    Trouble,
    /// The server turned the credential down.
    Refused,
}

/// What became of the report that the upstream turned a token down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspicion {
    /// The token is not the slot's current one: its successor is in already.
    Stale,
    /// Known already, or a login for the slot is under way.
    Known,
    /// A login is due now.
    Due,
    /// A login is due later: one was made a moment ago, or failed, or the user is refused.
    Delayed,
    /// The token was drawn a moment ago because its forerunner was turned down, and this was its first use: it is not
    /// to blame, and no login is made.
    Cleared,
}

/// What the upstream's refusal of a token rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Complaint {
    /// Of which token.
    pub version: u64,
    /// Whether that token has had another answer before.
    pub has_served: bool,
}

/// One slot, for status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotView<'a> {
    /// Whose it is.
    pub user: &'a str,
    /// In one word.
    pub state: SlotState,
    /// When its token was drawn.
    pub since: Option<Instant>,
    /// When its token comes to its end.
    pub ends_at: Option<Instant>,
    /// Whether a login for it is under way.
    pub logging_in: bool,
    /// When the next login is due; `None` while one is under way, or while another slot of the user tries.
    pub next_login: Option<Instant>,
}

/// The state of all slots, and the rules over it.
pub struct Schedule {
    rules: Rules,
    dice: Dice,
    slots: BTreeMap<u32, Slot>,
    accounts: Vec<Account>,
    by_user: HashMap<String, usize>,
    /// Accounts without slots: the place of one that nothing is to be remembered of is the next new user's.
    vacant: BTreeSet<usize>,
    /// One login fills all slots of an account.
    is_sharing: bool,
    /// Where the last search for an account that is not refused ended.
    witness: usize,
    tickets: u64,
    /// Troubles since a server last answered at all.
    troubles: u32,
    released: Option<Instant>,
    /// How often a slot was looked at.
    #[cfg(test)]
    looks: std::cell::Cell<usize>,
}

impl Schedule {
    /// An empty schedule. `dice` yields numbers in `0.0..1.0`, evenly spread.
    pub fn new(rules: Rules, dice: impl FnMut() -> f64 + Send + 'static) -> Self {
        Self {
            rules,
            dice: Dice::new(dice),
            slots: BTreeMap::new(),
            accounts: Vec::new(),
            by_user: HashMap::new(),
            vacant: BTreeSet::new(),
            is_sharing: false,
            witness: 0,
            tickets: 0,
            troubles: 0,
            released: None,
            #[cfg(test)]
            looks: std::cell::Cell::new(0),
        }
    }

    /// Adds an empty slot of `user`, due at once. An old one under that number is removed first.
    pub fn insert(&mut self, slot: u32, user: &str, now: Instant) {
        self.remove(slot);
        let account = self.account_of(user, now);
        self.accounts[account].slots.insert(slot);
        self.slots.insert(slot, Slot::new(account, now));
    }

    /// Adds a slot that holds a token already, drawn at `since`: a predecessor's.
    /// `expires_in` is what the server said of its life.
    pub fn adopt(
        &mut self,
        slot: u32,
        user: &str,
        version: u64,
        since: Instant,
        expires_in: Option<Duration>,
    ) {
        self.insert(slot, user, since);
        let token = self.rules.drawn(version, since, expires_in, &mut self.dice);
        if let Some(slot) = self.slots.get_mut(&slot) {
            slot.fill(token);
            self.accounts[slot.account].prove();
        }
    }

    /// Takes note that the passwords are those of a configuration newly read: a predecessor's tokens prove them no more.
    pub fn doubt_passwords(&mut self, now: Instant) {
        self.accounts
            .iter_mut()
            .for_each(|account| account.doubt(now));
    }

    /// Takes a slot out. A login under way for it counts no more, and its report will be ignored.
    pub fn remove(&mut self, slot: u32) {
        if let Some(held) = self.slots.remove(&slot) {
            let account = &mut self.accounts[held.account];
            account.under_way -= u32::from(held.under_way.is_some());
            account.slots.remove(&slot);
            if account.slots.is_empty() {
                self.vacant.insert(held.account);
            }
        }
    }

    /// Puts other rules in force. Tokens in hand are renewed by the new ones.
    pub fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
        for token in self
            .slots
            .values_mut()
            .filter_map(|slot| slot.token.as_mut())
        {
            *token = self
                .rules
                .drawn(token.version, token.since, token.expires_in, &mut self.dice);
        }
    }

    /// Takes note that `user` has a new password: what was refused is forgotten, and one slot tries at once.
    pub fn password_changed(&mut self, user: &str, now: Instant) {
        let Some(&index) = self.by_user.get(user) else {
            return;
        };
        self.accounts[index].renew_password(now);
        self.pardon(index, now);
    }

    /// Takes note that a predecessor lets `user` rest until then: the server refused it.
    pub fn rest(&mut self, user: &str, now: Instant, until: Instant) {
        if let Some(&index) = self.by_user.get(user) {
            self.accounts[index].rest(now, until);
        }
    }

    /// Until when the user of `slot` rests, if the server refused it.
    #[must_use]
    pub fn resting_until(&self, slot: u32) -> Option<Instant> {
        let slot = self.slots.get(&slot)?;
        self.accounts[slot.account].resting_until()
    }

    /// How many users there are, if the server refuses every one of them.
    pub fn all_refused(&mut self) -> Option<usize> {
        let count = self.accounts.len();
        // Where the last search ended first: whoever was good then is most likely still, and each refusal moves it on once.
        let good = (0..count)
            .map(|step| (self.witness + step) % count)
            .find(|index| {
                let account = &self.accounts[*index];
                !account.slots.is_empty() && !account.is_refused()
            });
        if let Some(index) = good {
            self.witness = index;
            return None;
        }
        let users = self.accounts.iter().filter(|one| !one.slots.is_empty());
        Some(users.count()).filter(|users| *users > 0)
    }

    /// Other slots of the same user that no login will help soon: all if one login fills all, else those whose token is suspect, if no login for them comes before the user's rest is over.
    pub fn put_off_with(&self, slot: u32) -> Vec<u32> {
        let Some(account) = self
            .slots
            .get(&slot)
            .map(|slot| &self.accounts[slot.account])
        else {
            return Vec::new();
        };
        if account.is_shared {
            let all = account.slots.iter().copied();
            return all.filter(|other| *other != slot).collect();
        }
        // Slots of a user that is proven fail each for itself.
        if account.is_proven() || account.is_on_trial() {
            return Vec::new();
        }
        let others = account.slots.iter().filter(|other| **other != slot);
        others
            .filter(|other| self.slots.get(other).is_some_and(Slot::waits_as_suspect))
            .copied()
            .collect()
    }

    fn pardon(&mut self, account: usize, now: Instant) {
        for number in &self.accounts[account].slots {
            if let Some(slot) = self.slots.get_mut(number) {
                slot.pardon(now);
            }
        }
    }

    /// Makes a login for `slot` due now, because a person asked for it; false if there is no such slot. A
    /// refused user's rest ends with it.
    pub fn renew(&mut self, slot: u32, now: Instant) -> bool {
        let slot = self.leader(slot);
        let Some(slot) = self.slots.get_mut(&slot) else {
            return false;
        };
        slot.renew(now);
        self.accounts[slot.account].wake(now);
        true
    }

    /// Takes note that the token of `slot` must not be lent again, though the upstream did not turn it down: its holder left
    /// in the middle of something. Whether that is news, and a login is due. Where all slots of a user have one token, nothing
    /// is gained by a login: the slot lacks its token, and gets it again.
    pub fn renew_spent(&mut self, slot: u32, now: Instant) -> bool {
        let is_shared = self.is_shared(slot);
        match self.slots.get_mut(&slot) {
            Some(held) if is_shared => {
                held.lacks = true;
                false
            }
            Some(held) => held.renew_spent(now),
            None => false,
        }
    }

    /// Takes note that the upstream turned down a token of `slot`.
    pub fn suspect(&mut self, slot: u32, complaint: Complaint, now: Instant) -> Suspicion {
        let holds = |held: &Slot| held.holds(complaint.version) && !held.lacks;
        if !self.slots.get(&slot).is_some_and(holds) {
            return Suspicion::Stale;
        }
        // What one slot's holder was told of a shared token is true of all.
        let slot = self.leader(slot);
        let Some(held) = self.slots.get_mut(&slot) else {
            return Suspicion::Stale;
        };
        match held.suspect(complaint.has_served, now, &mut self.dice) {
            slot::Judged::Known => return Suspicion::Known,
            slot::Judged::Cleared => return Suspicion::Cleared,
            slot::Judged::News => {}
        }
        let held = &self.slots[&slot];
        let is_due = self.due_at(slot, held).is_some_and(|at| at <= now);
        let is_next = held.not_before <= now && self.accounts[held.account].is_on_trial();
        if is_due || is_next {
            Suspicion::Due
        } else {
            Suspicion::Delayed
        }
    }

    /// One slot, for status.
    #[must_use]
    pub fn view(&self, slot: u32) -> Option<SlotView<'_>> {
        let number = self.leader(slot);
        let leader = self.slots.get(&number)?;
        let slot = self.slots.get(&slot)?;
        let account = &self.accounts[slot.account];
        Some(SlotView {
            user: &account.user,
            state: slot.state(account.is_refused()),
            since: slot.token.as_ref().map(|token| token.since),
            ends_at: slot.token.as_ref().map(|token| token.ends_at),
            logging_in: leader.under_way.is_some(),
            next_login: self.due_at(number, leader),
        })
    }

    /// The user's account, made on first sight. It outlives its slots: a reload that takes them out and puts
    /// them back does not wipe out that the user was refused. Only a new user takes its place, when it rests no more.
    fn account_of(&mut self, user: &str, now: Instant) -> usize {
        if let Some(known) = self.by_user.get(user) {
            self.vacant.remove(known);
            return *known;
        }
        let new = Account::new(user, self.is_sharing, now);
        let account = match self.vacancy(now) {
            Some(place) => {
                let old = std::mem::replace(&mut self.accounts[place], new);
                self.by_user.remove(&old.user);
                place
            }
            None => {
                self.accounts.push(new);
                self.accounts.len() - 1
            }
        };
        self.by_user.insert(user.to_owned(), account);
        account
    }

    /// The place of an account that has no slots, and of which nothing is to be remembered, among the first few.
    fn vacancy(&mut self, now: Instant) -> Option<usize> {
        let mut few = self.vacant.iter().take(8);
        let place = *few.find(|place| !self.accounts[**place].rests(now))?;
        self.vacant.remove(&place);
        Some(place)
    }

    /// When `slot` may log in, by its own rules and its user's; `None`: not before something else happens.
    fn due_at(&self, number: u32, slot: &Slot) -> Option<Instant> {
        #[cfg(test)]
        self.looks.set(self.looks.get() + 1);
        let at = slot.due_at()?;
        let account = &self.accounts[slot.account];
        if account.leader().is_some_and(|leader| leader != number) {
            return None;
        }
        match account.gate() {
            Gate::Open => Some(at),
            Gate::From(from) => Some(at.max(from)),
            Gate::Shut => None,
        }
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schedule")
            .field("rules", &self.rules)
            .field("slots", &self.slots.len())
            .finish_non_exhaustive()
    }
}
