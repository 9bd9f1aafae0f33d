//! A backend that keeps failing real requests is left out for a while, never too many of them, and by all workers at once.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
};

use crate::common::{origin::Origin, proxy::Proxy, settings::Settings, wait_until};
use tpp::control::EjectionStatus;

const NAMES: [&str; 3] = ["one", "two", "three"];

/// Health checks that always pass, three backends of one tag, and three workers.
fn settings(origins: &[Origin], base_seconds: u32) -> Settings {
    let tables = origins.iter().map(|origin| origin.table("\"a\"", ""));
    let host = "\n[[virtual_hosts]]\ndomain = \"default\"\nenabled_backends_tag = \"a\"\n";
    Settings::of_gateway()
        .set("workers.count", 3)
        .set("outlier.enabled", true)
        .set("outlier.base_seconds", base_seconds)
        .further(&(host.to_owned() + &tables.collect::<String>()))
}

fn origins() -> Vec<Origin> {
    NAMES.iter().map(|name| Origin::start(name)).collect()
}

/// Statuses of so many requests, each over a connection of its own, by who answered.
fn ask(proxy: &Proxy, count: usize) -> BTreeMap<(String, u16), usize> {
    let mut answers = BTreeMap::new();
    for _ in 0..count {
        let mut stream = TcpStream::connect(proxy.address()).expect("connect");
        let request = "GET /who HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("send");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let status = answer.split(' ').nth(1).expect("a status line");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a whole head");
        let key = (body.to_owned(), status.parse().expect("a number"));
        *answers.entry(key).or_default() += 1;
    }
    answers
}

fn ejections(proxy: &Proxy, name: &str) -> f64 {
    let metric = format!("tpp_backend_ejections_total{{backend=\"{name}\"}}");
    proxy.metric(&metric).expect("it is counted")
}

fn is_out(proxy: &Proxy, name: &str) -> bool {
    let metric = format!("tpp_backend_ejected{{backend=\"{name}\"}}");
    proxy.metric(&metric).expect("it is shown") > 0.0
}

/// How this one is left out, as `tppctl` learns it.
fn ejected(proxy: &Proxy, name: &str) -> EjectionStatus {
    let backends = proxy.status().gateway.backends;
    let one = backends.into_iter().find(|one| one.id == name);
    one.and_then(|one| one.ejected).expect("it is left out")
}

/// Asks until this one is left out.
fn until_out(proxy: &Proxy, name: &str) {
    wait_until(&format!("{name} is left out"), || {
        ask(proxy, 3);
        is_out(proxy, name)
    });
}

#[test]
fn who_fails_five_in_a_row_is_left_out_by_all_workers_and_comes_back() {
    let origins = origins();
    let proxy = Proxy::start_without_tokens(&settings(&origins, 4));
    assert_eq!(ask(&proxy, 12).len(), 3, "all serve");
    origins[0].set_fails(true);
    // Four in a row are not enough: over all workers each third request is for it.
    let few = ask(&proxy, 12);
    assert_eq!(few[&("one".to_owned(), 500)], 4, "{few:?}");
    origins[0].set_fails(false);
    ask(&proxy, 3);
    assert_eq!(ejections(&proxy, "one"), 0.0, "a success ends the row");
    origins[0].set_fails(true);
    until_out(&proxy, "one");
    let asked = origins[0].asked().len();
    let others = ask(&proxy, 30);
    assert!(
        others
            .keys()
            .all(|(name, status)| name != "one" && *status == 200),
        "{others:?}"
    );
    assert_eq!(origins[0].asked().len(), asked, "it is not asked");
    origins[0].set_fails(false);
    wait_until("it is back", || {
        ask(&proxy, 3).contains_key(&("one".to_owned(), 200))
    });
    assert_eq!(ejections(&proxy, "one"), 1.0);
    wait_until("that is said", || {
        proxy.log().contains("no longer left out")
    });
}

#[test]
fn never_more_than_half_are_left_out_and_the_next_supervisor_knows() {
    let origins = origins();
    let mut proxy = Proxy::start_without_tokens(&settings(&origins, 3600));
    origins[0].set_fails(true);
    until_out(&proxy, "one");
    origins.iter().for_each(|origin| origin.set_fails(true));
    let failing = ask(&proxy, 60);
    let alike = [("three".to_owned(), 500), ("two".to_owned(), 500)];
    assert_eq!(failing.keys().cloned().collect::<Vec<_>>(), alike);
    let total: f64 = NAMES.iter().map(|name| ejections(&proxy, name)).sum();
    assert_eq!(total, 1.0, "half of three is one");
    let before = ejected(&proxy, "one");
    let since = before.since.expect("it is known");
    assert_eq!(before.until - since, 3600, "{before:?}");
    assert!(
        (3000..=3600).contains(&before.remaining_seconds),
        "{before:?}"
    );
    assert!(
        before.reason.ends_with(" requests in a row failed"),
        "{before:?}"
    );
    let shown = proxy.ctl(&["backends"]).out;
    assert!(shown.contains(&before.reason), "{shown}");
    assert!(shown.contains("left out for "), "{shown}");
    origins.iter().for_each(|origin| origin.set_fails(false));
    proxy.kill_supervisor();
    proxy.start_successor();
    let after = ask(&proxy, 30);
    assert!(
        after
            .keys()
            .all(|(name, status)| name != "one" && *status == 200),
        "{after:?}"
    );
    assert!(is_out(&proxy, "one") && ejections(&proxy, "one") == 1.0);
    let told = ejected(&proxy, "one");
    // Both are rounded to a second.
    assert!(told.until.abs_diff(before.until) <= 1, "{told:?}");
    assert_eq!(told.times, 1);
    assert_eq!(told.reason, before.reason);
}

#[test]
fn the_only_one_is_never_left_out() {
    let origins = [Origin::start("one")];
    let proxy = Proxy::start_without_tokens(&settings(&origins, 3600));
    origins[0].set_fails(true);
    let answers = ask(&proxy, 30);
    assert_eq!(answers[&("one".to_owned(), 500)], 30);
    origins[0].set_fails(false);
    assert_eq!(ask(&proxy, 1)[&("one".to_owned(), 200)], 1);
    assert_eq!(ejections(&proxy, "one"), 0.0);
}
