//! Which sessions move: the owner gives, nobody takes from the living. Every host decides for itself, by what all have said.
use std::collections::BTreeMap;

use super::Core;
use super::claim::SELDOM;
use super::peers::{Peer, Standing};
use super::pending::{Edit, What};
use crate::account::Account;
use crate::deadlines::SECOND;
use crate::event::Use;
use crate::local::{Stage, Way, Why};
use crate::order::{Order, Reason};

impl Core {
    /// One round. What is urgent comes first, and a host is given one thing at a time.
    pub(super) fn give(&mut self, standing: &Standing, now: u64, orders: &mut Vec<Order>) {
        self.give_least_share(standing, now, orders);
        if self.beating.waiting == 0 {
            self.give_idle(standing, now, orders);
            self.level(standing, now, orders);
        } else {
            self.give_to_longer_waits(standing, now, orders);
        }
    }

    /// A host with less than its least share, and somebody who waits there, gets from the host that has most.
    fn give_least_share(&mut self, standing: &Standing, now: u64, orders: &mut Vec<Order>) {
        let mine = (standing.mine.iter().sum::<u32>(), &self.settings.name);
        let richest = standing
            .peers
            .iter()
            .all(|peer| (peer.has, &peer.name) < mine)
            && mine.0 > self.settings.min_share;
        for peer in standing
            .peers
            .iter()
            .filter(|peer| richest && peer.needs() > 0)
        {
            let lacking = self
                .settings
                .min_share
                .saturating_sub(peer.has)
                .min(peer.needs());
            if lacking > 0 && !self.is_giving(&peer.name) {
                self.seek(&peer.name, Reason::LeastShare, lacking, now, orders);
            }
        }
    }

    /// Nobody waits here: what is idle goes where somebody waits, the longest wait first. Of many hosts with idle sessions each
    /// gives its part, so that they do not give too many together.
    fn give_idle(&mut self, standing: &Standing, now: u64, orders: &mut Vec<Order>) {
        let idle = self.local.used(Use::Free);
        let everywhere = idle
            + standing
                .peers
                .iter()
                .map(|peer| peer.beat.free)
                .sum::<u32>();
        let reserve = (standing.mine.iter().sum::<u32>() / 10).max(1);
        let mut left = idle;
        let mut needy: Vec<&Peer> = standing
            .peers
            .iter()
            .filter(|peer| peer.needs() > 0)
            .collect();
        needy.sort_by_key(|peer| std::cmp::Reverse(peer.oldest_ms()));
        for peer in needy {
            let part =
                (u64::from(peer.needs()) * u64::from(idle)).div_ceil(u64::from(everywhere.max(1)));
            // Whoever waits where there is nothing at all comes before those who may come here.
            let kept = if peer.has == 0 { 0 } else { reserve };
            let most = left.saturating_sub(kept);
            let count = u32::try_from(part).unwrap_or(u32::MAX).min(most);
            left -= self.give_some(standing, peer, Reason::Idle, count, now, orders);
        }
    }

    /// Somebody waits here too: the next session that falls free goes to who has waited for much longer elsewhere.
    fn give_to_longer_waits(&mut self, standing: &Standing, now: u64, orders: &mut Vec<Order>) {
        let owed = standing.peers.iter().filter(|peer| self.is_owed(peer, now));
        if let Some(peer) = owed.max_by_key(|peer| peer.oldest_ms()) {
            self.give_some(standing, peer, Reason::Waited, 1, now, orders);
        }
    }

    /// Whether somebody at this host has waited for so much longer than all here that the next session is his.
    pub(super) fn is_owed(&self, peer: &Peer, now: u64) -> bool {
        peer.needs() > 0
            && peer.coming() == 0
            && peer.oldest_ms() > self.oldest_ms(now) + self.settings.fair_gap / 1_000_000
    }

    /// Nobody waits anywhere: hosts with many idle sessions give to the one that has fewest, seldom, and only if it is worth it.
    fn level(&mut self, standing: &Standing, now: u64, orders: &mut Vec<Order>) {
        let calm = standing.peers.iter().all(|peer| peer.beat.waiting == 0);
        if !calm || standing.peers.is_empty() || now < self.pace.levelled + SELDOM {
            return;
        }
        let idle_at =
            |peer: &Peer| peer.beat.free + peer.has.saturating_sub(peer.beat.has.iter().sum());
        let idle = self.local.used(Use::Free);
        let hosts = u32::try_from(standing.peers.len())
            .unwrap_or(u32::MAX)
            .saturating_add(1);
        let even = (idle + standing.peers.iter().map(idle_at).sum::<u32>()) / hosts;
        let over = |idle: u32| idle.saturating_sub(even);
        let all_over = over(idle)
            + standing
                .peers
                .iter()
                .map(|peer| over(idle_at(peer)))
                .sum::<u32>();
        let Some(poorest) = standing.peers.iter().min_by_key(|peer| idle_at(peer)) else {
            return;
        };
        let lacking = even.saturating_sub(idle_at(poorest));
        // A quarter more than all have, and not for one session.
        if over(idle) * 4 > even && over(idle) > 1 && lacking > 0 {
            let part = (u64::from(lacking) * u64::from(over(idle))).div_ceil(u64::from(all_over));
            let count = u32::try_from(part).unwrap_or(u32::MAX).min(over(idle));
            if !self.is_giving(&poorest.name)
                && self.seek(&poorest.name, Reason::Level, count, now, orders)
            {
                self.pace.levelled = now;
            }
        }
    }

    /// Seeks some, as far as the pace allows: a tenth of this host's sessions a second. Says how many.
    fn give_some(
        &mut self,
        standing: &Standing,
        peer: &Peer,
        reason: Reason,
        count: u32,
        now: u64,
        orders: &mut Vec<Order>,
    ) -> u32 {
        if self.is_giving(&peer.name) {
            return 0;
        }
        let pace = u64::from((standing.mine.iter().sum::<u32>() / 10).max(1));
        let allowed = (0..count)
            .take_while(|_| self.pace.moves.take(now, SECOND / pace, pace))
            .count();
        let allowed = u32::try_from(allowed).unwrap_or(0);
        if allowed > 0 {
            self.seek(&peer.name, reason, allowed, now, orders);
        }
        allowed
    }

    /// Whether something is being given to a host already.
    fn is_giving(&self, host: &str) -> bool {
        self.intents.iter().any(|intent| intent.to == host)
            || self.local.all().any(|(_, held)| matches!(&held.stage, Stage::Leaving(Why::Give(to, _), _) if to == host))
    }

    /// Writes down what is out: to whom it goes.
    pub(super) fn send_off(&mut self, now: u64, orders: &mut Vec<Order>) {
        if !self.in_standing(now) || now < self.hold_until {
            return;
        }
        let accounts = self.on_the_way(now);
        if accounts.is_empty() {
            return;
        }
        let peers = self.peers(&self.view.totals(), now);
        let mut promised = BTreeMap::new();
        let mut edits = Vec::new();
        for account in accounts {
            if let Some(edit) = self.hand_over(account, &peers, &mut promised, now) {
                edits.push(edit);
            }
        }
        self.send_edits(edits, orders);
    }

    /// Accounts with sessions that are out, or never came in and are not wanted.
    fn on_the_way(&self, now: u64) -> Vec<Account> {
        let mut accounts: Vec<Account> = self
            .local
            .all()
            .filter(|(_, held)| self.is_out(&held.stage))
            .map(|(session, _)| session.account)
            .collect();
        let mine = |seen: &crate::records::Shares| seen.shares.contains_key(&self.settings.name);
        let records = self
            .view
            .accounts
            .iter()
            .filter(|(_, seen)| seen.read().is_some_and(mine));
        accounts.extend(
            records
                .map(|(account, _)| *account)
                .filter(|account| self.never_came(*account, now) != [0, 0]),
        );
        accounts.sort_unstable();
        accounts.dedup();
        accounts
    }

    /// Whether a session may be given in the records.
    fn is_out(&self, stage: &Stage) -> bool {
        match stage {
            Stage::Leaving(Why::Give(..), _) if !self.rules.give_what_is_out => true,
            Stage::Leaving(_, way) => *way == Way::Wiped,
            Stage::Lent => false,
        }
    }

    /// Sessions that are this host's, that it does not want, and that were never lent.
    fn never_came(&self, account: Account, now: u64) -> [u32; 2] {
        let (counted, held) = (self.counted(account), self.local.count(account));
        if counted == held {
            return [0, 0];
        }
        let mut unwanted = self.unwanted(account, now);
        [0, 1].map(|class| {
            let here: u32 = counted[class].saturating_sub(held[class]).min(unwanted);
            unwanted -= here;
            here
        })
    }

    /// The edit that takes an account's sessions that are out from this host.
    fn hand_over(
        &mut self,
        account: Account,
        peers: &[Peer],
        promised: &mut BTreeMap<String, u32>,
        now: u64,
    ) -> Option<Edit> {
        let mut draft = self.draft(account, What::Settle)?;
        let out: Vec<_> = self
            .local
            .of(account)
            .filter(|(_, held)| self.is_out(&held.stage))
            .map(|(session, held)| (session, held.clone()))
            .collect();
        let (to, reason) = match out.first().map(|(_, held)| held.stage.clone()) {
            Some(Stage::Leaving(Why::Give(to, reason), _)) => (Some(to), reason),
            Some(Stage::Leaving(Why::Return(reason), _)) => {
                (self.successor_for(reason, peers, promised), reason)
            }
            _ if self.leaving => (
                self.successor_for(Reason::Left, peers, promised),
                Reason::Left,
            ),
            _ => (None, Reason::Returned),
        };
        let (counted, mut gone) = (self.counted(account), self.never_came(account, now));
        for (_, held) in &out {
            gone[usize::from(held.class == crate::Class::Home)] += 1;
        }
        let gives = matches!(reason, Reason::Left | Reason::Returned)
            || to
                .as_ref()
                .is_some_and(|to| peers.iter().any(|peer| peer.name == *to));
        if gone[0] > counted[0] || gone[1] > counted[1] || !gives {
            // Not ours any more, or nobody there who could take them: what is ours is lent again.
            out.iter()
                .for_each(|(session, _)| self.local.forget(*session));
            return None;
        }
        self.set(
            &mut draft.record,
            &self.settings.name,
            [counted[0] - gone[0], counted[1] - gone[1]],
        );
        let count = gone[0] + gone[1];
        if let Some(to) = &to {
            let theirs = self.view.counted(&draft.record, to);
            self.set(&mut draft.record, to, [theirs[0] + count, theirs[1]]);
            draft.others.push(to.clone());
            *promised.entry(to.clone()).or_default() += count;
        }
        draft.sessions = out.into_iter().map(|(session, _)| session).collect();
        draft.what = What::Give(count, to, reason);
        Some(draft)
    }

    /// Who gets what a leaving host has: who needs most, and of those the one that has least. What is returned for another reason is nobody's.
    fn successor_for(
        &self,
        reason: Reason,
        peers: &[Peer],
        promised: &BTreeMap<String, u32>,
    ) -> Option<String> {
        let more = |peer: &Peer| promised.get(&peer.name).copied().unwrap_or(0);
        let needs = |peer: &Peer| {
            (
                std::cmp::Reverse(peer.needs().saturating_sub(more(peer))),
                peer.has + more(peer),
            )
        };
        let successor = peers
            .iter()
            .filter(|_| reason == Reason::Left)
            .min_by_key(|peer| needs(peer));
        successor.map(|peer| peer.name.clone())
    }
}
