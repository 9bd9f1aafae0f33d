//! What is read from the region's words.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tpp::{
    clock::monotonic_millis,
    control::{PoolStatus, PoolSummary, WorkerStatus},
    lending::Stock,
    pool::{Census, Holder},
    roster::SeatState,
    shared::{Hopeless, SupervisorCounters},
};

use super::{
    slow,
    snapshot::{Exports, OfPool, Refreshes},
};
use crate::{fleet::WorkerReport, pools::Running};

/// All pools together.
pub(super) fn pool_status<'a>(pools: impl IntoIterator<Item = &'a Stock>) -> PoolStatus {
    let mut all = PoolStatus::default();
    for pool in pools {
        let Census {
            usable,
            in_use,
            available,
            waiting,
            ..
        } = pool.pool().census();
        let held_back = held_back(pool);
        all.total += usable + held_back.total;
        all.in_use += in_use + held_back.in_use;
        all.available += available;
        all.waiting += waiting;
    }
    all
}

/// Tokens of a pool that is paused: there they are, and whoever has one goes on with it, but none is free to be lent.
fn held_back(stock: &Stock) -> PoolStatus {
    let mut held_back = PoolStatus::default();
    if !stock.terms().is_paused() {
        return held_back;
    }
    for slot in stock.pool().slots {
        let word = slot.word();
        if word.usable && word.held_back {
            held_back.total += 1;
            held_back.in_use += u64::from(word.holder != Holder::Free);
        }
    }
    held_back
}

/// What each of `pools` has.
pub(super) fn each(pools: &BTreeMap<String, Running>) -> BTreeMap<String, OfPool> {
    let each = pools.iter().map(|(name, pool)| {
        let of_pool = OfPool {
            numbers: pool_status([&*pool.stock]),
            paused: pool.stock.terms().is_paused(),
            longest_wait: longest_wait(std::slice::from_ref(&pool.stock)),
        };
        (name.clone(), of_pool)
    });
    each.collect()
}

/// A pool in a line.
pub(crate) fn pool_summary(name: &str, pool: &Running) -> PoolSummary {
    let stock = &pool.stock;
    // Each asks the ledger by itself.
    let longest_hold = slow::holds(name, pool).into_iter().next();
    let failing_accounts = slow::failing(name, pool);
    let configured_tokens = pool.refresher.ledger().configured();
    PoolSummary {
        name: name.to_owned(),
        paused: stock.terms().is_paused(),
        numbers: pool_status([&**stock]),
        configured_tokens,
        idle_leases: stock.idle_leases(),
        longest_wait_ms: u64::try_from(longest_wait(std::slice::from_ref(stock)).as_millis())
            .unwrap_or(u64::MAX),
        all_refused: matches!(stock.hopeless(), Some(Hopeless::Refused(_))),
        provider: pool.provider().to_owned(),
        longest_hold,
        longest_ended_hold: slow::longest_ended(name, pool),
        failing_accounts,
    }
}

/// How many accounts there are, if the server refuses all of every pool.
pub(super) fn all_refused(pools: &[Arc<Stock>]) -> Option<u64> {
    let accounts = pools.iter().map(|pool| match pool.hopeless()? {
        Hopeless::Refused(accounts) => Some(accounts),
        Hopeless::Spared(_) => None,
    });
    let accounts: Option<Vec<_>> = accounts.collect();
    accounts
        .filter(|accounts| !accounts.is_empty())
        .map(|accounts| accounts.iter().sum())
}

/// How long the one who waits longest has waited.
pub(super) fn longest_wait(pools: &[Arc<Stock>]) -> Duration {
    let oldest = pools.iter().filter_map(|stock| {
        let pool = stock.pool();
        let waits = pool.lines.iter().filter_map(|line| line.oldest_since());
        waits.min()
    });
    let since = oldest.min();
    Duration::from_millis(since.map_or(0, |since| monotonic_millis().saturating_sub(since)))
}

pub(super) fn exports(stock: &Stock) -> Exports {
    let counters = stock.region().supervisors();
    Exports {
        spans_exported: counters.spans_exported.get(),
        spans_dropped: stock.spans_dropped(),
        spans_lost: counters.spans_lost.get(),
        taken: counters.exports_taken.get(),
        failed: counters.exports_failed.get(),
    }
}

pub(super) fn refreshes(counters: &SupervisorCounters) -> Refreshes {
    Refreshes {
        success: counters.logins_succeeded.get(),
        refused: counters.logins_refused.get(),
        trouble: counters.logins_failed.get(),
    }
}

/// A worker as its seat and the fleet's report show it.
pub(super) fn worker(stock: &Stock, report: &WorkerReport) -> WorkerStatus {
    let pool = stock.pool();
    let seat = &pool.seats[report.seat.get()];
    let counters = stock.region().counters(report.seat);
    let word = seat.word();
    let state = match word.state {
        _ if word.stalled => "stalled",
        _ if report.leaving => "draining",
        SeatState::Ready => "ready",
        SeatState::Draining => "draining",
        SeatState::Starting => "starting",
        SeatState::Vacant | SeatState::Dead => "gone",
    };
    WorkerStatus {
        seat: u32::try_from(report.seat.get()).expect("seats are counted in 8 bits"),
        epoch: report.epoch.get(),
        pid: report.pid,
        state: state.to_owned(),
        uptime_seconds: monotonic_millis().saturating_sub(seat.filled_at()) / 1000,
        heartbeat_age_ms: stock.heartbeat_age(report.seat),
        connections: counters.open_connections(),
        leases: pool.leases_of(report.seat),
        waiting: pool.lines[report.seat.get()].waiting(),
        requests: counters.requests.get(),
        errors: counters.request_errors.get(),
        restarts: report.restarts,
        last_exit: report.last_exit.clone(),
    }
}
