//! The whole at one moment, for those who watch it change: the status, and who holds what.

use serde::Serialize;
use tpp::{
    clock::unix_millis,
    control::{Hold, HostsStatus, PoolSummary, Status, TokenStatus},
};

use super::{Outlook, slow, status::status};

/// Holders that are told of.
const MOST_HOLDERS: usize = 100;
/// Slots that are.
const MOST_TOKENS: usize = 100;

/// All of it.
#[derive(Debug, Serialize)]
pub(crate) struct Picture {
    /// When, Unix milliseconds.
    at_ms: u64,
    /// Of the plan in force.
    generation: u64,
    /// Tokens that are held.
    held: usize,
    /// Those that are held longest, as far as there is room.
    holders: Vec<Hold>,
    /// Slots that there are.
    slots: usize,
    /// Those that something failed at, then those that were used most, as far as there is room.
    tokens: Vec<TokenStatus>,
    /// The hosts that share sessions; left out where this one is alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    hosts: Option<HostsStatus>,
    /// The pools, in more words than the status has.
    pools: Vec<PoolSummary>,
    #[serde(flatten)]
    status: Status,
}

impl Outlook {
    /// The whole as it is now, with `pools` in it.
    pub(crate) fn picture(&self, pools: Vec<PoolSummary>) -> Picture {
        let snapshot = self.snapshot();
        let mut status = status(&snapshot);
        // Left out there: `pools` says more.
        status.gateway.pools.clear();
        let running = self.plans.pools().all();
        let holds = running
            .iter()
            .flat_map(|(name, pool)| slow::holds(name, pool));
        let mut holders: Vec<_> = holds.collect();
        holders.sort_by_key(|hold| std::cmp::Reverse(hold.held_ms));
        let held = holders.len();
        holders.truncate(MOST_HOLDERS);
        let mut tokens = self.tokens();
        tokens
            .sort_by_key(|one| std::cmp::Reverse((one.last_error.is_some(), one.errors, one.uses)));
        let slots = tokens.len();
        tokens.truncate(MOST_TOKENS);
        Picture {
            at_ms: unix_millis(),
            generation: self.stock.region().plan_generation(),
            held,
            holders,
            slots,
            tokens,
            hosts: snapshot.hosts.map(|(hosts, _)| hosts),
            pools,
            status,
        }
    }
}
