//! What is under way, and what breakers do, as the API shows it; and waiting until a backend has nothing left.

use std::{net::SocketAddr, thread};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{
    asking::{Asking, gateway, host, settings},
    common::{
        client::Client, message::Request, origin::Origin, processes, proxy::Proxy,
        upstream::Upstream, wait_until,
    },
};

const BREAKER: &str =
    "circuit_breaker = { enabled = true, failure_threshold = 2, recovery_timeout_seconds = 600 }\n";

/// Backends `one` and `two` of tag `a`, which serves `default`; `further` is lines of that host.
fn tpp(further: &str) -> (Origin, Origin, Proxy) {
    let (one, two) = (Origin::start("one"), Origin::start("two"));
    let tables = one.table("\"a\"", "") + &two.table("\"a\"", "") + &host("default", "a") + further;
    let proxy = Proxy::start_without_tokens(&gateway(&tables));
    (one, two, proxy)
}

/// A client whose request is under way for as long as its backend holds answers back.
fn begin(to: SocketAddr) -> Client {
    let mut client = Client::connect(to);
    client.send(&Request::new("GET", "/who"));
    client
}

fn number(shown: &Value, key: &str) -> u64 {
    shown[key]
        .as_u64()
        .unwrap_or_else(|| panic!("{key} in {shown}"))
}

#[test]
fn a_backend_that_is_left_out_says_since_when_until_when_and_why() {
    let (one, two) = (Origin::start("one"), Origin::start("two"));
    let tables = one.table("\"a\"", "") + &two.table("\"a\"", "") + &host("default", "a");
    let settings = gateway(&tables)
        .set("outlier.enabled", true)
        .set("outlier.base_seconds", 600);
    let proxy = Proxy::start_without_tokens(&settings);
    let asking = Asking::of(&proxy);
    let shown = || asking.get("/backends/one").ok().json();
    assert!(shown()["ejected"].is_null(), "{}", shown());
    one.set_fails(true);
    wait_until("it is left out", || {
        Client::connect(proxy.address()).get("/who");
        shown()["ejected"].is_object()
    });
    let domain = asking.get("/domains/default").ok().json();
    assert_eq!(domain["healthy_backends"], 1, "{domain}");
    let told = shown()["ejected"].clone();
    assert_eq!(number(&told, "until") - number(&told, "since"), 600);
    assert!(number(&told, "remaining_seconds") <= 600, "{told}");
    assert_eq!(number(&told, "times"), 1);
    let reason = told["reason"].as_str().expect("a reason");
    assert!(reason.ends_with("requests in a row failed"), "{told}");
    // Whoever sends back what it was shown means no change of it.
    let edited = asking.ask("PUT", "/backends/one", Some(shown()));
    assert_eq!(edited.status, 200, "{}", edited.text());
}

/// A sample of the metrics that the API serves.
pub(crate) fn sample(asking: &Asking, series: &str) -> Option<f64> {
    let text = asking.get("/metrics").ok().text();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map(|value| value.parse().expect("a number"))
}

#[test]
fn what_is_under_way_is_shown_of_hosts_and_backends() {
    let (one, two, proxy) = tpp("max_concurrent = 2\nqueue = { max_waiting = 5 }\n");
    let asking = Asking::of(&proxy);
    let idle = asking.get("/domains/default").ok().json();
    assert_eq!(
        (number(&idle, "in_flight"), number(&idle, "waiting")),
        (0, 0)
    );
    assert_eq!(idle["breaker"], "closed");
    [&one, &two].iter().for_each(|origin| origin.hold(true));
    let mut clients: Vec<_> = (0..3).map(|_| begin(proxy.address())).collect();
    wait_until("two are under way and one waits", || {
        let shown = asking.get("/domains/default").ok().json();
        (number(&shown, "in_flight"), number(&shown, "waiting")) == (2, 1)
    });
    let of_default = |name: &str| sample(&asking, &format!("{name}{{proxy=\"default\"}}"));
    wait_until("metrics say the same", || {
        ["tpp_proxy_in_flight", "tpp_proxy_waiting"].map(of_default) == [Some(2.0), Some(1.0)]
    });
    let backends = asking.get("/backends").ok().json();
    let each = backends.as_array().expect("a list").iter();
    assert_eq!(
        each.map(|one| number(one, "in_flight")).sum::<u64>(),
        2,
        "{backends}"
    );
    let shown = asking.get("/domains").ok().json();
    let members = shown[0]["backends"].as_array().expect("a list").iter();
    assert_eq!(
        members.map(|one| number(one, "in_flight")).sum::<u64>(),
        2,
        "{shown}"
    );
    [&one, &two].iter().for_each(|origin| origin.hold(false));
    clients
        .iter_mut()
        .for_each(|client| drop(client.read_answer().ok()));
    wait_until("nothing is", || {
        let shown = asking.get("/domains/default").ok().json();
        let backends = asking.get("/backends").ok().json();
        let mut each = backends.as_array().expect("a list").iter();
        number(&shown, "in_flight") == 0 && each.all(|one| number(one, "in_flight") == 0)
    });
    let connections = || of_default("tpp_proxy_active_connections");
    wait_until("three clients are there", || connections() == Some(3.0));
    drop(clients);
    wait_until("they have left", || connections() == Some(0.0));
    let took = |id: &str| {
        let labels = format!("{{proxy=\"default\",backend=\"{id}\"}}");
        sample(
            &asking,
            &format!("tpp_proxy_upstream_duration_seconds_count{labels}"),
        )
    };
    wait_until("three answers are counted", || {
        let counts = ["one", "two"].map(|id| took(id).unwrap_or(0.0));
        counts.iter().sum::<f64>() == 3.0
    });
}

#[test]
fn a_plain_file_is_the_host_default_and_counted_as_any_host_is() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&settings(&upstream).accounts(&upstream, 3));
    let asking = Asking::of(&proxy);
    let of_default = |name: &str, labels: &str| {
        let series = format!("{name}{{proxy=\"default\"{labels}}}");
        sample(&asking, &series)
    };
    let mut client = proxy.client(&upstream);
    client.get("/who").ok();
    wait_until("it is counted", || {
        let answered = of_default("tpp_proxy_requests_total", ",code=\"200\"");
        let took = "tpp_proxy_upstream_duration_seconds_count";
        [answered, of_default(took, ",backend=\"upstream\"")] == [Some(1.0); 2]
    });
    client.send(&Request::get("/gate/first"));
    wait_until("it is under way", || {
        let shown = ["/domains/default", "/backends/upstream"].map(|path| asking.get(path).json());
        shown.iter().all(|one| number(one, "in_flight") == 1)
    });
    let bounds = json!({"max_concurrent": 1, "circuit_breaker": {"enabled": true}});
    asking.ask("PATCH", "/domains/default", Some(bounds)).ok();
    let mut permitted = proxy.client(&upstream);
    permitted.send(&Request::get("/gate/second"));
    wait_until("it has the one permit", || {
        upstream.gates().waiting_at("second") == 1
    });
    assert_eq!(proxy.client(&upstream).get("/who").status, 429);
    wait_until("limit and breaker are told of", || {
        let refused = of_default("tpp_limit_rejections_total", ",kind=\"concurrency\"");
        let breaker = of_default("tpp_circuit_breaker_state", ",backend=\"upstream\"");
        (refused, breaker) == (Some(1.0), Some(0.0))
    });
    let gates = ["first", "second"];
    gates.iter().for_each(|gate| upstream.gates().open(gate));
    client.read_answer().ok();
    permitted.read_answer().ok();
}

#[test]
fn a_queue_is_served_in_order_of_arrival_over_all_workers() {
    let one = Origin::start("one");
    let bounds = "max_concurrent = 1\nqueue = { max_waiting = 40 }\n";
    let tables = one.table("\"a\"", "") + &host("default", "a") + bounds;
    // The stops that make the turns must not look like hanging.
    let settings = gateway(&tables).set("workers.worker_timeout_seconds", 120);
    let proxy = Proxy::start_without_tokens(&settings);
    let asking = Asking::of(&proxy);
    proxy.wait_until_ready(2);
    let workers: Vec<_> = proxy.workers().iter().map(|one| one.pid).collect();
    let waiting = || number(&asking.get("/domains/default").json(), "waiting");
    one.hold(true);
    let mut holder = begin(proxy.address());
    wait_until("one is under way", || one.asked().len() == 1);
    let mut line = Vec::new();
    for place in 1..=20 {
        // By turns in one worker and the other: one that stands still accepts nobody.
        let stopped = workers[place % workers.len()];
        processes::stop(stopped);
        let mut client = Client::connect(proxy.address());
        client.send(&Request::new("GET", &format!("/{place}")));
        wait_until("one more waits", || waiting() == place as u64);
        processes::send(stopped, Signal::SIGCONT);
        line.push(client);
    }
    one.hold(false);
    drop(holder.read_answer().ok());
    line.iter_mut()
        .for_each(|client| drop(client.read_answer().ok()));
    let asked = one.asked();
    let paths = asked[1..].iter().map(|head| head.split(' ').nth(1));
    let expected: Vec<_> = (1..=20).map(|place| format!("/{place}")).collect();
    let paths: Vec<_> = paths.map(|path| path.expect("a path")).collect();
    assert_eq!(paths, expected);
}

#[test]
fn a_backend_that_fails_is_passed_by_while_the_other_serves_and_a_reset_brings_it_back() {
    let (one, _two, proxy) = tpp(BREAKER);
    let asking = Asking::of(&proxy);
    one.set_fails(true);
    let ask = || Client::connect(proxy.address()).get("/who").status;
    let breaker = |id: &str| {
        let shown = asking.get(&format!("/backends/{id}")).ok().json();
        shown["breaker"].as_str().map(str::to_owned)
    };
    wait_until("its breaker is open", || {
        ask();
        breaker("one").as_deref() == Some("open")
    });
    let reached = one.asked().len();
    (0..20).for_each(|_| assert_eq!(ask(), 200));
    assert_eq!(
        one.asked().len(),
        reached,
        "it is not asked while the other one serves"
    );
    let shown = asking.get("/domains/default").ok().json();
    assert_eq!(shown["breaker"], "closed");
    assert_eq!(shown["backends"][0]["breaker"], "open");
    assert_eq!(shown["backends"][1]["breaker"], "closed");
    let left = asking.get("/backends/one").ok().json();
    assert!(
        (1..=600).contains(&number(&left, "breaker_remaining_seconds")),
        "{left}"
    );
    let state = |backend: &str| {
        let labels = format!("{{proxy=\"default\",backend=\"{backend}\"}}");
        sample(&asking, &format!("tpp_circuit_breaker_state{labels}"))
    };
    wait_until("metrics say so", || {
        [state("one"), state("two"), state("")] == [Some(1.0), Some(0.0), Some(0.0)]
    });
    one.set_fails(false);
    let reset = asking
        .post("/backends/one/circuit_breaker/reset", None)
        .ok();
    assert_eq!(reset.json()["breaker"], "closed");
    wait_until("it serves again", || {
        ask();
        one.asked().len() > reached
    });
    wait_until("its log says so", || {
        proxy.log().contains("backend one: circuit breakers reset")
    });
}

#[test]
fn when_all_have_failed_the_hosts_own_breaker_opens_until_it_is_reset() {
    let (one, two, proxy) = tpp(BREAKER);
    let asking = Asking::of(&proxy);
    let ask = || Client::connect(proxy.address()).get("/who").status;
    [&one, &two]
        .iter()
        .for_each(|origin| origin.set_fails(true));
    wait_until("the host's own is open", || ask() == 503);
    let shown = asking.get("/domains/default").ok().json();
    assert_eq!(shown["breaker"], "open");
    [&one, &two]
        .iter()
        .for_each(|origin| origin.set_fails(false));
    assert_eq!(ask(), 503);
    let reset = asking
        .post("/domains/default/circuit_breaker/reset", None)
        .ok();
    assert_eq!(reset.json()["breaker"], "closed");
    assert_eq!(ask(), 200);
    for path in ["/domains/no.test", "/backends/none"] {
        let reset = format!("{path}/circuit_breaker/reset");
        assert_eq!(asking.post(&reset, None).status, 404);
    }
    let audit = proxy.log();
    assert!(
        audit.contains("domain default: circuit breaker reset"),
        "{audit}"
    );
}

#[test]
fn a_drain_is_waited_for_until_nothing_is_left_or_too_long() {
    let (one, two, proxy) = tpp("");
    let asking = Asking::of(&proxy);
    let order =
        |query: &str, body: Value| asking.post(&format!("/backends/one/state{query}"), Some(body));
    for wrong in [json!(0), json!(-1), json!(86_401), json!("60"), json!(1.5)] {
        let answer = order("", json!({"state": "drain", "deadline_seconds": wrong}));
        let field = answer.json()["field"].clone();
        assert_eq!(
            (answer.status, field),
            (400, json!("deadline_seconds")),
            "{wrong}"
        );
    }
    assert_eq!(order("?wait=maybe", json!({"state": "drain"})).status, 400);
    assert_eq!(asking.get("/backends/one").ok().json()["state"], "ready");
    one.hold(true);
    let mut clients: Vec<_> = (0..8).map(|_| begin(proxy.address())).collect();
    wait_until("all have been sent on", || {
        one.asked().len() + two.asked().len() == clients.len()
    });
    let held = one.asked().len();
    assert!(held > 0);
    let late = order(
        "?wait=true",
        json!({"state": "drain", "deadline_seconds": 1}),
    );
    assert_eq!(late.status, 504, "{}", late.text());
    assert!(
        late.text().contains(&format!("still has {held} requests")),
        "{}",
        late.text()
    );
    let waiting = thread::scope(|scope| {
        let waiting = scope.spawn(|| order("?wait=true", json!({"state": "drain"})));
        // Nobody is cut off meanwhile, and nobody new comes.
        for _ in 0..4 {
            assert_eq!(
                Client::connect(proxy.address()).get("/who").ok().text(),
                "two"
            );
        }
        assert!(!waiting.is_finished());
        one.hold(false);
        waiting.join().expect("an answer")
    });
    assert_eq!(waiting.ok().json()["in_flight"], 0);
    let answers = clients.iter_mut().map(|client| client.read_answer());
    let from_one = answers.filter(|answer| answer.text() == "one").count();
    assert_eq!(from_one, held, "nobody was cut off");
    drop(two);
    let ready = order("?wait=true", json!({"state": "ready"})).ok();
    assert_eq!(ready.json()["state"], "ready");
}
