//! What is limited by name: what a worker has under way there is given back when it dies.

use std::{any::Any, collections::HashSet, sync::Arc, time::Duration};

use tpp::{
    lending::{BreakerAt, Desk, Permits, RowKeys, Stock},
    limits::{
        BreakerPolicy, BreakerRules, BreakerState, FailureWindow, Quota, ShareRules, Table,
        TableQuota,
    },
    region::RowGeometry,
};

/// What a check found wrong.
pub(crate) type Verdict = Result<(), String>;

/// The rows that are given first.
pub(crate) const HOST: usize = 0;
pub(crate) const BACKEND: usize = 0;
pub(crate) const PAIR: usize = 0;
pub(crate) const BREAKER: BreakerAt = BreakerAt::Host(HOST);
/// One failure opens it, one probe is under way at most.
pub(crate) const POLICY: BreakerPolicy = BreakerPolicy {
    rules: BreakerRules {
        failure_threshold: 1,
        recovery: Duration::from_secs(1),
        half_open: 1,
    },
    shares: None,
};
/// The same, and half of the last seconds' attempts as well.
const SHARES: ShareRules = ShareRules {
    percent: 50,
    least: 1,
    time: Duration::from_secs(10),
};
pub(crate) const WITH_WINDOW: BreakerPolicy = BreakerPolicy {
    shares: Some(SHARES),
    ..POLICY
};
/// When the breaker opened, and when it lets a probe through, milliseconds.
const OPENED: u64 = 1000;
pub(crate) const DUE: u64 = 2000;

/// Few, so that a look at all of the region stays cheap.
const FEW: RowGeometry = RowGeometry {
    hosts: 2,
    backends: 2,
    pairs: 2,
    groups: 2,
    rate_sets: 1,
};
/// Requests of one key at once.
const BURST: u64 = 3;
/// Failures in a row for which a backend is left out, and until when.
const FAILURES: u64 = 2;
const OUT_UNTIL: u64 = 100_000;
/// The key of a concurrency limit, and how many permits it has when it is raised.
const LIMIT: u64 = 7;
const RAISED: usize = 2;

fn keys(host: u64, pair: u64, groups: &[u64]) -> RowKeys {
    RowKeys {
        hosts: vec![host],
        backends: vec![2],
        pairs: vec![pair],
        groups: groups.to_vec(),
    }
}

/// A host, a backend, the pair of them, and the host's breaker open.
pub(crate) fn add_rows(stock: &Stock, witness: &Arc<Desk>) {
    stock.region().add_rows(FEW).expect("room");
    stock.give_rows(1, &keys(1, 3, &[])).expect("rows");
    let asked = witness.ask(BREAKER, POLICY.rules, OPENED);
    let has_opened = asked.expect("closed").tell(true, POLICY, OPENED);
    assert!(has_opened, "one failure opens it");
}

/// Another host in the place of the first one, by a plan that nobody goes by yet, and a group besides.
pub(crate) fn give_other_rows(stock: &Stock) {
    let given = stock.give_rows(2, &keys(11, 13, &[14])).expect("rows");
    let own = (
        given.hosts[0],
        given.backends[0],
        given.pairs[0].expect("room"),
    );
    assert_eq!(own, (1, BACKEND, 1), "the rows of others are still theirs");
}

/// One request of a key.
pub(crate) fn admit(desk: &Desk) -> bool {
    let quota = Quota::new(1, Duration::from_secs(1), BURST).expect("a quota");
    let table = desk.rates().expect("a table");
    let admitted = table.admit(TableQuota::new(quota), (1, b"key"), 5_000_000_000);
    admitted.is_ok()
}

/// Two requests in a row fail at the backend.
pub(crate) fn fail_twice(desk: &Desk) {
    (0..2).for_each(|_| desk.note_conduct(BACKEND, true, FAILURES));
}

/// Leaves a backend out that has failed so often.
pub(crate) fn eject_if_bad(stock: &Stock) {
    let conduct = &stock.backend_row(BACKEND).expect("a row").conduct;
    if conduct.failures() >= FAILURES && !conduct.is_out(|| DUE) {
        conduct.eject(1, OUT_UNTIL, 1);
    }
}

/// Whether what it failed is settled: it is out for it, or counted from the begin.
pub(crate) fn is_judged(stock: &Stock) -> bool {
    let conduct = &stock.backend_row(BACKEND).expect("a row").conduct;
    let is_out = (conduct.out_until(), conduct.times()) == (OUT_UNTIL, 1);
    conduct.failures() == 0 && (is_out || conduct.out_until() == 0) && conduct.ejections() <= 1
}

/// A limit of one permit, which the witness has: what it holds of it.
pub(crate) fn limit_to(stock: &Stock, witness: &Desk) -> Vec<Box<dyn Any>> {
    let pools = Permits::new(stock).assign(&[(LIMIT, 1)], 1);
    let limit = witness.open(pools.expect("room")[0]).expect("a pool");
    let permit = limit.try_lease();
    assert!(
        permit.is_some() && limit.try_lease().is_none(),
        "there is one"
    );
    vec![Box::new(permit) as Box<dyn Any>]
}

/// One more of them.
pub(crate) fn raise_limit(stock: &Stock) {
    let pools = Permits::new(stock).assign(&[(LIMIT, RAISED)], 2);
    pools.expect("room");
}

/// The limit has as many permits as it was raised to, one of them lent: what the witness holds, and gives back.
pub(crate) fn judge_limit(stock: &Stock, witness: &Desk, permits: Vec<Box<dyn Any>>) -> Verdict {
    if permits.is_empty() {
        return Ok(());
    }
    let limits = stock.pools();
    let usable: u64 = limits
        .iter()
        .skip(1)
        .map(|one| one.pool().census().usable)
        .sum();
    let desk = witness.open(limits[1].pool_id()).expect("a pool");
    let more: Vec<_> = std::iter::from_fn(|| desk.try_lease()).collect();
    drop(permits);
    if (usable, more.len()) != (RAISED as u64, RAISED - 1) {
        return Err(format!(
            "{usable} permits, {} besides the one lent",
            more.len()
        ));
    }
    Ok(())
}

/// Nothing of the dead is under way, and the breaker lets somebody through: at once if it had noted its probe, or else when the
/// probe's time is over; never two.
pub(crate) fn judge_rows(stock: &Stock, witness: &Arc<Desk>) -> Verdict {
    let region = stock.region();
    let Some(hosts) = region.hosts() else {
        return Ok(());
    };
    let under_way = (
        stock.host_totals(HOST).in_flight,
        stock.backend_in_flight(BACKEND),
    );
    if under_way != (0, 0) {
        return Err(format!("{under_way:?} under way by nobody"));
    }
    let window = FailureWindow::new(&hosts.rows[HOST].window, SHARES.time).shares(DUE);
    if window.failed > 1 || window.succeeded > 0 {
        return Err(format!("{window:?} of one failure"));
    }
    // The dead one took one at most.
    let left = (0..=BURST).filter(|_| admit(witness)).count() as u64;
    if !(BURST - 1..=BURST).contains(&left) {
        return Err(format!("{left} more admitted, at a burst of {BURST}"));
    }
    let taken: Vec<_> = Table::new(hosts.rows, hosts.rows.len()).taken().collect();
    let owners: HashSet<_> = taken.iter().map(|(_, key)| key).collect();
    if owners.len() < taken.len() {
        return Err(format!("a host has two rows: {taken:?}"));
    }
    let ask = |now| witness.ask(BREAKER, POLICY.rules, now).ok();
    for now in [DUE, DUE + 2000] {
        if let Some(_asked) = ask(now) {
            let is_probe = witness.breaker_state(BREAKER) == BreakerState::HalfOpen;
            return if is_probe && ask(now).is_some() {
                Err("two probes at once".to_owned())
            } else {
                Ok(())
            };
        }
    }
    Err("nobody is let through any more".to_owned())
}
