//! Several pools: each has its accounts, at its own backends. Sessions that are bound to a backend are spread over those that are up.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use crate::common::{
    client::Client,
    proxy::Proxy,
    settings::{Settings, password_of},
    upstream::Upstream,
    wait_until,
};

/// A pool with an account that `upstreams` know, each for so many sessions.
fn pool(name: &str, user: &str, sessions: usize, upstreams: &[&Upstream]) -> String {
    let password = password_of(user);
    for upstream in upstreams {
        upstream.add_account(user, &password, sessions);
    }
    format!(
        "\n[[pools]]\nname = \"{name}\"\ntoken_scope = \"backend\"\n[[pools.credentials]]\n\
         username = \"{user}\"\npassword = \"{password}\"\nsessions = {sessions}\n"
    )
}

fn backend(id: &str, upstream: &Upstream, tag: &str, pool: &str) -> String {
    let address = upstream.address();
    format!(
        "\n[[backends]]\nid = \"{id}\"\naddress = \"{address}\"\ntags = [\"{tag}\"]\npool = \"{pool}\"\n"
    )
}

fn host(domain: &str, tag: &str) -> String {
    format!("\n[[virtual_hosts]]\ndomain = \"{domain}\"\nenabled_backends_tag = \"{tag}\"\n")
}

/// Backends live if they can be connected to, and that is found out soon.
fn settings(tables: &str) -> Settings {
    Settings::of_gateway()
        .set("health_check.type", "\"tcp\"")
        .set("health_check.interval_seconds", 1)
        .set("health_check.unhealthy_threshold", 2)
        .set("health_check.healthy_threshold", 1)
        .further(tables)
}

/// The user that a request to `host` is served as.
fn user_at(proxy: &Proxy, host: &str) -> String {
    let mut stream = TcpStream::connect(proxy.address()).expect("connect");
    let request = format!("GET /who HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("send");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a whole head");
    let body: serde_json::Value =
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error} in {answer}"));
    body["user"].as_str().expect("a user").to_owned()
}

#[test]
fn each_pool_has_its_accounts_at_its_own_backends() {
    let (one, two) = (Upstream::start(), Upstream::start());
    let first =
        pool("one", "ann", 1, &[&one]) + &backend("b1", &one, "a", "one") + &host("a.test", "a");
    let second =
        pool("two", "bob", 2, &[&two]) + &backend("b2", &two, "b", "two") + &host("default", "b");
    let proxy = Proxy::start_without_tokens(&settings(&(first.clone() + &second)));
    wait_until("all tokens are in", || proxy.pool().total == 3);
    assert_eq!(user_at(&proxy, "a.test"), "ann");
    assert_eq!(user_at(&proxy, "b.test"), "bob");
    assert_eq!((one.attempts_of("bob"), two.attempts_of("ann")), (0, 0));
    // One pool goes, another one comes.
    let third = pool("three", "cid", 1, &[&one])
        + &backend("b1", &one, "a", "three")
        + &host("a.test", "a");
    settings(&(third + &second)).write_to(proxy.directory());
    let outcome = proxy.ctl(&["reload"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    wait_until("the new one's token is in", || proxy.pool().total == 3);
    assert_eq!(user_at(&proxy, "a.test"), "cid");
    assert_eq!(user_at(&proxy, "b.test"), "bob");
    one.assert_clean();
    two.assert_clean();
}

#[test]
fn a_switch_to_another_pool_ends_a_connection_with_its_next_answer() {
    let (one, two) = (Upstream::start(), Upstream::start());
    let tables = pool("one", "ann", 1, &[&one])
        + &backend("b1", &one, "a", "one")
        + &pool("two", "bob", 1, &[&two])
        + &backend("b2", &two, "b", "two")
        + &host("default", "a");
    let proxy = Proxy::start_without_tokens(&settings(&tables));
    wait_until("all tokens are in", || proxy.pool().total == 2);
    let mut client = Client::connect(proxy.address());
    for _ in 0..2 {
        let before = client.get("/who").ok();
        assert_eq!(before.json()["user"], "ann");
        assert!(!before.closes(), "it keeps its token");
    }
    let outcome = proxy.ctl(&["switch", "default", "b"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let after = client.get("/who").ok();
    assert_eq!(after.json()["user"], "bob");
    assert!(after.closes(), "its lease was the other pool's");
    assert_eq!(client.read_to_close(), b"");
    let mut next = Client::connect(proxy.address());
    let answer = next.get("/who").ok();
    assert_eq!(answer.json()["user"], "bob");
    assert!(!answer.closes());
}

#[test]
fn a_successor_finds_each_pool_and_logs_nobody_in_anew() {
    let (one, two) = (Upstream::start(), Upstream::start());
    let first =
        pool("one", "ann", 1, &[&one]) + &backend("b1", &one, "a", "one") + &host("a.test", "a");
    let second =
        pool("two", "bob", 2, &[&two]) + &backend("b2", &two, "b", "two") + &host("default", "b");
    let mut proxy = Proxy::start_without_tokens(&settings(&(first + &second)));
    wait_until("all tokens are in", || proxy.pool().total == 3);
    proxy.kill_supervisor();
    proxy.start_successor();
    wait_until("it has all tokens", || proxy.pool().total == 3);
    assert_eq!(user_at(&proxy, "a.test"), "ann");
    assert_eq!((one.attempts().len(), two.attempts().len()), (1, 2));
}

#[test]
fn a_backend_that_goes_down_frees_its_sessions_for_the_others() {
    let (mut one, two) = (Upstream::start(), Upstream::start());
    let tables = pool("bound", "ann", 4, &[&one, &two])
        + &backend("b1", &one, "a", "bound")
        + &backend("b2", &two, "a", "bound")
        + &host("default", "a");
    let proxy = Proxy::start_without_tokens(&settings(&tables));
    wait_until("all tokens are in", || proxy.pool().total == 4);
    let logins = [one.attempts().len(), two.attempts().len()];
    assert_eq!(logins, [2, 2], "sessions are spread");
    one.go_down();
    wait_until("the other one has them all", || {
        two.attempts().len() == 4 && proxy.pool().total == 4
    });
    for _ in 0..4 {
        assert_eq!(user_at(&proxy, "a.test"), "ann");
    }
    one.come_up();
    wait_until("it gets its share again", || one.attempts().len() == 4);
    wait_until("nothing is missing", || proxy.pool().total == 4);
    assert_eq!(user_at(&proxy, "a.test"), "ann");
}
