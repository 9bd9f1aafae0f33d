//! A day in production within a minute: the configuration, the workers, the executable and the supervisor are all
//! replaced, again and again, under clients that must not notice.
//!
//! `TPP_TEST_SEED` sets the order of the changes, what each changes, and what the clients ask for.

mod changes;
#[path = "../common/mod.rs"]
mod common;
mod customers;

use changes::{Change, Office};
use common::{dice::Dice, journal::Journal};
use customers::Customers;

const RELOADS: usize = 20;
const REPLACEMENTS: usize = 10;
const UPGRADES: usize = 5;
const SUPERVISOR_KILLS: usize = 5;
/// Answers between two changes.
const ANSWERS_BETWEEN: u64 = 100;

#[test]
fn clients_notice_no_reload_no_replacement_no_upgrade_and_no_death_of_a_supervisor() {
    let seed = Dice::seed(11);
    let journal = Journal::begin();
    let mut office = Office::open(seed, &journal);
    let customers = Customers::new(seed, office.address(), office.oracle(), &journal);
    customers.are_served_while(|| {
        for change in schedule(seed) {
            if customers.served_well(ANSWERS_BETWEEN) {
                office.undergo(change);
            }
        }
        customers.served_well(ANSWERS_BETWEEN)
    });
    println!("{customers}");
    customers.assert_no_failure();
    office.close();
}

/// All changes, in an order of the seed's choice.
fn schedule(seed: u64) -> Vec<Change> {
    let mut dice = Dice::new(seed);
    let kinds = [
        (Change::Reload, RELOADS),
        (Change::ReplaceWorkers, REPLACEMENTS),
        (Change::Upgrade, UPGRADES),
        (Change::KillSupervisor, SUPERVISOR_KILLS),
    ];
    let mut left: Vec<Change> = kinds
        .into_iter()
        .flat_map(|(change, times)| vec![change; times])
        .collect();
    let mut order = Vec::new();
    while !left.is_empty() {
        order.push(left.swap_remove(dice.below(left.len())));
    }
    order
}
