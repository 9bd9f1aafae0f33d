//! Home sessions that are too many become floating ones: should this host die, they are not missing for `home_takeover`.
//!
//! What the record says is floating others may take after `takeover`. So a session obeys the deadlines of floating ones first, for
//! every worker and for a successor, which takes until nobody holds it; then the record is written. Of a transaction whose
//! answer is lost the account is locked as of one that gives: until it is settled all of its sessions stay what they are here.
use super::Core;
use super::claim::SELDOM;
use super::peers::Standing;
use super::pending::{Edit, What};
use crate::account::{Account, Session};
use crate::deadlines::{Class, SECOND};
use crate::engine::Ticket;
use crate::event::Use;
use crate::local::Held;
use crate::order::Order;

/// A surplus lasts for so long before it is acted upon: a host that is upgraded comes back.
const STEADY: u64 = 30 * SECOND;

impl Core {
    /// Orders home sessions to be made floating, those that are idle first: a tenth of what this host has at a time, where there have been
    /// too many for a while, until there are as many as there ought to be. A tenth too many is not worth beginning.
    pub(super) fn mind_surplus(&mut self, standing: &Standing, now: u64, orders: &mut Vec<Order>) {
        let spare = standing.mine[1].saturating_sub(standing.home_target);
        self.pace.spare_home = spare;
        self.pace.spare_since = match self.pace.spare_since {
            _ if spare == 0 => None,
            None if spare > standing.home_target / 10 => Some(now),
            since => since,
        };
        let is_steady = |since| now >= since + STEADY;
        if !self.pace.spare_since.is_some_and(is_steady) || now < self.pace.floated + SELDOM {
            return;
        }
        self.pace.floated = now;
        self.call_back(orders);
        let under_way = self.local.all().filter(|(_, held)| held.floats.is_some());
        let lacking = usize::try_from(spare).unwrap_or(usize::MAX);
        let pace = (standing.mine.iter().sum::<u32>() / 10).max(1);
        let pace = usize::try_from(pace).unwrap_or(1);
        let count = lacking.saturating_sub(under_way.count()).min(pace);
        for session in self.home_to_float().into_iter().take(count) {
            self.order_to_float(session, orders);
        }
    }

    /// What is held for long is lent on as it was, for its token is not refreshed meanwhile: others may fall free sooner.
    fn call_back(&mut self, orders: &mut Vec<Order>) {
        let held = self.local.all().filter(|(_, held)| {
            held.floats.is_some() && held.class == Class::Home && self.rules.float_here_first
        });
        for session in held.map(|(session, _)| session).collect::<Vec<_>>() {
            if let Some(held) = self.local.get_mut(session) {
                held.floats = None;
                orders.push(Order::Lend {
                    session,
                    class: Class::Home,
                    not_before: 0,
                });
            }
        }
    }

    /// Home sessions that may be made floating, those first that are idle. Of the others, each time others are first.
    fn home_to_float(&self) -> Vec<Session> {
        let fits = |session: &Session, held: &Held| {
            held.class == Class::Home
                && held.seen != Use::Coming
                && held.floats.is_none()
                && !self.locks.contains_key(&session.account)
        };
        let lent = self.local.lent();
        let home = lent.filter(|(session, held)| fits(session, held));
        let mut found: Vec<_> = home
            .map(|(session, held)| (held.seen == Use::Busy, session))
            .collect();
        found.sort_unstable();
        let busy = found.partition_point(|(is_busy, _)| !is_busy);
        let turn = usize::try_from(self.tickets).unwrap_or(0);
        let others = &mut found[busy..];
        others.rotate_left(turn % others.len().max(1));
        found.into_iter().map(|(_, session)| session).collect()
    }

    fn order_to_float(&mut self, session: Session, orders: &mut Vec<Order>) {
        let ticket = self.ticket();
        if let Some(held) = self.local.get_mut(session) {
            held.floats = Some(ticket);
            orders.push(Order::Float { session, ticket });
        }
    }

    /// It is a floating one here. An answer to an order that another one has followed says nothing of what is so now.
    pub(super) fn found_floating(&mut self, session: Session, ticket: Ticket) {
        if let Some(held) = self.local.get_mut(session)
            && held.floats == Some(ticket)
        {
            held.class = Class::Floating;
        }
    }

    /// The records of accounts whose sessions have been made floating here.
    pub(super) fn floated(&self) -> Vec<Edit> {
        let mut spare = self.pace.spare_home;
        let mut edits = Vec::new();
        for account in self.floating_accounts() {
            let [floating, home] = self.counted(account);
            let count = self.not_written(account).min(spare);
            if count > 0
                && let Some(mut draft) = self.draft(account, What::Float)
            {
                spare -= count;
                let share = [floating + count, home - count];
                self.set(&mut draft.record, &self.settings.name, share);
                edits.push(draft);
            }
        }
        edits
    }

    /// What has been written is done. What is not to be written any more, and certainly is not, is what the record says.
    pub(super) fn mind_floats(&mut self, now: u64, orders: &mut Vec<Order>) {
        let goes_on = self.in_standing(now) && !self.leaving && self.pace.spare_home > 0;
        if !goes_on {
            self.call_back(orders);
        }
        for account in self.floating_accounts() {
            if self.locks.contains_key(&account) {
                continue;
            }
            let kept = if goes_on {
                self.not_written(account)
            } else {
                0
            };
            let made = |held: &Held| self.is_made(held);
            let made = self.local.of(account).filter(|(_, held)| made(held));
            let kept = usize::try_from(kept).unwrap_or(usize::MAX);
            let done: Vec<_> = made.map(|(session, _)| session).skip(kept).collect();
            for session in done {
                if let Some(held) = self.local.get_mut(session) {
                    held.floats = None;
                }
            }
        }
    }

    /// Whether a session has been made floating for the record to follow.
    fn is_made(&self, held: &Held) -> bool {
        let obeys = held.class == Class::Floating || !self.rules.float_here_first;
        held.floats.is_some() && obeys
    }

    fn floating_accounts(&self) -> Vec<Account> {
        let made = self.local.all().filter(|(_, held)| self.is_made(held));
        let mut accounts: Vec<_> = made.map(|(session, _)| session.account).collect();
        accounts.dedup();
        accounts
    }

    /// Sessions of an account that have been made floating and are home by the record. Those that are home here stay so in it.
    fn not_written(&self, account: Account) -> u32 {
        let made = self
            .local
            .of(account)
            .filter(|(_, held)| self.is_made(held));
        let made = u32::try_from(made.count()).unwrap_or(u32::MAX);
        let (counted, held) = (self.counted(account), self.local.count(account));
        let lags = held[0].saturating_sub(counted[0]);
        let spare = counted[1].saturating_sub(held[1]);
        if self.rules.float_here_first {
            made.min(lags).min(spare)
        } else {
            made.min(counted[1])
        }
    }
}
