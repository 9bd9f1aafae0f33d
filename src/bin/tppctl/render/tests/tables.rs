//! The tables of tokens and of workers.

use super::*;

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
