//! `lease.mode = "request"`: a connection holds a token only while a request is served.

use std::collections::HashSet;

use crate::common::{
    client::Client,
    load::all_at_once,
    message::Request,
    proxy::Proxy,
    settings::Settings,
    upstream::{Login, Upstream},
    wait_until,
};

fn start(tokens: usize) -> (Upstream, Proxy) {
    start_with(tokens, |settings| settings)
}

fn start_with(tokens: usize, change: impl FnOnce(Settings) -> Settings) -> (Upstream, Proxy) {
    let upstream = Upstream::start();
    upstream.oracle().allow_a_lease_per_request();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, tokens);
    let proxy = Proxy::start(&change(settings.set("lease.mode", "\"request\"")));
    (upstream, proxy)
}

#[test]
fn many_open_connections_share_few_tokens() {
    let (upstream, proxy) = start(4);
    let clients: Vec<_> = all_at_once(100, |_| {
        let mut client = proxy.client(&upstream);
        for _ in 0..5 {
            client.get("/delay/1").ok();
        }
        client
    });
    proxy.wait_until_all_is_back(4);
    assert_eq!(clients.len(), 100, "all are still connected");
    upstream.assert_clean();
    wait_until("a lease for each request was counted", || {
        proxy.metric("tpp_token_acquisitions_total") == Some(500.0)
            && proxy.metric("tpp_token_releases_total") == Some(500.0)
    });
    let users: HashSet<_> = upstream
        .seen()
        .into_iter()
        .filter_map(|seen| seen.user)
        .collect();
    assert_eq!(users.len(), 4);
}

#[test]
fn an_idle_connection_holds_no_token() {
    let (upstream, proxy) = start(1);
    let mut clients: Vec<Client> = (0..5).map(|_| proxy.client(&upstream)).collect();
    for _ in 0..3 {
        for client in &mut clients {
            client.get("/who").ok();
        }
    }
    proxy.wait_until_all_is_back(1);
    upstream.assert_clean();
}

#[test]
fn a_request_in_service_holds_its_token_to_the_end_of_the_answer() {
    let (upstream, proxy) = start(1);
    let mut first = proxy.client(&upstream);
    first.send(&Request::get("/steps/s/2"));
    assert_eq!(first.read_any_head().expect("an answer").0, 200);
    let mut second = proxy.client(&upstream);
    second.send(&Request::get("/who"));
    wait_until("the second waits", || proxy.pool().waiting == 1);
    upstream.gates().open("s-1");
    first.read_raw(12 + 12 + 5);
    second.read_answer().ok();
    first.get("/who").ok();
    upstream.assert_clean();
}

#[test]
fn a_token_comes_back_when_its_request_is_broken_off() {
    // The upstream goes on for ever: after a second its token is replaced.
    let (upstream, proxy) = start_with(1, |settings| {
        settings.set("lease.abandoned_wait_seconds", 1)
    });
    for target in ["/gate/never", "/steps/never/2"] {
        let mut client = proxy.client(&upstream);
        client.send(&Request::get(target));
        wait_until("it is served", || proxy.pool().in_use == 1);
        client.reset();
        proxy.wait_until_all_is_back(1);
    }
    let mut client = proxy.client(&upstream);
    client
        .try_ask(&Request::get("/cut/20000000"))
        .expect_err("the answer is not whole");
    proxy.wait_until_all_is_back(1);
    upstream.assert_clean();
}

#[test]
fn no_client_sees_that_all_tokens_expired() {
    let (upstream, proxy) = start(4);
    all_at_once(20, |_| {
        let mut client = proxy.client(&upstream);
        client.get("/who").ok();
    });
    upstream.expire_all();
    all_at_once(40, |number| {
        let mut client = proxy.client(&upstream);
        let request = if number % 2 == 0 {
            Request::get("/delay/1")
        } else {
            Request::post("/sum", vec![b'x'; 5000])
        };
        for _ in 0..3 {
            client.ask(&request).ok();
        }
    });
    for number in 0..4 {
        assert_eq!(
            upstream.attempts_of(&format!("user{number}")),
            2,
            "one login a slot"
        );
    }
    proxy.wait_until_all_is_back(4);
    upstream.assert_clean();
}

#[test]
fn a_websocket_holds_its_token_until_it_ends() {
    let (upstream, proxy) = start(1);
    let mut socket = proxy.client(&upstream);
    let request = Request::get("/websocket")
        .field("Connection", "Upgrade")
        .field("Upgrade", "websocket");
    socket.send(
        &request
            .field("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
            .field("Sec-WebSocket-Version", "13"),
    );
    assert_eq!(socket.read_any_head().expect("an answer").0, 101);
    socket.send_raw(b"hello");
    assert_eq!(socket.read_raw(5), b"hello");
    assert_eq!(proxy.pool().in_use, 1);
    drop(socket);
    proxy.wait_until_all_is_back(1);
}

#[test]
fn requests_are_served_in_the_order_in_which_they_came() {
    let (upstream, proxy) = start(1);
    let mut holder = proxy.client(&upstream);
    holder.send(&Request::get("/gate/holder"));
    wait_until("the token is taken", || {
        upstream.gates().waiting_at("holder") == 1
    });
    let mut line = Vec::new();
    for place in 1..=30 {
        let mut client = proxy.client(&upstream);
        client.send(&Request::get("/turn"));
        line.push(client);
        wait_until("one more waits", || proxy.pool().waiting == place);
    }
    upstream.gates().open("holder");
    holder.read_answer().ok();
    line.iter_mut()
        .for_each(|client| drop(client.read_answer().ok()));
    let arrived: Vec<_> = line.iter().map(Client::id).collect();
    let turns = upstream
        .seen()
        .into_iter()
        .filter(|seen| seen.target == "/turn");
    assert_eq!(turns.map(|seen| seen.conn).collect::<Vec<_>>(), arrived);
    upstream.assert_clean();
}

#[test]
fn a_slot_whose_login_hangs_keeps_no_other_from_serving() {
    let (upstream, proxy) = start(2);
    let mut busy = proxy.client(&upstream);
    busy.send(&Request::get("/gate/busy"));
    wait_until("one token is in use", || {
        upstream.gates().waiting_at("busy") == 1
    });
    let taken = upstream.seen()[0].user.clone().expect("a known token");
    let other = if taken == "user0" { "user1" } else { "user0" };
    upstream.script_login(other, Login::AcceptAtGate("login"));
    upstream.expire(other);
    let mut delayed = proxy.client(&upstream);
    delayed.send(&Request::get("/who"));
    wait_until("a login is under way", || {
        upstream.gates().waiting_at("login") == 1
    });
    upstream.gates().open("busy");
    busy.read_answer().ok();
    for _ in 0..5 {
        assert_eq!(
            proxy.client(&upstream).get("/who").ok().json()["user"],
            taken
        );
    }
    upstream.gates().open("login");
    delayed.read_answer().ok();
    upstream.assert_clean();
}
