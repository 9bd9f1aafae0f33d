//! Certificates that are got, kept and renewed, and hosts that are not ours.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    thread,
};

use serde_json::json;

use super::{
    browser::{ask, dial},
    common::wait_until,
    pebble::Pebble,
    scene::{Scene, host, kept, orders, renewal, status},
};

/// Nobody is let in, and all are sent away before that.
const CLOSED: &str = "http_to_https = true\naccess = \"nobody\"";
const NOBODY: &str = "\n[[access]]\nname = \"nobody\"\ndeny = [\"0.0.0.0/0\"]\n";

#[test]
#[ignore = "it takes Debian's pebble: make acme"]
fn by_http_01_a_host_gets_its_certificate_and_keeps_it_over_restarts() {
    let hosts = host("a.acme.test", CLOSED) + NOBODY + &host("b.acme.test", "");
    let scene = Scene::plain(Pebble::started(&json!({})), &hosts);
    let mut proxy = scene.start();
    let browser = scene.pebble.browser();
    for name in ["a.acme.test", "b.acme.test"] {
        wait_until("it has its certificate", || {
            scene.shown(&browser, name).is_some()
        });
        assert_eq!(status(&proxy, name).hosts, [name]);
        assert_eq!(renewal(&proxy, name).state, "waiting");
    }
    let mut secure = browser
        .connect(scene.pebble.tls.address, "b.acme.test")
        .expect("a handshake");
    assert_eq!(
        secure.get("b.acme.test", "/").expect("an answer").status,
        200
    );
    // Nobody asks for a challenge any more.
    let mut plain = dial(scene.pebble.plain.address).expect("connect");
    let path = "/.well-known/acme-challenge/some-token";
    assert_eq!(
        ask(&mut plain, "a.acme.test", path)
            .expect("an answer")
            .status,
        308
    );
    let told = proxy.ctl(&["status"]).out;
    assert!(told.contains("acme:a.acme.test: good for"), "{told}");
    let name = "tpp_certificate_not_after_seconds{certificate=\"acme:a.acme.test\"}";
    assert_eq!(
        proxy.metric(name),
        Some(status(&proxy, "a.acme.test").not_after as f64)
    );
    let file = proxy
        .directory()
        .join("state/acme/certificates/a.acme.test.json");
    let mode = fs::metadata(file).expect("it is kept").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    assert_eq!((orders(&proxy, "issued"), kept(&proxy, "accounts")), (2, 1));
    let before = scene.shown(&browser, "a.acme.test");
    proxy.kill_supervisor();
    proxy.start_successor();
    assert_eq!(scene.shown(&browser, "a.acme.test"), before);
    let outcome = proxy.upgrade(None);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(scene.shown(&browser, "a.acme.test"), before);
    assert_eq!(renewal(&proxy, "a.acme.test").state, "waiting");
    for result in ["issued", "refused", "unreachable", "limited"] {
        assert_eq!(
            orders(&proxy, result),
            0,
            "{result}: nothing is ordered anew"
        );
    }
}

#[test]
#[ignore = "it takes Debian's pebble: make acme"]
fn by_tls_alpn_01_a_host_gets_its_certificate_where_there_is_tls_alone() {
    let pebble = Pebble::started(&json!({}));
    let clients = pebble.authority.pem();
    let listener = "client_certificates = \"optional\"\nclient_ca_file = \"clients.pem\"\n";
    let scene = Scene::secure(pebble, listener, &host("a.acme.test", ""));
    let scene = scene.file("clients.pem", &clients);
    let proxy = scene.start();
    let browser = scene.pebble.browser();
    wait_until("it has its certificate", || {
        scene.shown(&browser, "a.acme.test").is_some()
    });
    assert_eq!(
        (orders(&proxy, "issued"), orders(&proxy, "refused")),
        (1, 0)
    );
}

#[test]
#[ignore = "it takes Debian's pebble: make acme"]
fn a_certificate_is_renewed_before_it_ends_and_no_client_notices() {
    let short = json!({"certificateValidityPeriod": 30});
    let scene = Scene::plain(Pebble::started(&short), &host("a.acme.test", ""));
    let proxy = scene.start();
    let browser = scene.pebble.browser();
    wait_until("it has its certificate", || {
        scene.shown(&browser, "a.acme.test").is_some()
    });
    let first = scene.shown(&browser, "a.acme.test");
    let pids = proxy.worker_pids();
    wait_until("it has another one", || {
        let shown = scene.shown(&browser, "a.acme.test");
        assert!(shown.is_some(), "there is always one that is good");
        shown != first
    });
    assert_eq!((orders(&proxy, "issued"), kept(&proxy, "accounts")), (2, 1));
    assert_eq!(proxy.worker_pids(), pids, "no worker is replaced for it");
}

#[test]
#[ignore = "it takes Debian's pebble: make acme"]
fn a_host_that_is_not_ours_is_told_of_and_disturbs_no_other() {
    let pebble = Pebble::started(&json!({}));
    // Somebody else answers there.
    let other = ([127, 0, 0, 9], pebble.plain.address.port());
    let other = TcpListener::bind(std::net::SocketAddr::from(other)).expect("listen");
    thread::spawn(move || {
        for mut stream in other.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(
                b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nwrong",
            );
        }
    });
    pebble.lead("a.acme.test", "127.0.0.9");
    let hosts = host("a.acme.test", "") + &host("b.acme.test", "");
    let scene = Scene::plain(pebble, &hosts);
    let mut proxy = scene.start();
    let browser = scene.pebble.browser();
    wait_until("the other one has its certificate", || {
        scene.shown(&browser, "b.acme.test").is_some()
    });
    assert_eq!(scene.shown(&browser, "a.acme.test"), None);
    let said = renewal(&proxy, "a.acme.test");
    assert_eq!((&*said.state, said.failures), ("failing", 1));
    let words = said.error.expect("why");
    assert!(
        words.contains("unauthorized") && words.contains("wrong"),
        "{words}"
    );
    let told = proxy.ctl(&["status"]).out;
    assert!(told.contains("acme:a.acme.test: none yet"), "{told}");
    let ends = "tpp_certificate_not_after_seconds{certificate=\"acme:a.acme.test\"}";
    assert_eq!(proxy.metric(ends), None);
    let fails = "tpp_acme_failing{certificate=\"acme:a.acme.test\"}";
    assert_eq!(proxy.metric(fails), Some(1.0));
    // Another supervisor does not try at once what was refused.
    proxy.kill_supervisor();
    proxy.start_successor();
    let again = renewal(&proxy, "a.acme.test");
    assert_eq!((again.next_at, again.error), (said.next_at, Some(words)));
    assert_eq!(orders(&proxy, "refused"), 0);
}
