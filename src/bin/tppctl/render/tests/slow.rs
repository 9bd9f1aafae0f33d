//! A status says who has held a token for long, which backend is slow, and whose logins fail.

use tpp::control::Slow;

use super::*;

fn told(slow: serde_json::Value) -> String {
    let slow: Slow = serde_json::from_value(slow).expect("as tpp tells it");
    let of_all = Status { slow, ..healthy() };
    status(&of_all, NOW, PLAIN)
}

#[test]
fn a_long_hold_is_told_with_its_client_and_what_that_does() {
    let shown = told(serde_json::json!({"longest_hold": {
        "pool": "default", "slot": 3, "user": "u", "held_ms": 750_000, "client": "10.0.0.7", "idle_ms": 3000, "worker": 0,
    }}));
    let line = "\nslow      slot 3 held for 12m30s by 10.0.0.7, idle for 3.0s\n";
    assert!(shown.contains(line), "{shown}");
    let shown = told(serde_json::json!({"longest_hold": {
        "pool": "reports", "slot": 3, "user": "u", "held_ms": 1500, "client": null, "idle_ms": null, "worker": 0,
    }}));
    let line = "slot 3 of reports held for 1.5s, a request under way\n";
    assert!(shown.contains(line), "{shown}");
}

#[test]
fn a_hold_of_a_moment_is_not_worth_a_line() {
    let shown = told(serde_json::json!({"longest_hold": {
        "pool": "default", "slot": 3, "user": "u", "held_ms": 999, "client": null, "idle_ms": null, "worker": 0,
    }}));
    assert!(!shown.contains("\nslow"), "{shown}");
}

#[test]
fn a_hold_that_is_over_a_slow_backend_and_accounts_that_fail_are_told() {
    let shown = told(serde_json::json!({
        "longest_ended_hold": {"pool": "default", "slot": 5, "held_ms": 8000, "client": "10.0.0.9", "ended_ms_ago": 130_000},
        "slowest_backend": {"id": "web-v2", "seconds": 45.0, "count": 20, "mean_ms": 120.4, "p95_ms": 250.0},
        "failing_accounts": [{"pool": "default", "user": "user2", "errors": 3, "last_error": "login refused"}],
    }));
    for line in [
        "slow      slot 5 was held for 8.0s by 10.0.0.9 until 2m10s ago\n",
        "          backend web-v2: 20 answers in 120ms on average, 95 in 100 within 250ms\n",
        "logins    user2 fails, 3 errors: login refused\n",
    ] {
        assert!(shown.contains(line), "{line}{shown}");
    }
}
