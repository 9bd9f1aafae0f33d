//! What a host's requests are limited by, beside what its server sees. What is exact over processes is shown elsewhere, on real ones;
//! here it is what clients are told, and that all is given back.

use std::time::Duration;

use tpp::{
    config::{
        Access, BackendState, CircuitBreaker, RateHeaders, RateKey, RateLimit, TrustedProxies,
    },
    lending::{BreakerAt, Permits, RowKeys, row_key},
    limits::{BreakerRules, BreakerState},
    plan::{BackendPlan, Plan},
};

use super::play::{Peer, Stage, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const FAILED: &str = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";

async fn stage(change: impl FnOnce(&mut Plan)) -> Stage {
    let stage = Stage::new(8, |_| {}).await;
    let keys = RowKeys {
        hosts: vec![row_key(&["host", "default"])],
        ..RowKeys::default()
    };
    let rows = stage.stock.give_rows(2, &keys).unwrap();
    stage.put_in_force(|plan| {
        plan.hosts[0].row = rows.hosts[0];
        change(plan);
    });
    stage
}

/// Asks, and returns the head of the answer and its body.
async fn told(client: &mut Peer, request: &str) -> (String, String) {
    client.send(request).await;
    let head = client.head().await;
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "))
        .map_or(0, |length| length.parse().unwrap());
    (head, client.exactly(length).await)
}

fn has(head: &str, line: &str) -> bool {
    head.lines().any(|one| one == line)
}

#[tokio::test]
async fn an_address_that_may_not_ask_gets_403_behind_believed_proxies_too() {
    let mut stage = stage(|plan| {
        plan.settings.trusted_proxies = TrustedProxies::From(vec!["127.0.0.0/8".parse().unwrap()]);
        plan.hosts[0].access = Some(Access {
            name: "office".to_owned(),
            allow: vec!["10.0.0.0/8".parse().unwrap()],
            deny: vec!["10.9.0.0/16".parse().unwrap()],
        });
    })
    .await;
    stage.answer_all().await;
    let mut client = stage.client().await;
    for (field, status) in [
        ("X-Forwarded-For: 10.1.2.3", "204"),
        ("X-Forwarded-For: 10.9.2.3", "403"),
        ("X-Forwarded-For: 192.0.2.1", "403"),
        // Whoever is not believed says nothing of others.
        ("X-Forwarded-For: 10.1.2.3, 192.0.2.1", "403"),
        ("X-Forwarded-For: 192.0.2.1, 10.1.2.3", "204"),
        ("X-Forwarded-For: 192.0.2.1, 10.1.2.3, 127.0.0.2", "204"),
        ("Forwarded: for=\"10.1.2.3:80\";proto=http", "204"),
        ("X-Other: 1", "403"),
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: h\r\n{field}\r\n\r\n");
        let (head, body) = told(&mut client, &request).await;
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status} ")),
            "{field}: {head}"
        );
        assert_eq!(body.contains("\"forbidden\""), status == "403", "{body}");
    }
}

#[tokio::test]
async fn more_than_the_rate_gets_429_and_is_told_when_to_come_again() {
    let mut stage = stage(|plan| {
        plan.hosts[0].rate_limit = Some(RateLimit {
            name: "each".to_owned(),
            requests: 2,
            per: Duration::from_secs(3600),
            burst: 2,
            key: RateKey::Header("x-key".to_owned()),
            headers: RateHeaders::Draft,
        });
    })
    .await;
    stage.answer_all().await;
    let mut client = stage.client().await;
    let of = |key: &str| format!("GET / HTTP/1.1\r\nHost: h\r\n{key}\r\n");
    let (head, _) = told(&mut client, &of("X-Key: a\r\n")).await;
    assert!(
        has(&head, "RateLimit-Policy: \"each\";q=2;w=3600"),
        "{head}"
    );
    assert!(has(&head, "RateLimit: \"each\";r=1;t=1800"), "{head}");
    let (head, _) = told(&mut client, &of("X-Key: a\r\n")).await;
    assert!(head.starts_with("HTTP/1.1 204 "), "{head}");
    let (head, body) = told(&mut client, &of("X-Key: a\r\n")).await;
    assert!(
        head.starts_with("HTTP/1.1 429 Too Many Requests\r\n"),
        "{head}"
    );
    assert!(has(&head, "Retry-After: 1800"), "{head}");
    assert!(body.contains("\"error\":\"Too Many Requests\""), "{body}");
    // Another key has its own; without one it is the address.
    for status in ["204", "204", "429"] {
        let (head, _) = told(&mut client, &of("X-Key: b\r\n")).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        let (head, _) = told(&mut client, &of("")).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    }
}

fn breaker(plan: &mut Plan, recovery: Duration) {
    plan.hosts[0].host.circuit_breaker = CircuitBreaker {
        enabled: true,
        failure_threshold: 3,
        recovery_timeout: recovery,
        ..plan.hosts[0].host.circuit_breaker.clone()
    };
}

/// One request, answered by the upstream with `answer`.
async fn passed_on(client: &mut Peer, upstream: &mut Peer, answer: &str) {
    client.send(GET).await;
    upstream.head().await;
    upstream.send(answer).await;
    let head = client.head().await;
    assert_eq!(head.lines().next(), answer.lines().next());
}

#[tokio::test]
async fn after_three_failures_the_breaker_answers_and_one_probe_closes_it() {
    let stage = stage(|plan| breaker(plan, Duration::from_secs(1))).await;
    let mut client = stage.client().await;
    client.send(GET).await;
    let mut upstream = stage.upstream().await;
    upstream.head().await;
    upstream.send(FAILED).await;
    client.head().await;
    // Neither what the client asks wrongly nor what it leaves is the server's failure.
    passed_on(&mut client, &mut upstream, FAILED).await;
    passed_on(&mut client, &mut upstream, FAILED).await;
    let (head, body) = told(&mut client, GET).await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(
        has(&head, "X-Circuit-Breaker: open") && has(&head, "Retry-After: 1"),
        "{head}"
    );
    assert!(body.contains("\"error\":\"Service Unavailable\""), "{body}");
    tokio::time::sleep(Duration::from_millis(1200)).await;
    // The probe is under way; nobody else is let through, until it is given back by its client's leaving.
    let mut prober = stage.client().await;
    prober.send(GET).await;
    upstream.head().await;
    let (head, _) = told(&mut client, GET).await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    prober.reset();
    let mut next = stage.client().await;
    let mut again = loop {
        next.send(GET).await;
        tokio::select! {
            upstream = stage.upstream() => break upstream,
            head = next.head() => {
                assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
                next = stage.client().await;
            }
        }
    };
    again.head().await;
    again.send(OK).await;
    assert!(next.head().await.starts_with("HTTP/1.1 200 "));
    passed_on(&mut client, &mut again, OK).await;
}

#[tokio::test]
async fn a_share_of_failures_opens_the_breaker_once_there_are_enough_requests() {
    let stage = stage(|plan| {
        breaker(plan, Duration::from_secs(60));
        let breaker = &mut plan.hosts[0].host.circuit_breaker;
        breaker.failure_threshold = 100;
        breaker.failure_rate_percent = 50;
        breaker.min_requests = 6;
        breaker.window = Duration::from_secs(60);
    })
    .await;
    let mut client = stage.client().await;
    let mut upstream = stage.asked(&mut client, GET).await;
    upstream.send(FAILED).await;
    client.head().await;
    // Three of five are too few to judge by; four of seven are not.
    for answer in [OK, FAILED, OK, FAILED, OK, FAILED] {
        passed_on(&mut client, &mut upstream, answer).await;
    }
    let (head, _) = told(&mut client, GET).await;
    assert!(
        head.starts_with("HTTP/1.1 503 ") && has(&head, "X-Circuit-Breaker: open"),
        "{head}"
    );
}

/// A client that has half of an answer, and the upstream that owes the rest.
async fn half_answered(stage: &Stage) -> (Peer, Peer) {
    let mut client = stage.client().await;
    client.send(GET).await;
    let mut upstream = stage.upstream().await;
    upstream.head().await;
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf";
    upstream.send(half).await;
    client.head().await;
    assert_eq!(client.exactly(4).await, "half");
    (client, upstream)
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_a_failure_and_only_a_whole_one_is_a_success() {
    let stage = stage(|plan| breaker(plan, Duration::from_secs(60))).await;
    let rules = BreakerRules {
        failure_threshold: 3,
        recovery: Duration::from_secs(60),
        half_open: 1,
    };
    let failures = || {
        let look = stage.stock.breaker_look(BreakerAt::Host(0), rules);
        (look.state, look.failures)
    };
    for broken in 1..=2 {
        let (mut client, upstream) = half_answered(&stage).await;
        drop(upstream);
        assert!(client.is_at_end().await);
        until("it is told", || {
            failures() == (BreakerState::Closed, broken)
        })
        .await;
    }
    let (mut client, mut upstream) = half_answered(&stage).await;
    assert_eq!(failures().1, 2, "its head alone is no success");
    upstream.send("half").await;
    assert_eq!(client.exactly(4).await, "half");
    until("the whole of it is one", || failures().1 == 0).await;
}

#[tokio::test]
async fn the_head_of_an_answer_ends_no_row_of_failures_but_the_whole_of_it_does() {
    let stage = stage(|_| {}).await;
    let keys = RowKeys {
        hosts: vec![row_key(&["host", "default"])],
        backends: vec![row_key(&["backend", "one"])],
        ..RowKeys::default()
    };
    let rows = stage.stock.give_rows(3, &keys).unwrap();
    stage.put_in_force(|plan| {
        plan.settings.outlier.enabled = true;
        plan.backends[0].row = rows.backends[0];
        // One without others is not judged; this one takes nothing.
        plan.backends.push(BackendPlan {
            id: "two".to_owned(),
            state: BackendState::Maint,
            ..plan.backends[0].clone()
        });
    });
    let row = stage.stock.backend_row(rows.backends[0]).unwrap();
    let (mut client, upstream) = half_answered(&stage).await;
    drop(upstream);
    assert!(client.is_at_end().await);
    until("it is told", || row.conduct.failures() == 1).await;
    let (mut client, mut upstream) = half_answered(&stage).await;
    assert_eq!(row.conduct.failures(), 1, "its head alone is no success");
    upstream.send("half").await;
    assert_eq!(client.exactly(4).await, "half");
    until("the whole of it is one", || row.conduct.failures() == 0).await;
}

#[tokio::test]
async fn one_more_than_may_be_under_way_gets_429_or_waits_its_turn() {
    let stage = stage(|_| {}).await;
    let mut permits = Permits::new(&stage.stock);
    let pool = permits.assign(&[(1, 1)], 3).unwrap()[0];
    stage.put_in_force(|plan| plan.hosts[0].permits = Some(pool));
    let mut first = stage.client().await;
    first.send(GET).await;
    let mut upstream = stage.upstream().await;
    upstream.head().await;
    let mut second = stage.client().await;
    let (head, body) = told(&mut second, GET).await;
    assert!(
        head.starts_with("HTTP/1.1 429 ") && has(&head, "Retry-After: 1"),
        "{head}"
    );
    assert!(body.contains("\"error\":\"Too Many Requests\""), "{body}");
    stage.put_in_force(|plan| plan.hosts[0].host.reject_status = 503);
    let (head, _) = told(&mut second, GET).await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    stage.put_in_force(|plan| plan.hosts[0].host.queue.max_waiting = 1);
    second.send(GET).await;
    let limit = stage.stock.open(pool).unwrap();
    until("one waits", || limit.pool().waiting() == 1).await;
    let (head, _) = told(&mut stage.client().await, GET).await;
    assert!(
        head.starts_with("HTTP/1.1 503 "),
        "the line is full: {head}"
    );
    upstream.send(OK).await;
    assert!(first.head().await.starts_with("HTTP/1.1 200 "));
    // Its turn; and whoever leaves in the middle gives its place back.
    let mut next = stage.upstream().await;
    next.head().await;
    second.reset();
    until("given back", || limit.pool().census().in_use == 0).await;
}
