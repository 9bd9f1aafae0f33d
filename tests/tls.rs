//! TLS to the upstream: verified, or not at all by explicit choice.

use crate::common::{
    message::Request,
    proxy::Proxy,
    settings::{DIRECTORY, Settings},
    upstream::Upstream,
    wait_until,
};
use crate::tls_door::TlsDoor;

/// A tpp in front of a door of TLS, as `name`; what it trusts is still to be set.
fn behind(door: &TlsDoor, upstream: &Upstream, name: &str) -> Settings {
    let settings = Settings::in_front_of(upstream).accounts(upstream, 2);
    let settings = settings
        .set("upstream.tls", true)
        .set("upstream.host", format!("\"{name}\""));
    settings.set("upstream.port", door.address().port())
}

fn trusting(settings: Settings, door: &TlsDoor) -> Settings {
    settings
        .file("ca.pem", door.authority())
        .set("upstream.ca_file", format!("\"{DIRECTORY}/ca.pem\""))
}

/// tpp starts, but no login comes through, and it says why.
fn is_refused(settings: &Settings, upstream: &Upstream) {
    let proxy = Proxy::start_without_tokens(settings);
    wait_until("the failed login is shown", || {
        proxy.tokens()[0].last_error.is_some()
    });
    let error = proxy.tokens()[0].last_error.clone().unwrap_or_default();
    println!("{error}");
    assert!(error.to_lowercase().contains("certificate"), "{error}");
    assert_eq!(proxy.pool().total, 0);
    assert!(
        upstream.attempts().is_empty(),
        "the password was sent to nobody"
    );
}

#[test]
fn an_upstream_whose_certificate_is_trusted_is_logged_in_to_and_served_from() {
    let upstream = Upstream::start();
    let door = TlsDoor::to(upstream.address(), "localhost");
    let proxy = Proxy::start(&trusting(behind(&door, &upstream, "localhost"), &door));
    let mut client = proxy.client(&upstream);
    for _ in 0..3 {
        client.get("/who").ok();
    }
    assert!(client.get("/bytes/1000000").ok().body.len() == 1_000_000);
    upstream.expire_all();
    client.get("/who").ok();
    drop(client);
    proxy.wait_until_all_is_back(2);
    upstream.assert_clean();
}

#[test]
fn a_server_behind_tls_is_asked_by_its_own_name_unless_the_configuration_says_no() {
    let upstream = Upstream::start();
    let door = TlsDoor::to(upstream.address(), "localhost");
    let behind = trusting(behind(&door, &upstream, "localhost"), &door);
    let plain = Settings::in_front_of(&upstream).accounts(&upstream, 2);
    let own = format!("localhost:{}", door.address().port());
    let asked = "tpp.test".to_owned();
    for (settings, host) in [
        (behind.clone(), &own),
        (behind.set("upstream.host_header", "\"client\""), &asked),
        (plain, &asked),
    ] {
        let proxy = Proxy::start(&settings);
        let request = Request::get("/head");
        let head = proxy.client(&upstream).ask(&request).ok().json();
        let fields = head["fields"].as_array().expect("a list");
        let hosts: Vec<_> = fields
            .iter()
            .filter(|pair| {
                pair[0]
                    .as_str()
                    .is_some_and(|name| name.eq_ignore_ascii_case("host"))
            })
            .map(|pair| pair[1].as_str().expect("a string"))
            .collect();
        assert_eq!(hosts, [host]);
    }
    upstream.assert_clean();
}

#[test]
fn an_upstream_by_its_address_is_verified_too() {
    let upstream = Upstream::start();
    let door = TlsDoor::to(upstream.address(), "127.0.0.1");
    let proxy = Proxy::start(&trusting(behind(&door, &upstream, "127.0.0.1"), &door));
    proxy.client(&upstream).get("/who").ok();
    upstream.assert_clean();
}

#[test]
fn a_certificate_of_an_unknown_authority_is_refused() {
    let upstream = Upstream::start();
    let door = TlsDoor::to(upstream.address(), "localhost");
    is_refused(&behind(&door, &upstream, "localhost"), &upstream);
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let upstream = Upstream::start();
    let door = TlsDoor::to(upstream.address(), "another.example");
    is_refused(
        &trusting(behind(&door, &upstream, "localhost"), &door),
        &upstream,
    );
}

#[test]
fn a_certificate_for_another_name_is_refused_when_the_upstream_is_an_address() {
    let upstream = Upstream::start();
    let door = TlsDoor::to(upstream.address(), "localhost");
    is_refused(
        &trusting(behind(&door, &upstream, "127.0.0.1"), &door),
        &upstream,
    );
}

#[test]
fn who_chooses_not_to_verify_is_served_and_warned() {
    let upstream = Upstream::start();
    let door = TlsDoor::to(upstream.address(), "another.example");
    let proxy = Proxy::start(&behind(&door, &upstream, "localhost").set("upstream.verify", false));
    proxy.client(&upstream).get("/who").ok();
    let log = proxy.log();
    assert!(
        log.lines()
            .any(|line| line.contains("WARN") && line.contains("verif")),
        "the log warns"
    );
    upstream.assert_clean();
}

#[test]
fn an_upstream_that_does_not_speak_tls_is_an_error_and_not_the_end() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 1);
    let proxy = Proxy::start_without_tokens(&settings.set("upstream.tls", true));
    wait_until("the failed login is shown", || {
        proxy.tokens()[0].last_error.is_some()
    });
    assert_eq!(proxy.health("/livez").status, 200);
    assert!(upstream.attempts().is_empty());
}

#[test]
fn a_server_by_another_name_than_its_host_is_asked_for_and_verified_by_that() {
    let upstream = Upstream::start();
    let door = TlsDoor::to(upstream.address(), "db.example");
    let settings = trusting(behind(&door, &upstream, "127.0.0.1"), &door);
    let proxy = Proxy::start(&settings.set("upstream.server_name", "\"db.example\""));
    let mut client = proxy.client(&upstream);
    client.get("/who").ok();
    upstream.expire_all();
    client.get("/who").ok();
    drop(client);
    proxy.wait_until_all_is_back(2);
    upstream.assert_clean();
}
