mod backends;
mod slow;

use tpp::control::{
    CertificateStatus, GatewayStatus, Health, PoolStatus, Renewal, Status, SupervisorEvent,
    TokenStatus, WorkerStatus,
};

use super::*;

const NOW: u64 = 1_700_000_312;
const PLAIN: Page = Page {
    width: 80,
    colour: false,
};
const COLOURED: Page = Page {
    width: 80,
    colour: true,
};

fn worker(seat: u32, state: &str) -> WorkerStatus {
    WorkerStatus {
        seat,
        epoch: 1,
        pid: 4_194_303,
        state: state.into(),
        uptime_seconds: 187_200,
        heartbeat_age_ms: 120,
        connections: 70,
        leases: 64,
        waiting: 6,
        requests: 617_283,
        errors: 0,
        restarts: 0,
        last_exit: None,
    }
}

fn healthy() -> Status {
    Status {
        supervisors: Vec::new(),
        status: Health::Healthy,
        reasons: vec![],
        pool: PoolStatus {
            total: 200,
            in_use: 130,
            available: 70,
            waiting: 0,
        },
        configured_tokens: 200,
        version: "0.1.0".into(),
        pid: 4242,
        uptime_seconds: 187_200,
        listen: vec!["0.0.0.0:8080".into()],
        certificates: Vec::new(),
        health_listen: "0.0.0.0:9090".into(),
        api_listen: None,
        upstream: "192.0.2.7:8848".into(),
        upstream_addresses: vec!["192.0.2.7:8848".into()],
        config_file: "/etc/tpp/tpp.toml".into(),
        config_generation: 1,
        config_loaded_at: 1_700_000_000,
        last_reload: None,
        longest_wait_ms: 0,
        idle_leases: 3,
        gateway: GatewayStatus::default(),
        slow: tpp::control::Slow::default(),
        requests: 1_234_567,
        request_errors: 1,
        worker_restarts: 0,
        workers: vec![worker(0, "ready"), worker(1, "ready")],
    }
}

fn troubled() -> Status {
    let gone = WorkerStatus {
        pid: 0,
        uptime_seconds: 0,
        restarts: 7,
        last_exit: Some("killed by signal 9 (SIGKILL)".into()),
        ..worker(1, "backoff")
    };
    Status {
        status: Health::Degraded,
        reasons: vec![
            "1 of 2 workers is ready".into(),
            "login refused for user3, user4, user5, user6, user7, user8, user9, user10 and 3 more"
                .into(),
        ],
        pool: PoolStatus {
            total: 189,
            in_use: 189,
            available: 0,
            waiting: 12,
        },
        upstream: "dolphindb.example.com:8848".into(),
        upstream_addresses: vec![
            "192.0.2.7:8848".into(),
            "[2001:db8:85a3::8a2e:370:7334]:8848".into(),
        ],
        config_generation: 3,
        last_reload: Some(
            "refused: tpp.toml:3: lissten: found an unknown key; allowed: listen".into(),
        ),
        longest_wait_ms: 1250,
        idle_leases: 0,
        gateway: GatewayStatus::default(),
        slow: tpp::control::Slow::default(),
        request_errors: 15,
        worker_restarts: 7,
        workers: vec![worker(0, "ready"), gone],
        ..healthy()
    }
}

fn token(slot: u32, user: &str, state: &str) -> TokenStatus {
    TokenStatus {
        slot,
        user: user.into(),
        state: state.into(),
        age_seconds: Some(754),
        refresh_in_seconds: Some(2846),
        holder: None,
        uses: 31_415,
        errors: 0,
        last_error: None,
        fingerprint: Some("0a1b2c3d".into()),
        pool: "default".into(),
        provider: "dolphindb".into(),
        expires_in_seconds: Some(3600),
        last_used_seconds: Some(2),
        held_ms: None,
        client: None,
        idle_ms: None,
    }
}

fn refused() -> TokenStatus {
    TokenStatus {
        age_seconds: None,
        refresh_in_seconds: None,
        uses: 0,
        errors: 3,
        last_error: Some(
            "login refused: The user name or password is incorrect, says the server at length"
                .into(),
        ),
        fingerprint: None,
        expires_in_seconds: None,
        last_used_seconds: None,
        held_ms: None,
        client: None,
        idle_ms: None,
        ..token(2, "user2", "refused")
    }
}

/// Asserts that `text` is `expected`, and that each line is within 80 columns.
#[track_caller]
fn shown(text: &str, expected: &str) {
    assert_eq!(text, expected, "got:\n{text}\nexpected:\n{expected}");
    for line in text.lines() {
        assert!(text::width(line) <= 80, "{line}");
    }
}

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
    let status = Status {
        supervisors: vec![
            event("started", NOW - 90_000, 0, 0),
            event("adopted", NOW - 300, 2, 1),
            event("upgraded", NOW - 3, 2, 0),
        ],
        ..healthy()
    };
    let text = super::status(&status, NOW, PLAIN);
    let from = text.find("history").expect("a line of its own");
    let told: Vec<_> = text[from..].split_whitespace().take(20).collect();
    assert_eq!(
        told.join(" "),
        "history upgraded 0.1.0 3s ago with 2 workers; adopted 0.1.0 5m00s ago with 2 workers, 1 lease of the dead"
    );
    assert!(text.lines().all(|line| text::width(line) <= 80), "{text}");
}

#[test]
fn tokens_show_their_slot_holder_and_last_error() {
    let lent = TokenStatus {
        holder: Some(1),
        ..token(0, "user1", "leased")
    };
    let all = [
        lent,
        token(1, "a user with quite a long name", "suspect"),
        refused(),
    ];
    shown(
        &tokens(&all, PLAIN),
        "\
SLOT USER          STATE      AGE  RENEW  ENDS WORKER  USES USED ERRORS PRINT
   0 user1         leased  12m34s 47m26s 1h00m      1 31415   2s      0 0a1b2c3d
   1 a user with … suspect 12m34s 47m26s 1h00m      - 31415   2s      0 0a1b2c3d
   2 user2         refused      -      -     -      -     0    -      3 -
     last error: login refused: The user name or password is incorrect, says th…
",
    );
}

#[test]
fn tokens_of_other_pools_stand_under_the_name_of_theirs() {
    let of = |pool: &str, slot| TokenStatus {
        pool: pool.into(),
        provider: "json".into(),
        ..token(slot, "ann", "free")
    };
    let text = tokens(&[of("one", 0), of("one", 1), of("two", 0)], PLAIN);
    let titles: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("pool "))
        .collect();
    assert_eq!(
        titles,
        ["pool one, provider json", "pool two, provider json"]
    );
    assert_eq!(text.matches("SLOT").count(), 2, "{text}");
}

#[test]
fn what_is_not_there_is_said() {
    assert_eq!(tokens(&[], PLAIN), "no tokens\n");
    assert_eq!(workers(&[], PLAIN), "no workers\n");
}

#[test]
fn the_busiest_worker_table_fits_80_columns() {
    let full = WorkerStatus {
        seat: 9999,
        uptime_seconds: 86_400 * 99,
        heartbeat_age_ms: 3_599_000,
        connections: u64::MAX,
        leases: u64::MAX,
        waiting: u64::MAX,
        requests: u64::MAX,
        errors: u64::MAX,
        restarts: u64::MAX,
        last_exit: Some("x".repeat(200)),
        ..worker(0, "draining")
    };
    let text = workers(&[full], PLAIN);
    assert!(text.lines().all(|line| text::width(line) <= 80), "{text}");
}

#[test]
fn colours_are_all_that_colours_change() {
    let strip = |text: String| {
        let mut plain = text;
        for code in [
            "\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m",
        ] {
            plain = plain.replace(code, "");
        }
        // Spaces that a colour's end hides from the trimming of the line.
        plain
            .lines()
            .map(|line| format!("{}\n", line.trim_end()))
            .collect::<String>()
    };
    let coloured = status(&troubled(), NOW, COLOURED);
    assert!(
        coloured.starts_with("tpp 0.1.0: \x1b[33mdegraded\x1b[0m\n"),
        "{coloured}"
    );
    assert!(coloured.contains("\x1b[31mbackoff\x1b[0m"), "{coloured}");
    assert_eq!(strip(coloured), status(&troubled(), NOW, PLAIN));
    assert_eq!(
        strip(tokens(&[refused()], COLOURED)),
        tokens(&[refused()], PLAIN)
    );
}

#[test]
fn nothing_foreign_reaches_the_terminal_raw() {
    let evil = "\x1b]0;title\x07\u{9b}31m\u{202e}\r\n";
    let slot = TokenStatus {
        last_error: Some(evil.into()),
        fingerprint: Some(evil.into()),
        ..token(0, evil, evil)
    };
    let seat = WorkerStatus {
        last_exit: Some(evil.into()),
        ..worker(0, evil)
    };
    let picture = Status {
        reasons: vec![evil.into()],
        version: evil.into(),
        listen: vec![evil.into()],
        certificates: vec![CertificateStatus {
            name: evil.into(),
            hosts: vec![evil.into()],
            issuer: evil.into(),
            source: evil.into(),
            not_after: 0,
            error: Some(evil.into()),
            renewal: Some(Renewal {
                state: evil.into(),
                next_at: 0,
                failures: 1,
                error: Some(evil.into()),
            }),
        }],
        health_listen: evil.into(),
        upstream: evil.into(),
        upstream_addresses: vec![evil.into()],
        config_file: evil.into(),
        last_reload: Some(evil.into()),
        workers: vec![seat],
        ..healthy()
    };
    for text in [
        status(&picture, NOW, PLAIN),
        tokens(std::slice::from_ref(&slot), PLAIN),
        json(&picture).unwrap(),
        json(&[&slot]).unwrap(),
    ] {
        assert!(
            !text.contains(|c| text::is_hidden(c) && c != '\n'),
            "{text:?}"
        );
    }
    assert_eq!(
        serde_json::from_str::<Status>(&json(&picture).unwrap()).unwrap(),
        picture
    );
}

#[test]
fn json_is_the_struct_pretty_printed() {
    let text = json(&[refused()]).unwrap();
    assert_eq!(
        text,
        r#"[
  {
    "slot": 2,
    "user": "user2",
    "state": "refused",
    "age_seconds": null,
    "refresh_in_seconds": null,
    "holder": null,
    "uses": 0,
    "errors": 3,
    "last_error": "login refused: The user name or password is incorrect, says the server at length",
    "fingerprint": null,
    "pool": "default",
    "provider": "dolphindb",
    "expires_in_seconds": null,
    "last_used_seconds": null,
    "held_ms": null,
    "client": null,
    "idle_ms": null
  }
]
"#
    );
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
