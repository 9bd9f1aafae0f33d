//! A change by API is there whole or not at all, wherever the supervisor is killed.

use std::{
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    thread,
    time::Duration,
};

use serde_json::json;

use crate::{
    asking::{Asking, address_of, gateway, host},
    common::{
        client::Client, dice::Dice, message::Request, origin::Origin, proxy::Proxy, wait_until,
    },
};

/// Supervisors that are killed.
const KILLS: u64 = 12;

/// Gives two keys of one host the same number, the next one each time, until nobody answers any more. `asked` and `answered` are the
/// last ones.
fn change_on(to: std::net::SocketAddr, asked: &AtomicU64, answered: &AtomicU64) {
    loop {
        let number = asked.fetch_add(1, SeqCst) + 1;
        let body = json!({"hsts_seconds": number, "max_concurrent": number});
        let request = Request::new("PATCH", "/api/v1/domains/default")
            .field("Content-Type", "application/json")
            .with_body(body.to_string());
        let Ok(mut client) = Client::try_connect(to) else {
            return;
        };
        match client.try_ask(&request) {
            Ok(answer) if answer.status == 200 => answered.store(number, SeqCst),
            _ => return,
        }
    }
}

#[test]
fn a_change_is_there_whole_or_not_at_all_whenever_the_supervisor_is_killed() {
    let one = Origin::start("one");
    let tables = one.table("\"a\"", "") + &host("default", "a");
    let mut proxy = Proxy::start_without_tokens(&gateway(&tables));
    let (asked, answered) = (AtomicU64::new(0), AtomicU64::new(0));
    let mut dice = Dice::new(7);
    for _ in 0..KILLS {
        let before = answered.load(SeqCst);
        let to = address_of(&proxy);
        thread::scope(|scope| {
            scope.spawn(|| change_on(to, &asked, &answered));
            wait_until("changes are made", || answered.load(SeqCst) > before);
            // Anywhere between one answer and the next.
            thread::sleep(Duration::from_micros(dice.below(20_000) as u64));
            proxy.kill_supervisor();
        });
        proxy.start_successor();
        let shown = Asking::of(&proxy).get("/domains/default").ok().json();
        let [hsts, most] = ["hsts_seconds", "max_concurrent"].map(|key| shown[key].as_u64());
        assert_eq!(hsts, most, "half a change: {shown}");
        let (first, last) = (answered.load(SeqCst), asked.load(SeqCst));
        let there = hsts.expect("a number");
        assert!(
            (first..=last).contains(&there),
            "{there} is kept, {first} was answered, {last} was asked for"
        );
        answered.store(there, SeqCst);
    }
}
