//! The page that `tppctl status` shows.

use tpp::control::SupervisorEvent;

use super::*;

#[test]
fn idle_leases_are_told_of_while_others_wait() {
    let crowded = Status {
        idle_leases: 8,
        ..troubled()
    };
    let told = "8 idle leases, 12 wait: lease.mode = \"request\"";
    assert!(status(&crowded, NOW, PLAIN).contains(told));
    let nobody_waits = Status {
        idle_leases: 8,
        ..healthy()
    };
    for other in [troubled(), nobody_waits] {
        assert!(!status(&other, NOW, PLAIN).contains("idle lease"));
    }
}

#[test]
fn a_healthy_status_fits_a_glance() {
    shown(
        &status(&healthy(), NOW, PLAIN),
        "\
tpp 0.1.0: healthy

pool      [#############.......] 130 of 200 in use, 70 free
queue     nobody waits
upstream  192.0.2.7:8848
listen    0.0.0.0:8080
config    /etc/tpp/tpp.toml, generation 1, in force for 5m12s
requests  1,234,567 served, 1 error of tpp's own
process   4242, up 2d04h, 0 unplanned worker restarts

SEAT  STATE      PID     UP   BEAT  CONNS  LEASES  WAIT  REQS  ERRS  DIED
   0  ready  4194303  2d04h  120ms     70      64     6  617k     0     0
   1  ready  4194303  2d04h  120ms     70      64     6  617k     0     0
",
    );
}

#[test]
fn a_troubled_status_says_what_is_wrong() {
    shown(
        &status(&troubled(), NOW, PLAIN),
        "\
tpp 0.1.0: degraded
  - 1 of 2 workers is ready
  - login refused for user3, user4, user5, user6, user7, user8, user9, user10
    and 3 more

pool      [####################] 189 of 189 in use, 0 free
tokens    189 usable of 200 configured
queue     12 waiting, the longest for 1.2s
upstream  dolphindb.example.com:8848 at 192.0.2.7:8848,
          [2001:db8:85a3::8a2e:370:7334]:8848
listen    0.0.0.0:8080
config    /etc/tpp/tpp.toml, generation 3, in force for 5m12s
reload    refused: tpp.toml:3: lissten: found an unknown key; allowed: listen
requests  1,234,567 served, 15 errors of tpp's own
process   4242, up 2d04h, 7 unplanned worker restarts

SEAT  STATE        PID     UP   BEAT  CONNS  LEASES  WAIT  REQS  ERRS  DIED
   0  ready    4194303  2d04h  120ms     70      64     6  617k     0     0
   1  backoff        -      -      -     70      64     6  617k     0     7
      last exit: killed by signal 9 (SIGKILL)
",
    );
}

#[test]
fn a_status_before_the_first_login_is_whole() {
    let early = Status {
        status: Health::Unhealthy,
        reasons: vec!["no worker is ready".into()],
        pool: PoolStatus::default(),
        upstream_addresses: vec![],
        config_file: String::new(),
        workers: vec![],
        ..healthy()
    };
    shown(
        &status(&early, NOW, PLAIN),
        "\
tpp 0.1.0: unhealthy
  - no worker is ready

pool      [....................] 0 of 0 in use, 0 free
tokens    0 usable of 200 configured
queue     nobody waits
upstream  192.0.2.7:8848, no address known
listen    0.0.0.0:8080
config    built in, generation 1, in force for 5m12s
requests  1,234,567 served, 1 error of tpp's own
process   4242, up 2d04h, 0 unplanned worker restarts

no workers
",
    );
}

#[test]
fn supervisors_that_followed_one_another_are_told_of() {
    let event = |how: &str, at, workers, leases_freed| SupervisorEvent {
        at,
        how: how.into(),
        version: "0.1.0".into(),
        pid: 1,
        workers,
        leases_freed,
    };
    let told_of = Status {
        supervisors: vec![
            event("started", NOW - 90_000, 0, 0),
            event("adopted", NOW - 300, 2, 1),
            event("upgraded", NOW - 3, 2, 0),
        ],
        ..healthy()
    };
    let text = status(&told_of, NOW, PLAIN);
    let from = text.find("history").expect("a line of its own");
    let told: Vec<_> = text[from..].split_whitespace().take(20).collect();
    assert_eq!(
        told.join(" "),
        "history upgraded 0.1.0 3s ago with 2 workers; adopted 0.1.0 5m00s ago with 2 workers, 1 lease of the dead"
    );
    assert!(text.lines().all(|line| text::width(line) <= 80), "{text}");
}

#[test]
fn the_bar_is_full_or_empty_only_when_the_pool_is() {
    let line = |in_use, available| {
        let pool = PoolStatus {
            total: in_use + available,
            in_use,
            available,
            waiting: 0,
        };
        let text = status(&Status { pool, ..healthy() }, NOW, PLAIN);
        text.matches('#').count()
    };
    assert_eq!(
        [
            line(0, 1000),
            line(1, 999),
            line(500, 500),
            line(999, 1),
            line(1000, 0)
        ],
        [0, 1, 10, 19, 20]
    );
}
