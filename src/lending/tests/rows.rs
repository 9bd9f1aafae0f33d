//! What is limited by name, over workers that die.

use std::{sync::Arc, time::Duration};

use crate::{
    bells::BellBoard,
    limits::{BreakerPolicy, BreakerRules, BreakerState, ShareRules},
    pool::SeatIndex,
    region::{Geometry, Region},
    shared::Rejection,
};

use super::super::*;

const POLICY: BreakerPolicy = BreakerPolicy {
    rules: BreakerRules {
        failure_threshold: 3,
        recovery: Duration::from_secs(30),
        half_open: 1,
    },
    shares: None,
};

/// A supervisor, and two workers that go by its plans.
struct Fixture {
    stock: Stock,
    desks: Vec<Arc<Desk>>,
}

impl Fixture {
    fn new() -> Self {
        let geometry = Geometry {
            slots: 64,
            seats: 4,
            token_bytes: 64,
        };
        let region = Arc::new(Region::with_room(geometry, 64 << 20).expect("a region"));
        let stock = Stock::new(region, BellBoard::create(geometry.seats).expect("bells"));
        let mut fixture = Self {
            stock,
            desks: Vec::new(),
        };
        fixture.hire();
        fixture.hire();
        fixture
    }

    fn hire(&mut self) {
        let (seat, epoch) = self.stock.fill_seat(0).expect("a vacant seat");
        let bells = self.stock.bells().try_clone().expect("bells");
        let desk = Desk::new(Arc::clone(self.stock.region()), bells, seat, epoch);
        desk.set_ready();
        self.desks.push(desk);
    }

    fn show(&self, generation: u64) {
        self.desks
            .iter()
            .for_each(|desk| desk.show_plan(generation));
    }

    fn host(&self, generation: u64, name: &str) -> usize {
        let keys = RowKeys {
            hosts: vec![row_key(&["host", name])],
            ..RowKeys::default()
        };
        self.stock.give_rows(generation, &keys).expect("rows").hosts[0]
    }
}

#[test]
fn requests_under_way_are_counted_over_all_workers_and_not_those_of_the_dead() {
    let fixture = Fixture::new();
    let keys = RowKeys {
        hosts: vec![row_key(&["host", "a"])],
        backends: vec![row_key(&["backend", "x"])],
        pairs: vec![row_key(&["a", "x"])],
        groups: vec![row_key(&["tag", "x"])],
    };
    let rows = fixture.stock.give_rows(1, &keys).expect("rows");
    let (host, backend, pair) = (
        rows.hosts[0],
        rows.backends[0],
        rows.pairs[0].expect("room"),
    );
    let held: Vec<_> = fixture
        .desks
        .iter()
        .map(|desk| (desk.enter(host), desk.send(backend, pair)))
        .collect();
    assert_eq!(fixture.stock.host_totals(host).in_flight, 2);
    assert_eq!(fixture.desks[0].backend_in_flight(backend), 2);
    fixture.stock.reclaim(SeatIndex::new(1));
    assert_eq!(fixture.stock.host_totals(host).in_flight, 1);
    assert_eq!(fixture.stock.backend_in_flight(backend), 1);
    // That of the dead ends late: its seat is no longer its own.
    drop(held);
    assert_eq!(fixture.stock.host_totals(host).in_flight, 0);
    assert_eq!(fixture.stock.backend_in_flight(backend), 0);
}

#[test]
fn what_was_counted_outlives_its_worker_and_is_not_another_hosts() {
    let mut fixture = Fixture::new();
    let row = fixture.host(1, "a");
    fixture.show(1);
    let late = fixture.desks[0].enter(row);
    for desk in &fixture.desks {
        let part = desk.host_seat(row).expect("a row");
        part.count_status(200);
        part.count_status(418);
        part.count_rejection(Rejection::Rate);
        part.duration.observe(Duration::from_millis(3));
    }
    fixture.stock.reclaim(SeatIndex::new(1));
    fixture.hire();
    let totals = fixture.stock.host_totals(row);
    let counted = (totals.codes.iter().sum::<u64>(), totals.duration.buckets);
    assert_eq!(counted.0, 4);
    assert_eq!(counted.1.iter().sum::<u64>(), 2);
    assert_eq!(totals.rejections, [0, 2, 0, 0, 0]);
    // As long as a request of the old name is under way its row is nobody else's.
    let other = fixture.host(2, "b");
    fixture.show(2);
    assert_ne!(other, row);
    let taken = |generation, name| fixture.host(generation, name) == row;
    assert!(!taken(3, "c"));
    drop(late);
    fixture.desks.iter().for_each(|desk| desk.show_plan(3));
    let names = ["d", "e", "f", "g"];
    let keys = RowKeys {
        hosts: (0..2048)
            .map(|nth| row_key(&["host", &nth.to_string()]))
            .collect(),
        ..RowKeys::default()
    };
    assert!(fixture.stock.give_rows(4, &keys).is_err(), "c is in use");
    let keys = RowKeys {
        hosts: names.map(|name| row_key(&["host", name])).to_vec(),
        ..RowKeys::default()
    };
    let given = fixture.stock.give_rows(4, &keys).expect("rows");
    assert!(given.hosts.contains(&row));
    assert_eq!(fixture.stock.host_totals(row), Default::default());
}

#[test]
fn a_breaker_opens_over_all_workers_and_a_dead_workers_probe_is_given_out_again() {
    let fixture = Fixture::new();
    let at = BreakerAt::Host(fixture.host(1, "a"));
    let [first, second] = [&fixture.desks[0], &fixture.desks[1]];
    for (nth, desk) in [first, second, first].into_iter().enumerate() {
        let asked = desk.ask(at, POLICY.rules, 1000).expect("closed");
        assert_eq!(asked.tell(true, POLICY, 1000), nth == 2);
    }
    assert_eq!(second.breaker_state(at), BreakerState::Open);
    assert!(second.ask(at, POLICY.rules, 30_000).is_err());
    let probe = second.ask(at, POLICY.rules, 31_000).expect("due");
    assert!(first.ask(at, POLICY.rules, 31_000).is_err(), "one probe");
    fixture.stock.reclaim(SeatIndex::new(1));
    let again = first.ask(at, POLICY.rules, 31_000).expect("given back");
    // The dead one's, late: nobody else's is given back with it.
    drop(probe);
    assert!(first.ask(at, POLICY.rules, 31_000).is_err());
    drop(again);
    let last = first
        .ask(at, POLICY.rules, 31_000)
        .expect("untold, so given back");
    assert!(!last.tell(false, POLICY, 31_000));
    assert_eq!(first.breaker_state(at), BreakerState::Closed);
}

#[test]
fn a_breaker_shows_when_somebody_is_let_through_and_is_closed_by_hand() {
    let fixture = Fixture::new();
    let at = BreakerAt::Host(fixture.host(1, "a"));
    let policy = BreakerPolicy {
        shares: Some(ShareRules {
            percent: 50,
            least: 2,
            time: Duration::from_secs(10),
        }),
        ..POLICY
    };
    let [first, second] = [&fixture.desks[0], &fixture.desks[1]];
    let fail = |desk: &Arc<Desk>| {
        let now = crate::clock::monotonic_millis();
        let asked = desk.ask(at, policy.rules, now).expect("closed");
        asked.tell(true, policy, now)
    };
    let look = || fixture.stock.breaker_look(at, policy.rules);
    assert!(!fail(first));
    assert_eq!((look().state, look().failures), (BreakerState::Closed, 1));
    assert!(fail(second), "half of two");
    let now = crate::clock::monotonic_millis();
    assert!(!first.lets_through(at, policy.rules, now));
    assert_eq!(look().state, BreakerState::Open);
    assert!(!look().after.is_zero() && look().after <= policy.rules.recovery);
    fixture.stock.reset_breaker(at);
    assert_eq!(
        (look().state, look().after),
        (BreakerState::Closed, Duration::ZERO)
    );
    assert!(!fail(first), "what failed before counts no more");
    let none = fixture
        .stock
        .breaker_look(BreakerAt::Pair(1 << 40), policy.rules);
    assert_eq!(none.state, BreakerState::Closed);
}

#[test]
fn a_client_counts_at_the_host_it_asked_last_and_whoever_waits_counts_too() {
    let mut fixture = Fixture::new();
    let row = fixture.host(1, "a");
    fixture.show(1);
    let [present, gone] = [0, 1].map(|at| fixture.desks[at].attend(row));
    let entered = fixture.desks[0].enter(row);
    let queued = entered.queue();
    let totals = fixture.stock.host_totals(row);
    assert_eq!(
        (totals.connections, totals.waiting, totals.in_flight),
        (2, 1, 0)
    );
    let other = fixture.desks[0].enter(row);
    assert_eq!(fixture.stock.host_under_way(row), (1, 1));
    drop(other);
    fixture.stock.reclaim(SeatIndex::new(1));
    fixture.hire();
    drop((gone, queued, entered));
    let totals = fixture.stock.host_totals(row);
    assert_eq!(
        (totals.connections, totals.waiting, totals.in_flight),
        (1, 0, 0)
    );
    // A connection that stays keeps the row of a host that is gone.
    fixture.host(2, "b");
    fixture.desks.iter().for_each(|desk| desk.show_plan(2));
    let keys = |count: u64| RowKeys {
        hosts: (0..count)
            .map(|nth| row_key(&["other", &nth.to_string()]))
            .collect(),
        ..RowKeys::default()
    };
    assert!(fixture.stock.give_rows(3, &keys(2047)).is_err());
    drop(present);
    assert!(fixture.stock.give_rows(3, &keys(2047)).is_ok());
}

#[test]
fn a_breaker_opens_when_too_large_a_part_fails() {
    let fixture = Fixture::new();
    let at = BreakerAt::Host(fixture.host(1, "a"));
    let policy = BreakerPolicy {
        shares: Some(ShareRules {
            percent: 50,
            least: 10,
            time: Duration::from_secs(10),
        }),
        ..POLICY
    };
    let mut opened = Vec::new();
    for nth in 0..10 {
        let asked = fixture.desks[nth % 2]
            .ask(at, policy.rules, 1000)
            .expect("closed");
        opened.push(asked.tell(nth % 4 > 1, policy, 1000));
    }
    assert!(!opened.contains(&true), "four of ten");
    let asked = fixture.desks[0]
        .ask(at, policy.rules, 1000)
        .expect("closed");
    assert!(!asked.tell(true, policy, 1000), "five of eleven");
    let asked = fixture.desks[0]
        .ask(at, policy.rules, 1000)
        .expect("closed");
    assert!(asked.tell(true, policy, 1000), "six of twelve");
}

#[test]
fn what_has_no_row_is_not_limited() {
    let fixture = Fixture::new();
    let desk = &fixture.desks[0];
    drop((desk.enter(3), desk.send(5, 7)));
    let asked = desk
        .ask(BreakerAt::Host(9), POLICY.rules, 1)
        .expect("leave");
    assert!(!asked.tell(true, POLICY, 1));
    assert!(desk.rates().is_none() && desk.group(0).is_none());
    fixture.host(1, "a");
    assert!(desk.rates().is_some_and(|table| table.has_secret()));
    drop((desk.enter(1 << 40), desk.send(1 << 40, 1 << 40)));
}

#[test]
fn a_limit_keeps_its_pool_and_a_lower_number_holds_at_once() {
    let fixture = Fixture::new();
    let mut permits = Permits::new(&fixture.stock);
    let pools = permits.assign(&[(7, 2), (8, 1)], 1).expect("room");
    let desk = fixture.desks[0].open(pools[0]).expect("a pool");
    let held: Vec<_> = std::iter::from_fn(|| desk.try_lease()).collect();
    assert_eq!(held.len(), 2);
    assert_eq!(permits.assign(&[(7, 1)], 2).expect("room"), [pools[0]]);
    drop(held);
    let held: Vec<_> = std::iter::from_fn(|| desk.try_lease()).collect();
    assert_eq!(held.len(), 1);
    permits.tidy();
    assert!(
        fixture.stock.open(pools[1]).is_some(),
        "a worker may use it"
    );
    fixture.show(2);
    permits.tidy();
    assert!(fixture.stock.open(pools[1]).is_none());
    // A successor finds it by its key.
    let mut successor = Permits::new(&fixture.stock);
    assert_eq!(successor.assign(&[(7, 3)], 3).expect("room"), [pools[0]]);
}

#[test]
fn a_limit_that_outgrows_its_pool_is_never_more_than_it_says() {
    let fixture = Fixture::new();
    let mut permits = Permits::new(&fixture.stock);
    let small = permits.assign(&[(7, 100)], 1).expect("room")[0];
    fixture.show(1);
    let large = permits.assign(&[(7, 200)], 2).expect("room")[0];
    assert_ne!(small, large);
    let desk = |pool| fixture.desks[0].open(pool).expect("a pool");
    let hold = |pool| -> Vec<_> {
        let desk = desk(pool);
        std::iter::from_fn(|| desk.try_lease()).collect()
    };
    let (old, new) = (hold(small), hold(large));
    assert_eq!((old.len(), new.len()), (100, 100));
    fixture.show(2);
    permits.tidy();
    assert!(hold(large).is_empty(), "the old ones are held");
    drop(old);
    permits.tidy();
    assert_eq!(hold(large).len(), 100);
    assert!(fixture.stock.open(small).is_none());
    drop(new);
    assert_eq!(hold(large).len(), 200);
}
