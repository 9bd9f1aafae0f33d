//! This host's sessions follow the records: what is its own is lent, what is not its own any more is cut.
use super::Core;
use super::pending::Lock;
use crate::account::{Account, Session};
use crate::deadlines::{Class, SECOND};
use crate::local::{Held, Stage, Way, Why};
use crate::order::{Note, Order, Reason};
use crate::view::Seen;

/// A session that has come stays for so long before it is sent on.
const STAYS: u64 = 5 * SECOND;

impl Core {
    /// How many of an account's sessions are this host's: floating, home.
    pub(super) fn counted(&self, account: Account) -> [u32; 2] {
        let Some(me) = &self.me else { return [0, 0] };
        let Some(shares) = self.view.accounts.get(&account).and_then(Seen::read) else {
            return [0, 0];
        };
        let Some(share) = shares
            .shares
            .get(&self.settings.name)
            .filter(|share| share.inc == me.inc)
        else {
            return [0, 0];
        };
        [
            if share.generation == me.generation {
                share.floating
            } else {
                0
            },
            share.home,
        ]
    }

    /// Cuts what is lent and is not this host's any more: after a fence, or where the records say so.
    pub(super) fn drop_lost(&mut self, orders: &mut Vec<Order>) {
        if self.me.is_some() && !self.store.listed {
            return;
        }
        if self.me.is_none() {
            self.forget_given();
        }
        for account in self.local.accounts() {
            let (counted, held) = (self.counted(account), self.local.count(account));
            let excess = [0, 1].map(|class| held[class].saturating_sub(counted[class]));
            let becomes_home = excess[0].min(counted[1].saturating_sub(held[1]));
            // A transaction that makes floating what is home by the record may be on its way.
            if !self.locks.contains_key(&account) {
                self.make_home(account, becomes_home, orders);
            }
            self.drop_some(account, Class::Floating, excess[0] - becomes_home, orders);
            self.drop_some(account, Class::Home, excess[1], orders);
        }
    }

    /// This life is over: whether its gifts were committed matters no more, as nothing is its own and nothing it sent will be.
    fn forget_given(&mut self) {
        self.locks.retain(|_, lock| *lock == Lock::Sent);
        let given = |(session, held): &(Session, &Held)| {
            matches!(held.stage, Stage::Leaving(_, Way::Wiped))
                && !self.locks.contains_key(&session.account)
        };
        for session in self
            .local
            .all()
            .filter(given)
            .map(|(session, _)| session)
            .collect::<Vec<_>>()
        {
            self.local.forget(session);
        }
    }

    /// The record says that some of the floating sessions are home sessions now.
    fn make_home(&mut self, account: Account, count: u32, orders: &mut Vec<Order>) {
        let settled = |held: &Held| held.class == Class::Floating && held.floats.is_none();
        for session in self.pick(account, count, settled) {
            if let Some(held) = self.local.get_mut(session) {
                held.class = Class::Home;
                if held.stage == Stage::Lent {
                    orders.push(Order::Lend {
                        session,
                        class: Class::Home,
                        not_before: 0,
                    });
                }
            }
        }
    }

    fn drop_some(&mut self, account: Account, class: Class, count: u32, orders: &mut Vec<Order>) {
        // Those with no token count already as much as they can; they end when the record is settled.
        let wiped = |held: &Held| matches!(held.stage, Stage::Leaving(_, Way::Wiped));
        let lost = |held: &Held| matches!(held.stage, Stage::Leaving(Why::Lost, _));
        let done = self
            .local
            .of(account)
            .filter(|(_, held)| held.class == class && (wiped(held) || lost(held)))
            .count();
        let count = count.saturating_sub(u32::try_from(done).unwrap_or(u32::MAX));
        for session in self.pick(account, count, |held| {
            held.class == class && !wiped(held) && !lost(held)
        }) {
            self.local.withdraw(session, Why::Lost, true, orders);
        }
    }

    /// Some sessions of an account, the last places first.
    fn pick(&self, account: Account, count: u32, fits: impl Fn(&Held) -> bool) -> Vec<Session> {
        let fitting = self.local.of(account).rev().filter(|(_, held)| fits(held));
        fitting
            .map(|(session, _)| session)
            .take(usize::try_from(count).unwrap_or(0))
            .collect()
    }

    /// Lends what is this host's and is not lent yet.
    pub(super) fn lend(&mut self, now: u64, orders: &mut Vec<Order>) {
        // What a predecessor may have given away is lent when it is certain that it did not.
        if self.me.is_none() || !self.store.listed || !self.renewed || self.leaving {
            return;
        }
        let mine =
            |shares: &crate::records::Shares| shares.shares.contains_key(&self.settings.name);
        let accounts = self
            .view
            .accounts
            .iter()
            .filter(|(_, seen)| seen.read().is_some_and(mine));
        for account in accounts.map(|(account, _)| *account).collect::<Vec<_>>() {
            let (counted, held) = (self.counted(account), self.local.count(account));
            if counted == held || self.locks.contains_key(&account) || !self.is_wanted(account, now)
            {
                continue;
            }
            let limit = self.settings.accounts.get(&account).copied().unwrap_or(0);
            let held_now: u32 = held.iter().sum();
            let mut wanted = counted
                .iter()
                .sum::<u32>()
                .saturating_sub(self.unwanted(account, now) + held_now);
            let not_before = self.not_before.get(&account).copied().unwrap_or(0);
            for (class, index) in [(Class::Floating, 0), (Class::Home, 1)] {
                let lacking = counted[index].saturating_sub(held[index]).min(wanted);
                wanted -= lacking;
                for _ in 0..lacking {
                    if let Some(session) = self.local.lend(account, limit, class, now + STAYS) {
                        orders.push(Order::Lend {
                            session,
                            class,
                            not_before,
                        });
                    }
                }
            }
        }
    }

    /// Whether this host wants sessions of an account at all.
    pub(super) fn is_wanted(&self, account: Account, now: u64) -> bool {
        let shunned = self.shunned.get(&account).is_some_and(|until| now < *until);
        !self.leaving && !shunned && self.settings.accounts.contains_key(&account)
    }

    /// The server refuses the account here: others may have more luck.
    pub(super) fn shun(&mut self, account: Account, now: u64, orders: &mut Vec<Order>) {
        self.shunned.retain(|_, until| now < *until);
        if self
            .shunned
            .insert(account, now + 20 * self.takeover)
            .is_none()
        {
            Self::note(orders, Note::Shunned(account));
        }
    }

    pub(super) fn found_idle(&mut self, session: Session, orders: &mut Vec<Order>) {
        let Some(Held {
            stage: Stage::Leaving(why, Way::Withdrawn),
            ..
        }) = self.local.get(session)
        else {
            return;
        };
        let why = why.clone();
        if let Why::Give(to, reason) = &why
            && !self.take_from_intent(to, *reason)
        {
            return self.local.recall(session, orders);
        }
        if let Some(held) = self.local.get_mut(session) {
            held.stage = Stage::Leaving(why, Way::Idle);
            orders.push(Order::Wipe { session });
        }
    }

    pub(super) fn found_wiped(&mut self, session: Session) {
        let Some(held) = self.local.get_mut(session) else {
            return;
        };
        match &held.stage {
            Stage::Leaving(Why::Lost, _) => self.local.forget(session),
            Stage::Leaving(why, _) => held.stage = Stage::Leaving(why.clone(), Way::Wiped),
            Stage::Lent => {}
        }
    }

    /// Withdraws what this host should not have: accounts it does not know or is refused at, and what is over a lowered limit. All of it,
    /// when it leaves.
    pub(super) fn return_unwanted(&mut self, now: u64, orders: &mut Vec<Order>) {
        let reason = if self.leaving {
            Reason::Left
        } else {
            Reason::Returned
        };
        for account in self.local.accounts() {
            let counted: u32 = self.counted(account).iter().sum();
            let wanted = counted.saturating_sub(self.unwanted(account, now));
            let held: u32 = self.local.count(account).iter().sum();
            let leaving = self
                .local
                .of(account)
                .filter(|(_, held)| held.stage != Stage::Lent)
                .count();
            let lent = held.saturating_sub(u32::try_from(leaving).unwrap_or(u32::MAX));
            for session in self.pick(account, lent.saturating_sub(wanted), |held| {
                held.stage == Stage::Lent
            }) {
                self.local
                    .withdraw(session, Why::Return(reason), false, orders);
            }
        }
    }

    /// What was withdrawn because this host was to leave, and is held still, stays.
    pub(super) fn recall_leaving(&mut self, orders: &mut Vec<Order>) {
        let leaves = Stage::Leaving(Why::Return(Reason::Left), Way::Withdrawn);
        let leaving = self.local.all().filter(|(_, held)| held.stage == leaves);
        for session in leaving.map(|(session, _)| session).collect::<Vec<_>>() {
            self.local.recall(session, orders);
        }
    }

    /// How many of its sessions of an account this host should give back.
    pub(super) fn unwanted(&self, account: Account, now: u64) -> u32 {
        let counted: u32 = self.counted(account).iter().sum();
        if self.is_wanted(account, now) {
            self.over_the_limit(account).min(counted)
        } else {
            counted
        }
    }

    /// This host's part of what hosts have over an account's limit: the one that has most gives back first, one each.
    fn over_the_limit(&self, account: Account) -> u32 {
        let Some(shares) = self.view.accounts.get(&account).and_then(Seen::read) else {
            return 0;
        };
        let counted = |host: &String| self.view.counted(shares, host).iter().sum::<u32>();
        let mut have: Vec<(u32, &String)> = shares
            .shares
            .keys()
            .map(|host| (counted(host), host))
            .collect();
        let limit = self
            .settings
            .accounts
            .get(&account)
            .map_or(shares.limit, |limit| shares.limit.min(*limit));
        let (mut over, mut mine) = (
            have.iter()
                .map(|(count, _)| count)
                .sum::<u32>()
                .saturating_sub(limit),
            0,
        );
        while over > 0 {
            let Some(most) = have.iter_mut().max() else {
                break;
            };
            most.0 -= 1;
            mine += u32::from(*most.1 == self.settings.name);
            over -= 1;
        }
        mine
    }
}
