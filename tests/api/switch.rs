//! A switch under load.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    thread,
    time::Instant,
};

use serde_json::json;

use crate::{
    asking::{Asking, gateway, host},
    common::{client::Client, origin::Origin, proxy::Proxy, wait_until},
};

const CLIENTS: usize = 64;
/// Answers before, between and after the switches.
const ANSWERS: usize = 640;

/// When each request of one client began, and who answered it.
fn ask_on(proxy: &Proxy, done: &AtomicBool, answers: &AtomicUsize) -> Vec<(Instant, String)> {
    let mut seen = Vec::new();
    let mut client = Client::connect(proxy.address());
    while !done.load(SeqCst) {
        let began = Instant::now();
        let answer = client.get("/who").ok();
        if answer.closes() {
            client = Client::connect(proxy.address());
        }
        seen.push((began, answer.text()));
        answers.fetch_add(1, SeqCst);
    }
    seen
}

#[test]
fn no_request_fails_and_none_that_begins_after_the_answer_is_served_by_the_old_tag() {
    let (one, two) = (Origin::start("one"), Origin::start("two"));
    let tables = one.table("\"a\"", "") + &two.table("\"canary\"", "") + &host("tpp.test", "a");
    let proxy = Proxy::start_without_tokens(&gateway(&tables));
    let asking = Asking::of(&proxy);
    let (done, answers) = (AtomicBool::new(false), AtomicUsize::new(0));
    let go_on = || {
        let goal = answers.load(SeqCst) + ANSWERS;
        wait_until("clients are answered", || answers.load(SeqCst) >= goal);
    };
    thread::scope(|scope| {
        let ask = || ask_on(&proxy, &done, &answers);
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(ask)).collect();
        let mut switches = Vec::new();
        go_on();
        for (tag, name) in [("canary", "two"), ("a", "one"), ("canary", "two")] {
            let ordered = Instant::now();
            let body = json!({"new_tag": tag});
            asking.post("/domains/tpp.test/switch", Some(body)).ok();
            switches.push((ordered, Instant::now(), name));
            go_on();
        }
        done.store(true, SeqCst);
        for client in clients {
            for (began, name) in client.join().expect("no request fails") {
                // Of one that begins while a switch is under way either may be right.
                let settled = switches.iter().filter(|(_, answered, _)| *answered < began);
                let expected = settled.map(|(.., name)| *name).next_back().unwrap_or("one");
                let next = switches.iter().find(|(_, answered, _)| *answered >= began);
                let is_open = next.is_some();
                assert!(
                    name == expected || (is_open && next.is_some_and(|(.., to)| name == *to)),
                    "{name} answered a request that began when {expected} served alone"
                );
            }
        }
    });
}
