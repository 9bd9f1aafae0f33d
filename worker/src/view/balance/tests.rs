//! Against plain rules that say who must get it, over several workers on one region, with seeds.

use std::{collections::HashMap, time::Duration};

use tpp::{
    bells::BellBoard,
    clock::monotonic_millis,
    config::{HashKey, VirtualHost},
    lending::{RowKeys, RowsGiven, Sent, Stock},
    plan::{BackendPlan, GroupPlan, Plan},
    region::{Geometry, Region},
};

use super::*;
use crate::{
    tests::play::settings,
    view::{
        View,
        backend::{WHOLE, grown},
    },
};

const WORKERS: usize = 4;
/// No host's use of a backend is counted here.
const NO_PAIR: usize = usize::MAX;

#[test]
fn turns_are_as_many_as_weights_say_and_evenly_spread() {
    assert_eq!(round(&[5, 1, 1]), [0, 0, 1, 0, 2, 0, 0]);
    assert_eq!(round(&[100, 100]), [0, 1]);
    assert_eq!(round(&[0, 3]), [1]);
    assert!(round(&[0, 0]).is_empty() && round(&[]).is_empty());
}

#[test]
fn a_round_is_never_too_long_and_leaves_nobody_out() {
    let weights: Vec<u32> = (0..1000).map(|n| 1 + n % 1000).collect();
    let round = round(&weights);
    assert!(
        round.len() as u64 <= LONGEST_ROUND + 1000,
        "{}",
        round.len()
    );
    for index in 0..weights.len() {
        assert!(round.contains(&index), "{index}");
    }
}

/// Workers on one region, each with its view of one plan.
struct Fleet {
    stock: Stock,
    desks: Vec<Arc<Desk>>,
    views: Vec<View>,
    plan: Plan,
    rows: RowsGiven,
}

impl Fleet {
    /// One host by `balance`, before backends of these weights.
    fn new(balance: Balance, weights: &[u32]) -> Self {
        let geometry = Geometry {
            slots: 1,
            seats: WORKERS,
            token_bytes: 64,
        };
        let region = Region::with_room(geometry, 64 << 20).unwrap();
        let bells = BellBoard::create(WORKERS).unwrap();
        let stock = Stock::new(Arc::new(region), bells);
        let keys = RowKeys {
            backends: (1..=weights.len() as u64).collect(),
            groups: vec![1],
            ..RowKeys::default()
        };
        let rows = stock.give_rows(1, &keys).unwrap();
        let mut plan = Plan::plain(1, settings(80), Vec::new());
        let backends = weights.iter().zip(&rows.backends).enumerate();
        plan.backends = backends
            .map(|(index, (&weight, &row))| BackendPlan {
                id: format!("b{index}"),
                tags: vec!["a".to_owned()],
                weight,
                row,
                ..plan.backends[0].clone()
            })
            .collect();
        plan.hosts[0].host = VirtualHost {
            balance,
            ..VirtualHost::of("default", "a")
        };
        plan.hosts[0].groups = vec![GroupPlan {
            tag: "a".to_owned(),
            row: rows.groups[0],
        }];
        let desks = (0..WORKERS).map(|_| {
            let (seat, epoch) = stock.fill_seat(0).unwrap();
            let bells = stock.bells().try_clone().unwrap();
            Desk::new(Arc::clone(stock.region()), bells, seat, epoch)
        });
        let desks = desks.collect();
        let mut fleet = Self {
            stock,
            desks,
            views: Vec::new(),
            plan,
            rows,
        };
        fleet.change(|_| {});
        fleet
    }

    /// All workers act on the plan, changed.
    fn change(&mut self, change: impl FnOnce(&mut Plan)) {
        change(&mut self.plan);
        let views = self.desks.iter();
        let views = views.map(|desk| View::new(self.plan.clone(), desk, None));
        self.views = views.collect();
    }

    /// Name of the backend that `worker` chooses for a client of `key` among those that fit.
    fn pick_of(&self, worker: usize, key: u64, fits: impl Fn(&str) -> bool) -> Option<String> {
        let site = self.views[worker].routes.find(None).unwrap();
        let group = site.group(|| key);
        let member = group.pick(|| key, |member| fits(&member.backend.plan.id))?;
        Some(member.backend.plan.id.clone())
    }

    fn pick(&self, worker: usize, key: u64) -> usize {
        let name = self.pick_of(worker, key, |_| true).unwrap();
        name[1..].parse().unwrap()
    }

    /// So many requests of each backend, of `count`, dealt out by workers at random.
    fn dealt(&self, seed: u64, count: u64, fits: impl Fn(&str) -> bool) -> HashMap<String, u64> {
        let mut dice = fastrand::Rng::with_seed(seed);
        let mut dealt = HashMap::new();
        for key in 0..count {
            let name = self.pick_of(dice.usize(..WORKERS), key, &fits).unwrap();
            *dealt.entry(name).or_default() += 1;
        }
        dealt
    }
}

fn weights(dice: &mut fastrand::Rng) -> Vec<u32> {
    (0..dice.usize(2..8)).map(|_| dice.u32(1..40)).collect()
}

/// Of `part` in `all`, it should have `weight` in `total`: to one in a hundred of all.
fn assert_share((part, all): (u64, u64), (weight, total): (u32, u32), what: &str) {
    let (found, due) = (
        part as f64 / all as f64,
        f64::from(weight) / f64::from(total),
    );
    assert!(
        (found - due).abs() < 0.01,
        "{what}: {found:.4} instead of {due:.4}"
    );
}

#[test]
fn whichever_worker_is_asked_the_turn_is_that_of_one_smooth_weighted_round_robin() {
    for seed in 0..20 {
        let mut dice = fastrand::Rng::with_seed(seed);
        let weights = weights(&mut dice);
        let fleet = Fleet::new(Balance::RoundRobin, &weights);
        let total: i64 = weights.iter().copied().map(i64::from).sum();
        let mut had = vec![0_i64; weights.len()];
        for turn in 1..=2000 {
            // Who is owed most of what its weight says is next.
            let owed = |at: usize| i64::from(weights[at]) * turn - had[at] * total;
            let due = (0..weights.len()).rev().max_by_key(|at| owed(*at)).unwrap();
            let picked = fleet.pick(dice.usize(..WORKERS), 0);
            assert_eq!(picked, due, "turn {turn} of {weights:?}, seed {seed}");
            had[due] += 1;
        }
    }
}

#[test]
fn what_falls_to_one_that_is_left_out_is_spread_by_weight_as_well() {
    let equal = Fleet::new(Balance::RoundRobin, &[1, 1, 1, 1, 1]);
    let dealt = equal.dealt(1, 20_000, |name| name != "b3");
    for name in ["b0", "b1", "b2", "b4"] {
        assert_share((dealt[name], 20_000), (1, 4), name);
    }
    let three = Fleet::new(Balance::RoundRobin, &[1, 1, 1]);
    let dealt = three.dealt(2, 20_000, |name| name != "b1");
    assert_share((dealt["b0"], 20_000), (1, 2), "b0 of three");
}

#[test]
fn the_least_connected_over_all_workers_is_taken_and_never_the_fuller() {
    for seed in 0..10 {
        let mut dice = fastrand::Rng::with_seed(seed);
        let weights = weights(&mut dice);
        let fleet = Fleet::new(Balance::LeastConnections, &weights);
        let mut under_way: Vec<(usize, Sent)> = Vec::new();
        for step in 0..1500 {
            if dice.u8(..5) < 2 && !under_way.is_empty() {
                drop(under_way.swap_remove(dice.usize(..under_way.len())));
                continue;
            }
            let load = |at: usize| {
                let open = under_way.iter().filter(|(other, _)| *other == at).count();
                (open as f64 + 1.0) / f64::from(weights[at])
            };
            let worker = dice.usize(..WORKERS);
            let picked = fleet.pick(worker, 0);
            for other in 0..weights.len() {
                assert!(
                    load(picked) <= load(other) + 1e-9,
                    "step {step}, seed {seed}: {picked} and not {other} of {weights:?}"
                );
            }
            let row = fleet.rows.backends[picked];
            under_way.push((picked, fleet.desks[worker].send(row, NO_PAIR)));
        }
        for at in 0..weights.len() {
            let open = under_way.iter().filter(|(other, _)| *other == at).count();
            let counted = fleet.stock.backend_in_flight(fleet.rows.backends[at]);
            assert_eq!(counted, open as u64);
        }
    }
}

#[test]
fn a_hash_gives_each_its_share_and_moves_no_more_than_that_of_who_comes_or_goes() {
    const KEYS: u64 = 40_000;
    let by = Balance::Hash(HashKey::Address);
    for seed in 0..4 {
        let mut dice = fastrand::Rng::with_seed(seed);
        let weights = weights(&mut dice);
        let total: u32 = weights.iter().sum();
        let mut fleet = Fleet::new(by.clone(), &weights);
        let key = |n: u64| crate::view::lot::key(&(seed << 32 | n).to_le_bytes());
        let all = |fleet: &Fleet| -> Vec<usize> {
            let workers = (0..WORKERS).cycle();
            (0..KEYS)
                .zip(workers)
                .map(|(n, worker)| fleet.pick(worker, key(n)))
                .collect()
        };
        let before = all(&fleet);
        for (at, weight) in weights.iter().enumerate() {
            let won = before.iter().filter(|one| **one == at).count() as u64;
            assert_share((won, KEYS), (*weight, total), "before");
        }
        let gone = dice.usize(..weights.len());
        fleet.change(|plan| plan.backends[gone].is_healthy = false);
        let after = all(&fleet);
        for (was, is) in before.iter().zip(&after) {
            assert!(was == is || *was == gone, "{was} moved to {is}");
        }
        fleet.change(|plan| plan.backends[gone].is_healthy = true);
        assert_eq!(all(&fleet), before, "who comes back has its own again");
    }
}

#[test]
fn a_backup_is_asked_when_nobody_else_fits() {
    let mut fleet = Fleet::new(Balance::RoundRobin, &[1, 1, 1]);
    fleet.change(|plan| plan.backends[2].backup = true);
    let dealt = fleet.dealt(3, 100, |_| true);
    assert!(!dealt.contains_key("b2"), "{dealt:?}");
    let dealt = fleet.dealt(4, 100, |name| name == "b2");
    assert_eq!(dealt["b2"], 100);
}

#[test]
fn who_starts_slowly_gets_little_at_first_and_all_of_its_share_in_the_end() {
    for balance in [Balance::RoundRobin, Balance::LeastConnections] {
        let mut fleet = Fleet::new(balance, &[1, 1]);
        fleet.change(|plan| plan.backends[1].slow_start = Duration::from_secs(100_000));
        let row = fleet.rows.backends[1];
        let comes_up = |fleet: &Fleet, now| {
            fleet.stock.backend_row(row).unwrap().conduct.comes_up(now);
        };
        let begun = fleet.dealt(5, 2000, |_| true);
        assert_share((begun["b1"], 2000), (1, 2), "it served from the begin");
        comes_up(&fleet, monotonic_millis());
        let slow = fleet.dealt(6, 2000, |_| true);
        let few = slow.get("b1").copied().unwrap_or_default();
        assert!(few < 40, "{few}");
        let alone = fleet.dealt(7, 10, |name| name == "b1");
        assert_eq!(alone["b1"], 10, "it is better than none");
        fleet.change(|plan| plan.backends[1].slow_start = Duration::from_millis(1));
        comes_up(&fleet, 1);
        let whole = fleet.dealt(8, 2000, |_| true);
        assert_share((whole["b1"], 2000), (1, 2), "its time is over");
    }
}

#[test]
fn a_share_grows_evenly() {
    let shares = [0, 1, 2500, 5000, 9999].map(|age| grown(age, 10_000));
    assert_eq!(shares, [1, 1, 250, 500, 999]);
    assert_eq!(grown(10_000, 10_000), WHOLE);
    assert_eq!(grown(u128::from(u64::MAX), 1), WHOLE);
}
