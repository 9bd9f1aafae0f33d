//! What this host means to give: sessions are sought for it, and those that were sought in vain stay.
use super::Core;
use super::peers::Standing;
use super::pending::Edit;
use crate::Session;
use crate::bucket::Bucket;
use crate::deadlines::{Class, SECOND};
use crate::event::Use;
use crate::local::{Stage, Way, Why};
use crate::order::{Order, Reason};

/// A session that is sought among those that are held is sought among so many: which falls free first, nobody knows.
const CANDIDATES: u32 = 8;
/// What is sought is not found by then: among others, too.
const SOUGHT_AGAIN: u64 = SECOND / 5;
/// What is idle is found idle within this, or it was taken meanwhile.
const FOUND_WITHIN: u64 = 2 * SECOND;

/// Sessions are sought for a host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Intent {
    pub(crate) to: String,
    pub(crate) reason: Reason,
    /// How many are still to be found.
    pub(crate) left: u32,
    /// Since when.
    pub(crate) since: u64,
}

/// How often things are done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Pace {
    /// The last look at what is due.
    pub(crate) acted: u64,
    /// The last round of plans.
    pub(crate) planned: u64,
    pub(crate) settled_down: u64,
    pub(crate) levelled: u64,
    /// Home sessions beyond those that this host ought to have.
    pub(crate) spare_home: u32,
    /// Since when there have been too many of these.
    pub(crate) spare_since: Option<u64>,
    /// The last order to make some of them floating.
    pub(crate) floated: u64,
    /// Moves by choice.
    pub(crate) moves: Bucket,
}

impl Core {
    /// Decides what is to change, if it may and is not just decided.
    pub(super) fn plan(&mut self, now: u64, orders: &mut Vec<Order>) {
        if !self.in_standing(now)
            || now < self.hold_until
            || now < self.pace.planned + self.takeover / 300
        {
            return;
        }
        self.pace.planned = now;
        self.return_unwanted(now, orders);
        if self.leaving {
            return;
        }
        let standing = self.standing(now);
        self.mind_surplus(&standing, now, orders);
        let mut edits = self.claims(&standing, now);
        let has = |edits: &[Edit], account| edits.iter().any(|edit| edit.account == account);
        let [terms, limits] = [self.settle_down(&standing, now), self.limits(&standing)];
        for more in [terms, self.floated(), limits, self.rewrites(&standing)] {
            for edit in more {
                if !has(&edits, edit.account) {
                    edits.push(edit);
                }
            }
        }
        self.send_edits(edits, orders);
        self.mind_intents(&standing, now, orders);
        self.give(&standing, now, orders);
    }

    /// Seeks so many sessions for a host: those that are idle, and if need be those that are about to be. Whether there are any.
    pub(super) fn seek(
        &mut self,
        to: &str,
        reason: Reason,
        count: u32,
        now: u64,
        orders: &mut Vec<Order>,
    ) -> bool {
        let count_of = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        let mut sought = self.candidates(reason, Use::Free, now);
        sought.truncate(count_of(count));
        let busy = count - u32::try_from(sought.len()).unwrap_or(count).min(count);
        if busy > 0 && may_wait(reason) {
            let held = self.candidates(reason, Use::Busy, now);
            sought.extend(
                held.into_iter()
                    .take(count_of(busy.saturating_mul(CANDIDATES))),
            );
        }
        for session in &sought {
            self.local
                .withdraw(*session, Why::Give(to.to_owned(), reason), false, orders);
        }
        let found = !sought.is_empty();
        if found {
            self.intents.push(Intent {
                to: to.to_owned(),
                reason,
                left: count,
                since: now,
            });
        }
        found
    }

    /// Sessions that may be given: home sessions last, unless there are too many of them.
    pub(super) fn candidates(&self, reason: Reason, used: Use, now: u64) -> Vec<Session> {
        let urgent = matches!(reason, Reason::LeastShare | Reason::Asked);
        let fits =
            |held: &crate::local::Held| held.seen == used && (urgent || now >= held.stays_until);
        let lent = self
            .local
            .lent()
            .filter(|(session, held)| fits(held) && !self.locks.contains_key(&session.account));
        let mut found: Vec<_> = lent.map(|(session, held)| (held.class, session)).collect();
        found.sort_unstable();
        let home = found.partition_point(|(class, _)| *class == Class::Floating);
        let spare = usize::try_from(self.pace.spare_home).unwrap_or(usize::MAX);
        let surplus = (found.len() - home).min(spare);
        found[..home + surplus].rotate_right(surplus);
        found.into_iter().map(|(_, session)| session).collect()
    }

    /// One that was sought is found. Whether it is still needed.
    pub(super) fn take_from_intent(&mut self, to: &str, reason: Reason) -> bool {
        let fits =
            |intent: &&mut Intent| intent.to == to && intent.reason == reason && intent.left > 0;
        let found = self.intents.iter_mut().find(fits);
        found.map(|intent| intent.left -= 1).is_some()
    }

    /// Ends what is found, or not sought any more; what was withdrawn for it in vain is lent again.
    fn mind_intents(&mut self, standing: &Standing, now: u64, orders: &mut Vec<Order>) {
        let intents = std::mem::take(&mut self.intents);
        let mut sought: Vec<Intent> = intents
            .into_iter()
            .filter(|intent| self.is_sought(intent, standing, now))
            .collect();
        for intent in sought.iter_mut().filter(|intent| may_wait(intent.reason)) {
            self.seek_further(intent, now, orders);
        }
        self.intents = sought;
        self.recall_unsought(orders);
    }

    /// What was taken for idle may be held by somebody who stays: what has fallen free meanwhile does as well.
    fn seek_further(&mut self, intent: &mut Intent, now: u64, orders: &mut Vec<Order>) {
        if now < intent.since + SOUGHT_AGAIN {
            return;
        }
        intent.since = now;
        let left = usize::try_from(intent.left).unwrap_or(usize::MAX);
        let most = left.saturating_mul(usize::try_from(CANDIDATES).unwrap_or(1));
        let why = Why::Give(intent.to.clone(), intent.reason);
        let out = Stage::Leaving(why.clone(), Way::Withdrawn);
        let sought = self.local.all().filter(|(_, held)| held.stage == out);
        let sought = sought.count();
        let mut more = self.candidates(intent.reason, Use::Free, now);
        more.truncate(left);
        let held = self.candidates(intent.reason, Use::Busy, now);
        let room = most.saturating_sub(sought + more.len());
        more.extend(held.into_iter().take(room));
        for session in more {
            self.local.withdraw(session, why.clone(), false, orders);
        }
    }

    fn recall_unsought(&mut self, orders: &mut Vec<Order>) {
        let sought = |to: &String, reason: Reason| {
            self.intents
                .iter()
                .any(|intent| intent.to == *to && intent.reason == reason)
        };
        let vain = self.local.all().filter(|(_, held)| match &held.stage {
            Stage::Leaving(Why::Give(to, reason), Way::Withdrawn) => !sought(to, *reason),
            _ => false,
        });
        for session in vain.map(|(session, _)| session).collect::<Vec<_>>() {
            self.local.recall(session, orders);
        }
    }

    fn is_sought(&self, intent: &Intent, standing: &Standing, now: u64) -> bool {
        let Some(peer) = standing.peers.iter().find(|peer| peer.name == intent.to) else {
            return false;
        };
        intent.left > 0
            && match intent.reason {
                Reason::Waited => self.is_owed(peer, now),
                Reason::LeastShare => peer.needs() > 0 && peer.has < self.settings.min_share,
                Reason::Asked => true,
                _ => now < intent.since + FOUND_WITHIN,
            }
    }
}

/// Whether sessions that are held are sought too.
fn may_wait(reason: Reason) -> bool {
    matches!(reason, Reason::Waited | Reason::LeastShare | Reason::Asked)
}
