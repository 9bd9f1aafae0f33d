//! Taking what nobody has, and the terms of what this host has.
use super::Core;
use super::peers::Standing;
use super::pending::{Edit, What};
use crate::account::Account;
use crate::deadlines::SECOND;
use crate::order::Reason;
use crate::records::Shares;
use crate::view::Seen;

/// Between two rounds of turning floating sessions into home sessions.
pub(super) const SELDOM: u64 = 10 * SECOND;

impl Core {
    /// Claims sessions that nobody has: first those whose turn it is up to what this host ought to have; then what stays.
    pub(super) fn claims(&mut self, standing: &Standing, now: u64) -> Vec<Edit> {
        let mut edits = Vec::new();
        let mut room = standing.target.saturating_sub(standing.mine.iter().sum());
        let mut home = standing.home_target.saturating_sub(standing.mine[1]);
        let accounts: Vec<(Account, u32)> = self
            .settings
            .accounts
            .iter()
            .map(|(account, limit)| (*account, *limit))
            .collect();
        for (account, configured) in accounts {
            let known = self.view.accounts.get(&account).and_then(Seen::read);
            let available = known.map_or(configured, |record| {
                self.view.available(record, record.limit.min(configured))
            });
            if available == 0 || !self.is_wanted(account, now) {
                self.unclaimed.remove(&account);
                continue;
            }
            let Some(draft) = self.draft(account, What::Settle) else {
                continue;
            };
            let since =
                *self.unclaimed.entry(account).or_insert(now) + self.turn(&account.to_string());
            let count = match now {
                _ if now >= since + self.takeover / 15 => available,
                _ if now >= since => available.min(room),
                _ => 0,
            };
            if count > 0 {
                room = room.saturating_sub(count);
                edits.push(self.claim(draft, count, &mut home));
            }
        }
        edits
    }

    /// A claim: from what is not written to anybody, then from what is written to hosts that it does not count for any more.
    fn claim(&self, mut draft: Edit, count: u32, home: &mut u32) -> Edit {
        let becomes_home = count.min(*home);
        *home -= becomes_home;
        let mine = self.counted(draft.account);
        self.set(
            &mut draft.record,
            &self.settings.name,
            [mine[0] + count - becomes_home, mine[1] + becomes_home],
        );
        draft.others = self.drop_void(&mut draft.record);
        let reason = if draft.others.is_empty() {
            Reason::Claimed
        } else {
            Reason::TakenOver
        };
        Edit {
            what: What::Claim(count, reason),
            ..draft
        }
    }

    /// Takes as much of what does not count any more out of a record as is over its limit. Says whose it was.
    fn drop_void(&self, record: &mut Shares) -> Vec<String> {
        let listed = |record: &Shares| {
            record
                .shares
                .values()
                .map(|share| share.floating + share.home)
                .sum::<u32>()
        };
        let mut others = Vec::new();
        for host in record.shares.keys().cloned().collect::<Vec<_>>() {
            let over = listed(record).saturating_sub(record.limit);
            let [floating, home] = self.view.counted(record, &host);
            let Some(share) = record
                .shares
                .get_mut(&host)
                .filter(|_| over > 0 && host != self.settings.name)
            else {
                continue;
            };
            let void = [share.floating - floating, share.home - home];
            if void == [0, 0] {
                continue;
            }
            let of_floating = void[0].min(over);
            share.floating -= of_floating;
            share.home -= void[1].min(over - of_floating);
            if share.floating + share.home == 0 {
                record.shares.remove(&host);
            }
            others.push(host);
        }
        others
    }

    /// Floating sessions become home sessions, if there ought to be more of these. It changes nothing for who lends.
    pub(super) fn settle_down(&mut self, standing: &Standing, now: u64) -> Vec<Edit> {
        let mut lacking = standing.home_target.saturating_sub(standing.mine[1]);
        if lacking == 0 || now < self.pace.settled_down + SELDOM {
            return Vec::new();
        }
        self.pace.settled_down = now;
        let mut edits = Vec::new();
        for account in self.local.accounts() {
            let ([floating, home], stays) = (self.counted(account), self.stays(account));
            let count = floating.min(lacking);
            if count > 0
                && stays
                && let Some(mut draft) = self.draft(account, What::Terms)
            {
                lacking -= count;
                self.set(
                    &mut draft.record,
                    &self.settings.name,
                    [floating - count, home + count],
                );
                edits.push(draft);
            }
        }
        edits
    }

    /// Whether no session of an account is on its way out.
    fn stays(&self, account: Account) -> bool {
        self.local
            .of(account)
            .all(|(_, held)| held.stage == crate::local::Stage::Lent)
    }

    /// Whether an account is this host's to look after.
    pub(super) fn is_first(&self, account: Account, standing: &Standing) -> bool {
        let mine = account.affinity(&self.settings.name);
        let mut peers = standing.peers.iter();
        peers.all(|peer| account.affinity(&peer.name) < mine)
    }

    /// A lower limit is in force at once, a higher one when all hosts know it.
    pub(super) fn limits(&self, standing: &Standing) -> Vec<Edit> {
        let live = self
            .view
            .beats
            .iter()
            .filter(|(host, _)| !self.view.is_over(host));
        let agreed = live
            .filter_map(|(_, seen)| Seen::read(seen))
            .all(|beat| beat.cfg == self.config);
        let mut edits = Vec::new();
        for (account, limit) in &self.settings.accounts {
            let Some(known) = self
                .view
                .accounts
                .get(account)
                .and_then(Seen::read)
                .map(|shares| shares.limit)
            else {
                continue;
            };
            let first = || self.is_first(*account, standing);
            if (*limit < known || (*limit > known && agreed && first()))
                && let Some(mut draft) = self.draft(*account, What::Terms)
            {
                draft.record.limit = *limit;
                edits.push(draft);
            }
        }
        edits
    }
}
