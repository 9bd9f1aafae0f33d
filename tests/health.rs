//! What the health endpoint says is true, and says nothing that is secret.

use std::collections::BTreeMap;

use crate::common::{
    client::Client,
    message::Request,
    processes::{self, proc_text},
    proxy::Proxy,
    settings::{PASSWORD_MARK, Settings},
    upstream::{Login, TOKEN_MARK, Upstream},
    wait_until,
};
use serde_json::json;

#[test]
fn a_sound_tpp_is_healthy_alive_and_ready() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 3));
    for path in ["/health", "/healthz"] {
        let answer = proxy.health(path).ok();
        assert_eq!(answer.head.field("content-type"), Some("application/json"));
        let health = answer.json();
        assert_eq!(health["status"], "healthy", "{health}");
        assert_eq!(
            health["pool"],
            json!({"total": 3, "in_use": 0, "available": 3, "waiting": 0})
        );
    }
    proxy.health("/livez").ok();
    proxy.health("/readyz").ok();
    assert_eq!(proxy.health("/nothing").status, 404);
}

#[test]
fn the_pools_numbers_follow_what_happens() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 2));
    let numbers = || {
        let pool = proxy.pool();
        (pool.total, pool.in_use, pool.available, pool.waiting)
    };
    let mut clients: Vec<Client> = (0..3).map(|_| proxy.client(&upstream)).collect();
    clients[0].get("/who").ok();
    assert_eq!(numbers(), (2, 1, 1, 0));
    clients[1].get("/who").ok();
    assert_eq!(numbers(), (2, 2, 0, 0));
    clients[2].send(&Request::get("/who"));
    wait_until("one waits", || numbers() == (2, 2, 0, 1));
    clients.remove(0);
    wait_until("nobody waits", || numbers() == (2, 2, 0, 0));
    drop(clients);
    wait_until("all are free", || numbers() == (2, 0, 2, 0));
}

#[test]
fn metrics_are_well_formed_and_agree_with_what_happened() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 2));
    for _ in 0..3 {
        let mut client = proxy.client(&upstream);
        client.get("/who").ok();
        client.get("/who").ok();
    }
    proxy.wait_until_all_is_back(2);
    wait_until("the last connection's end is counted", || {
        proxy.metric("tpp_connection_duration_seconds_count") == Some(3.0)
    });
    let text = proxy.health("/metrics").ok().text();
    let values = parse_metrics(&text);
    let expected = [
        ("tpp_tokens_total", 2.0),
        ("tpp_tokens_in_use", 0.0),
        ("tpp_tokens_available", 2.0),
        ("tpp_requests_waiting", 0.0),
        ("tpp_token_acquisitions_total", 3.0),
        ("tpp_token_releases_total", 3.0),
        ("tpp_token_errors_total", 0.0),
        ("tpp_requests_total", 6.0),
        ("tpp_requests_errors_total", 0.0),
        ("tpp_acquisition_wait_seconds_count", 3.0),
        ("tpp_connection_duration_seconds_count", 3.0),
        ("tpp_worker_restarts_total", 0.0),
    ];
    for (name, value) in expected {
        assert_eq!(values.get(name), Some(&value), "{name} in\n{text}");
    }
}

#[test]
fn a_reload_shuts_the_metrics_and_their_token_stands_nowhere() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 1);
    let proxy = Proxy::start(&settings);
    proxy.health("/metrics").ok();
    let token = format!("{PASSWORD_MARK}-of-metrics");
    let shut = settings
        .clone()
        .file("metrics-token", &format!("{token}\n"))
        .set("metrics.token_file", "\"metrics-token\"");
    shut.write_to(proxy.directory());
    let outcome = proxy.ctl(&["reload"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.out.contains("changed: metrics"), "{outcome:?}");
    assert_eq!(proxy.health("/metrics").status, 401);
    assert_eq!(proxy.health("/health").status, 200);
    let bring = |token: &str| {
        let request = Request::get("/metrics").field("Authorization", &format!("Bearer {token}"));
        Client::connect(proxy.status().health_listen.parse().expect("an address")).ask(&request)
    };
    assert_eq!(bring("other").status, 401);
    let text = bring(&token).ok().text();
    let status = proxy.ctl(&["status", "--json"]).out;
    for said in [text, status, proxy.log()] {
        assert!(!said.contains(&token), "{said}");
    }
    settings.write_to(proxy.directory());
    assert_eq!(proxy.ctl(&["reload"]).code, Some(0));
    proxy.health("/metrics").ok();
}

#[test]
fn renewals_are_counted_by_their_results() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 2));
    let count = |result: &str| {
        let name = format!("tpp_token_refreshes_total{{result=\"{result}\"}}");
        proxy.metric(&name).unwrap_or_else(|| panic!("no {name}"))
    };
    let before = ["success", "refused", "trouble"].map(count);
    upstream.script_login("user1", Login::Refuse("The user is locked."));
    assert_eq!(proxy.ctl(&["refresh", "--all"]).code, Some(0));
    wait_until("one success and one refusal are counted", || {
        ["success", "refused", "trouble"].map(count)
            == [before[0] + 1.0, before[1] + 1.0, before[2]]
    });
}

/// Every sample of a Prometheus text, each of a family with HELP and TYPE; panics where it is not one.
fn parse_metrics(text: &str) -> BTreeMap<String, f64> {
    let mut values = BTreeMap::new();
    let mut families = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(comment) = line.strip_prefix("# ") {
            families.push(
                comment
                    .split(' ')
                    .nth(1)
                    .expect("HELP and TYPE name a family"),
            );
            continue;
        }
        let (name, value) = line
            .rsplit_once(' ')
            .unwrap_or_else(|| panic!("a sample: {line:?}"));
        let value = value
            .parse()
            .unwrap_or_else(|error| panic!("{error} in {line:?}"));
        assert!(
            families.iter().any(|family| name.starts_with(family)),
            "{name} has no HELP and TYPE"
        );
        assert!(
            values.insert(name.to_owned(), value).is_none(),
            "{name} twice"
        );
    }
    values
}

#[test]
fn the_whole_is_the_sum_of_its_parts_at_every_look() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 4));
    let (looks, rounds) = crate::common::load::while_clients_work(
        12,
        |_| drop(proxy.client(&upstream).get("/who").ok()),
        || {
            for _ in 0..200 {
                let pool = proxy.pool();
                assert_eq!(pool.in_use + pool.available, pool.total, "{pool:?}");
                assert_eq!(pool.total, 4);
            }
            200
        },
    );
    println!("{looks} looks during {rounds} connections");
    proxy.wait_until_all_is_back(4);
}

#[test]
fn what_is_missing_is_said() {
    let upstream = Upstream::start();
    upstream.script_login("bad", Login::Refuse("The user is locked."));
    let settings = Settings::in_front_of(&upstream)
        .account(&upstream, "bad", 1)
        .account(&upstream, "good", 1);
    let proxy = Proxy::start_without_tokens(&settings);
    wait_until("the good account is in", || proxy.pool().total == 1);
    wait_until("the refused account is counted", || {
        let health = proxy.health("/health").json();
        assert_ne!(health["status"], "healthy");
        health["reasons"]
            .to_string()
            .contains("login refused for 1 account")
    });
    // Whoever reaches the health endpoint is not told whose it is; whoever may order is.
    let told = proxy.ctl(&["status", "--json"]).out;
    assert!(told.contains("login refused for bad"), "{told}");
    assert_eq!(proxy.health("/readyz").status, 200);
}

#[test]
fn a_tpp_without_a_worker_is_not_ready_but_alive() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream)
        .accounts(&upstream, 1)
        .workers(1);
    let proxy = Proxy::start(&settings.set("workers.worker_timeout_seconds", 2));
    processes::stop(proxy.ready_workers()[0].pid);
    wait_until("it is not ready", || {
        proxy.health("/livez").ok();
        proxy.health("/readyz").status == 503
    });
    wait_until("it is ready again", || {
        proxy.health("/readyz").status == 200
    });
}

#[test]
fn no_secret_shows_anywhere() {
    let upstream = Upstream::start();
    upstream.script_login("locked", Login::Refuse("No."));
    let settings = Settings::in_front_of(&upstream)
        .accounts(&upstream, 3)
        .account(&upstream, "locked", 1);
    let settings = settings
        .set("telemetry.log_filter", "\"trace\"")
        .set("token.max_token_bytes", 2000);
    let proxy = Proxy::start_without_tokens(&settings);
    wait_until("three are in", || proxy.pool().total == 3);
    let mut client = proxy.client(&upstream);
    client.get("/who").ok();
    upstream.expire_all();
    client.ask(&Request::post("/sum", b"abc".to_vec())).ok();
    client.get("/refuse");
    proxy.client(&upstream).get("/drop");
    upstream.script_login("user0", Login::Result(json!(format!("{TOKEN_MARK}\u{7f}"))));
    upstream.script_login("user1", Login::Result(json!(TOKEN_MARK.repeat(1000))));
    proxy.ctl(&["refresh", "--all"]);
    wait_until("the bad tokens were seen", || {
        proxy
            .tokens()
            .iter()
            .filter(|token| token.last_error.is_some())
            .count()
            >= 2
    });

    let mut shown: Vec<(String, String)> = vec![("log".into(), proxy.log())];
    for path in ["/health", "/metrics", "/readyz"] {
        shown.push((path.into(), proxy.health(path).text()));
    }
    for command in ["status", "workers", "tokens"] {
        for arguments in [vec![command], vec![command, "--json"]] {
            let outcome = proxy.ctl(&arguments);
            shown.push((format!("tppctl {arguments:?}"), outcome.out + &outcome.err));
        }
    }
    let workers = proxy.workers().into_iter().map(|worker| worker.pid);
    for pid in workers.chain([proxy.supervisor_pid()]) {
        for file in ["cmdline", "environ"] {
            shown.push((
                format!("/proc/{pid}/{file}"),
                proc_text(pid, file).expect("a process of ours"),
            ));
        }
    }
    for (place, text) in shown {
        assert!(
            !text.is_empty() || place.contains("environ"),
            "{place} is empty"
        );
        for mark in [PASSWORD_MARK, TOKEN_MARK] {
            assert!(!text.contains(mark), "{mark} shows in {place}");
        }
    }
}
