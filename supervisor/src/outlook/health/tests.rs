//! What health is judged to be, case by case.

use super::*;

const WELL: Inputs<'_> = Inputs {
    pool: PoolStatus {
        total: 8,
        in_use: 8,
        available: 0,
        waiting: 100,
    },
    configured_tokens: 8,
    workers_ready: 2,
    workers_wanted: 2,
    refused_users: &[],
    all_refused: None,
    paused: &[],
    all_paused: false,
    unserved: &[],
    upstream_resolved: true,
    last_reload_failed: false,
};

fn usable(total: u64) -> PoolStatus {
    PoolStatus {
        total,
        ..PoolStatus::default()
    }
}

#[track_caller]
fn assessed(inputs: Inputs<'_>, health: Health, reasons: &[&str]) {
    assert_eq!(
        inputs.assess(Audience::Operator),
        (health, reasons.iter().map(ToString::to_string).collect())
    );
}

#[test]
fn a_busy_pool_is_healthy() {
    assessed(WELL, Health::Healthy, &[]);
    assert_eq!(WELL.readiness(), Ok(()));
}

#[test]
fn more_than_is_wanted_is_healthy() {
    // While a reload replaces workers or takes slots away.
    assessed(
        Inputs {
            workers_ready: 3,
            pool: usable(9),
            ..WELL
        },
        Health::Healthy,
        &[],
    );
}

#[test]
fn each_thing_missing_degrades() {
    for (inputs, reason) in [
        (
            Inputs {
                workers_ready: 1,
                ..WELL
            },
            "1 of 2 workers ready",
        ),
        (
            Inputs {
                pool: usable(7),
                ..WELL
            },
            "7 of 8 tokens usable",
        ),
        (
            Inputs {
                refused_users: &["user1".into()],
                ..WELL
            },
            "login refused for user1",
        ),
        (
            Inputs {
                upstream_resolved: false,
                ..WELL
            },
            "no address of the upstream is known",
        ),
        (
            Inputs {
                last_reload_failed: true,
                ..WELL
            },
            "the last reload was refused",
        ),
    ] {
        assessed(inputs, Health::Degraded, &[reason]);
        assert_eq!(inputs.readiness(), Ok(()), "{reason}");
    }
}

#[test]
fn without_a_worker_or_a_token_it_is_unhealthy_and_not_ready() {
    let idle = Inputs {
        workers_ready: 0,
        ..WELL
    };
    assessed(idle, Health::Unhealthy, &["no worker is ready"]);
    assert_eq!(idle.readiness(), Err("no worker is ready".into()));

    let dry = Inputs {
        pool: usable(0),
        ..WELL
    };
    assessed(dry, Health::Unhealthy, &["no usable token"]);
    assert_eq!(dry.readiness(), Err("no usable token".into()));

    let neither = Inputs {
        workers_ready: 0,
        ..dry
    };
    assert_eq!(
        neither.readiness(),
        Err("no worker is ready, no usable token".into())
    );
}

#[test]
fn anybody_is_told_how_many_accounts_are_refused_and_not_whose() {
    let refused = ["a-user", "b-user"].map(String::from);
    let inputs = Inputs {
        refused_users: &refused,
        ..WELL
    };
    let (health, reasons) = inputs.assess(Audience::Anybody);
    assert_eq!(health, Health::Degraded);
    assert!(
        reasons[0].starts_with("login refused for 2 accounts"),
        "{reasons:?}"
    );
    assert!(!reasons[0].contains("-user"), "{reasons:?}");
}

#[test]
fn all_reasons_are_given_the_gravest_first() {
    let refused = ["a", "b", "c", "d", "e", "f", "g"].map(String::from);
    assessed(
        Inputs {
            pool: usable(0),
            configured_tokens: 8,
            workers_ready: 1,
            workers_wanted: 2,
            refused_users: &refused,
            all_refused: None,
            paused: &["reports".into()],
            all_paused: false,
            unserved: &["all backends with the tag \"a\" are down".into()],
            upstream_resolved: false,
            last_reload_failed: true,
        },
        Health::Unhealthy,
        &[
            "no usable token",
            "pool reports is paused: it lends nothing",
            "1 of 2 workers ready",
            "login refused for a, b, c, d, e and 2 more",
            "no address of the upstream is known",
            "the last reload was refused",
            "all backends with the tag \"a\" are down",
        ],
    );
}

#[test]
fn a_paused_pool_is_said_to_be_and_no_token_of_it_is_missing() {
    let one = ["reports".to_owned()];
    let some = Inputs {
        paused: &one,
        ..WELL
    };
    let reason = "pool reports is paused: it lends nothing";
    assessed(some, Health::Degraded, &[reason]);
    assert_eq!(some.readiness(), Ok(()));
    let all = Inputs {
        all_paused: true,
        ..some
    };
    assessed(all, Health::Unhealthy, &[reason]);
    assert_eq!(all.readiness(), Err(reason.into()));
}

#[test]
fn a_tag_that_nobody_serves_degrades() {
    let unserved = ["all backends with the tag \"a\" are down".to_owned()];
    let inputs = Inputs {
        unserved: &unserved,
        ..WELL
    };
    assessed(inputs, Health::Degraded, &[&unserved[0]]);
    assert_eq!(inputs.readiness(), Ok(()));
}
