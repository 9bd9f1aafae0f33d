//! The other hosts that take part, and who ought to have how many sessions.
use std::collections::BTreeMap;

use super::Core;
use crate::fair::targets;
use crate::records::{Beat, Going};
use crate::view::Seen;

/// A host that beats.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) beat: Beat,
    /// For how long its last beat has been seen, ms.
    pub(crate) age_ms: u64,
    /// Sessions it has by the records.
    pub(crate) has: u32,
}

/// How things stand, for one round of plans.
#[derive(Debug)]
pub(crate) struct Standing {
    /// Other hosts that may be given something, by name.
    pub(crate) peers: Vec<Peer>,
    /// Sessions that this host has by the records: floating, home.
    pub(crate) mine: [u32; 2],
    /// What this host ought to have.
    pub(crate) target: u32,
    /// How many of these ought to be home.
    pub(crate) home_target: u32,
}

impl Peer {
    /// Sessions that are on their way to it: it has them by the records, and said nothing of them yet.
    pub(crate) fn coming(&self) -> u32 {
        self.has.saturating_sub(
            self.beat
                .has
                .iter()
                .sum::<u32>()
                .min(self.beat.in_use + self.beat.free),
        )
    }

    /// Who waits there and has no session coming.
    pub(crate) fn needs(&self) -> u32 {
        self.beat.waiting.saturating_sub(self.coming())
    }

    /// For how long the first of them has waited by now, ms. Where sessions are, the line moves, and the first is another by now who
    /// has waited for about as long; where none is, it is the same one.
    pub(crate) fn oldest_ms(&self) -> u64 {
        match (self.beat.waiting, self.has) {
            (0, _) => 0,
            (_, 0) => self.beat.oldest_ms + self.age_ms,
            _ => self.beat.oldest_ms,
        }
    }
}

impl Core {
    /// The other hosts that beat and stay. Those whose accounts differ are not given any, as they might have to give them back.
    pub(super) fn peers(&self, totals: &BTreeMap<String, [u32; 2]>, now: u64) -> Vec<Peer> {
        let peer = |(name, seen): (&String, &Seen<Beat>)| {
            let (beat, record) = (seen.read()?, self.view.generation(name)?);
            let beats = now < seen.at + self.takeover * 8 / 15
                && beat.generation == record.generation
                && !record.inc.is_none();
            let fits =
                beat.state == Going::Live && beat.cfg == self.config && *name != self.settings.name;
            (beats && fits).then(|| Peer {
                name: name.clone(),
                beat: beat.clone(),
                age_ms: now.saturating_sub(seen.at) / 1_000_000,
                has: totals.get(name).map_or(0, |has| has.iter().sum()),
            })
        };
        self.view.beats.iter().filter_map(peer).collect()
    }

    /// How things stand, by the records and this host's own pool.
    pub(super) fn standing(&self, now: u64) -> Standing {
        let totals = self.view.totals();
        let peers = self.peers(&totals, now);
        let limit = |account, configured| {
            self.view
                .accounts
                .get(account)
                .and_then(Seen::read)
                .map_or(configured, |it| it.limit)
        };
        let sessions = self
            .settings
            .accounts
            .iter()
            .map(|(account, configured)| limit(account, *configured))
            .sum();
        let wants = self.sign_of_life(0, now).wants;
        let expected = self.settings.expected.saturating_sub(1);
        let missing = usize::try_from(expected)
            .unwrap_or(0)
            .saturating_sub(peers.len());
        let mut all: Vec<(&str, u32)> = peers
            .iter()
            .map(|peer| (peer.name.as_str(), peer.beat.wants))
            .collect();
        all.push((&self.settings.name, wants));
        all.sort_unstable();
        let mine = all
            .iter()
            .position(|(name, _)| *name == self.settings.name)
            .unwrap_or(0);
        let mut wishes: Vec<u32> = all.iter().map(|(_, wants)| *wants).collect();
        // Hosts that are expected have a part kept for them, as if they wanted nothing.
        wishes.resize(wishes.len() + missing, 0);
        let hosts = u32::try_from(wishes.len()).unwrap_or(u32::MAX);
        Standing {
            target: targets(sessions, &wishes, self.settings.min_share)[mine],
            home_target: u32::try_from(
                u64::from(sessions) * u64::from(self.settings.home_percent)
                    / 100
                    / u64::from(hosts),
            )
            .unwrap_or(0),
            mine: totals.get(&self.settings.name).copied().unwrap_or_default(),
            peers,
        }
    }
}
