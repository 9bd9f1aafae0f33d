//! What is slow, and what fails, of pools and backends.

use std::{collections::BTreeMap, time::Duration};

use tpp::{
    control::{BackendStatus, FailingAccount, Hold, HoldEnded, Slow, SlowBackend},
    ids::SlotIndex,
    pool::SlotState,
};

use crate::pools::Running;

/// Accounts that are named at most.
const MOST_ACCOUNTS: usize = 10;
/// A mean over fewer answers says little.
const LEAST_ANSWERS: u64 = 3;

/// Each token of the pool called `name` that is held, the longest first.
pub(crate) fn holds(name: &str, running: &Running) -> Vec<Hold> {
    let (stock, ledger) = (&running.stock, running.refresher.ledger());
    let pool = stock.pool();
    let held = (0..pool.slots.len()).filter_map(|index| {
        let (SlotState::Leased(seat) | SlotState::Retiring(seat)) = pool.slot_state(index) else {
            return None;
        };
        let holding = stock.holding(SlotIndex::new(index))?;
        // A slot that is nobody's any more may still be held.
        let known = index < ledger.slots();
        let user = if known {
            ledger.note(index).user.clone()
        } else {
            String::new()
        };
        Some(Hold {
            pool: name.to_owned(),
            slot: u32::try_from(index).ok()?,
            user,
            held_ms: millis(holding.held),
            client: holding.client.map(|address| address.to_string()),
            idle_ms: holding.idle.map(millis),
            worker: u32::try_from(seat.get()).ok()?,
        })
    });
    let mut held: Vec<_> = held.collect();
    held.sort_by_key(|hold| std::cmp::Reverse(hold.held_ms));
    held
}

/// The longest hold of the pool called `name` that ended in the last minutes.
pub(crate) fn longest_ended(name: &str, running: &Running) -> Option<HoldEnded> {
    let (hold, ago) = running.stock.longest_ended()?;
    Some(HoldEnded {
        pool: name.to_owned(),
        slot: u32::try_from(hold.slot).ok()?,
        held_ms: hold.held_ms,
        client: hold.client.map(|address| address.to_string()),
        ended_ms_ago: millis(ago),
    })
}

/// Accounts of the pool called `name` whose last logins failed, those with the most failures first.
pub(crate) fn failing(name: &str, running: &Running) -> Vec<FailingAccount> {
    let ledger = running.refresher.ledger();
    let mut found: BTreeMap<String, FailingAccount> = BTreeMap::new();
    let notes = (0..ledger.slots()).map(|index| ledger.note(index));
    for note in notes {
        let Some(error) = &note.last_error else {
            continue;
        };
        let account = found.entry(note.user.clone());
        let account = account.or_insert_with(|| FailingAccount {
            pool: name.to_owned(),
            user: note.user.clone(),
            errors: 0,
            last_error: error.clone(),
        });
        account.errors += note.errors;
    }
    let mut found: Vec<_> = found.into_values().collect();
    found.sort_by_key(|account| std::cmp::Reverse(account.errors));
    found.truncate(MOST_ACCOUNTS);
    found
}

/// The worst of all `pools` and `backends`.
pub(super) fn slow(pools: &BTreeMap<String, Running>, backends: &[BackendStatus]) -> Slow {
    let held = pools.iter().filter_map(|(name, pool)| {
        let mut held = holds(name, pool);
        (!held.is_empty()).then(|| held.swap_remove(0))
    });
    let ended = pools
        .iter()
        .filter_map(|(name, pool)| longest_ended(name, pool));
    let failing = pools.iter().flat_map(|(name, pool)| failing(name, pool));
    let mut failing: Vec<_> = failing.collect();
    failing.sort_by_key(|account| std::cmp::Reverse(account.errors));
    failing.truncate(MOST_ACCOUNTS);
    Slow {
        longest_hold: held.max_by_key(|hold| hold.held_ms),
        longest_ended_hold: ended.max_by_key(|hold| hold.held_ms),
        failing_accounts: failing,
        slowest_backend: slowest(backends),
    }
}

fn slowest(backends: &[BackendStatus]) -> Option<SlowBackend> {
    let timed = backends.iter().filter_map(|one| {
        let answers = one.answers.filter(|times| times.count >= LEAST_ANSWERS)?;
        Some(SlowBackend {
            id: one.id.clone(),
            answers,
        })
    });
    let slowest = timed.max_by(|one, other| one.answers.mean_ms.total_cmp(&other.answers.mean_ms));
    slowest.filter(|_| backends.len() > 1)
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
