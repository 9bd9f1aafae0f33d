//! Clients that break off, shut one side, crawl, leave the line or send nonsense harm nobody but themselves.

use std::{thread, time::Duration};

use crate::common::{
    client::Client, dice::Dice, load::all_at_once, message::Request, proxy::Proxy,
    settings::Settings, upstream::Upstream, wait_until,
};

/// What a client may do to tpp.
const MISDEEDS: [fn(Client, &mut Dice); 9] = [
    |mut client, dice| {
        for _ in 0..=dice.below(4) {
            client.get("/who").ok();
        }
    },
    reset_in_the_body,
    reset_in_the_answer,
    leave_at_once,
    half_close_after_a_request,
    crawl,
    pipeline_and_leave,
    |mut client, _| {
        client.send_raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n");
        client.read_to_close();
    },
    |mut client, _| {
        client.get("/who").ok();
        client.reset();
    },
];

fn reset_in_the_body(mut client: Client, dice: &mut Dice) {
    let bytes = client.bytes_of(&Request::post("/sum", vec![b'x'; 200_000]));
    // The upstream must never see the whole of it.
    let sent = 1 + dice.below(bytes.len() - 1);
    drop(client.try_send_raw(&bytes[..sent]));
    client.reset();
}

fn reset_in_the_answer(mut client: Client, dice: &mut Dice) {
    client.send(&Request::get("/bytes/3000000"));
    let (status, _) = client.read_any_head().expect("the answer begins");
    assert_eq!(status, 200);
    client.read_raw(dice.below(100_000));
    client.reset();
}

fn leave_at_once(mut client: Client, dice: &mut Dice) {
    client.send(&Request::post(
        "/delay/10",
        vec![b'x'; dice.below(3) * 1000],
    ));
    thread::sleep(Duration::from_millis(dice.below(20) as u64));
    if dice.one_in(2) {
        client.reset();
    }
}

/// Either way is right: the answer, or none because who shuts his side has gone.
fn half_close_after_a_request(mut client: Client, _: &mut Dice) {
    client.send(&Request::get("/who"));
    client.half_close();
    let answer = client.read_to_close();
    assert!(
        answer.is_empty() || answer.starts_with(b"HTTP/1.1 200"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
}

fn crawl(mut client: Client, dice: &mut Dice) {
    let bytes = client.bytes_of(&Request::post("/sum", vec![b'x'; 300]));
    for piece in bytes.chunks(20 + dice.below(40)) {
        client.send_raw(piece);
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(client.read_answer().ok().json()["length"], 300);
}

fn pipeline_and_leave(mut client: Client, dice: &mut Dice) {
    let requests: Vec<u8> = (0..3)
        .flat_map(|_| client.bytes_of(&Request::get("/who")))
        .collect();
    client.send_raw(&requests);
    for _ in 0..dice.below(3) {
        client.read_answer().ok();
    }
}

#[test]
fn two_hundred_unruly_clients_lose_and_double_no_token() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 8));
    let seed = Dice::seed(1);
    all_at_once(200, |number| {
        let mut dice = Dice::new(seed.wrapping_add(number as u64));
        for _ in 0..5 {
            let misdeed = *dice.pick(&MISDEEDS);
            misdeed(proxy.client(&upstream), &mut dice);
        }
    });
    proxy.wait_until_all_is_back(8);
    upstream.assert_clean();
    assert_eq!(proxy.status().worker_restarts, 0);
    // And each of the eight still serves.
    let mut clients: Vec<Client> = (0..8).map(|_| proxy.client(&upstream)).collect();
    clients
        .iter_mut()
        .for_each(|client| drop(client.get("/who").ok()));
    upstream.assert_clean();
}

/// With the only token taken, `leave` a line of ten, and see it empty.
fn a_line_of_ten_is_left(request: &Request, leave: fn(Client)) {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 1));
    let mut holder = proxy.client(&upstream);
    holder.get("/who").ok();
    let mut line: Vec<Client> = (0..10).map(|_| proxy.client(&upstream)).collect();
    line.iter_mut().for_each(|client| client.send(request));
    wait_until("ten wait", || proxy.pool().waiting == 10);
    line.into_iter().for_each(leave);
    wait_until("nobody waits", || proxy.pool().waiting == 0);
    assert_eq!(proxy.pool().in_use, 1, "no token was touched");
    holder.get("/who").ok();
    assert_eq!(
        upstream.seen().len(),
        2,
        "nothing of those who left reached the upstream"
    );
    drop(holder);
    proxy.wait_until_all_is_back(1);
    proxy.client(&upstream).get("/who").ok();
    upstream.assert_clean();
}

#[test]
fn who_closes_while_waiting_leaves_the_line() {
    a_line_of_ten_is_left(&Request::get("/who"), drop);
}

#[test]
fn who_resets_while_waiting_leaves_the_line() {
    a_line_of_ten_is_left(&Request::get("/who"), Client::reset);
}

#[test]
fn who_closes_while_waiting_with_a_body_sent_leaves_the_line() {
    a_line_of_ten_is_left(&Request::post("/sum", vec![b'x'; 20_000]), drop);
}

#[test]
fn who_resets_while_waiting_with_a_body_sent_leaves_the_line() {
    a_line_of_ten_is_left(&Request::post("/sum", vec![b'x'; 20_000]), Client::reset);
}

#[test]
fn a_head_that_never_ends_is_cut_off() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 1);
    let proxy = Proxy::start(&settings.set("lease.idle_timeout_seconds", 1));
    let mut fresh = proxy.client(&upstream);
    fresh.send_raw(b"GET /who HTTP/1.1\r\nHost: a\r\nX-Half");
    let mut used = proxy.client(&upstream);
    used.get("/who").ok();
    used.send_raw(b"GET /who HTTP/1.1\r\nHost: a\r\nX-Half");
    for mut client in [fresh, used] {
        let end = client.read_to_close();
        assert!(
            end.is_empty() || end.starts_with(b"HTTP/1.1 4"),
            "{}",
            String::from_utf8_lossy(&end)
        );
    }
    proxy.wait_until_all_is_back(1);
}

#[test]
fn a_head_that_trickles_without_end_is_cut_off() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 1);
    let proxy = Proxy::start(&settings.set("lease.idle_timeout_seconds", 1));
    let mut client = proxy.client(&upstream);
    client.get("/who").ok();
    client.send_raw(b"GET /who HTTP/1.1\r\nHost: a\r\nX-Long: ");
    // Each byte alone keeps a read timeout from running out.
    let trickle = |client: &mut Client| {
        thread::sleep(Duration::from_millis(100));
        client.send_raw(b"x");
    };
    wait_until("the one who trickles is told", || {
        trickle(&mut client);
        !client.is_idle()
    });
    assert_eq!(client.read_answer().status, 408);
    // What it still sends is read for a while, lest the answer be lost; its token is not held for that.
    wait_until("the token is back", || {
        trickle(&mut client);
        proxy.pool().available == 1
    });
    assert_eq!(client.read_to_close(), b"");
}

#[test]
fn a_client_that_does_not_read_holds_up_nobody_else() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(
        &Settings::in_front_of(&upstream)
            .accounts(&upstream, 2)
            .workers(1),
    );
    let mut deaf = proxy.client(&upstream);
    deaf.send(&Request::get("/bytes/50000000"));
    wait_until("it is served", || proxy.pool().in_use == 1);
    for _ in 0..5 {
        proxy.client(&upstream).get("/who").ok();
    }
    deaf.reset();
    proxy.wait_until_all_is_back(2);
    upstream.assert_clean();
}
