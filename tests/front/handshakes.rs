//! Who is shown what, and whose handshake comes to nothing.

use std::io::{Read, Write};

use super::{
    browser::{Browser, dial},
    common::wait_until,
    scene::{DEFAULT_HOST, Scene, secure},
};

const FULL: &str = "tpp_tls_handshakes_total{result=\"full\"}";
const RESUMED: &str = "tpp_tls_handshakes_total{result=\"resumed\"}";
pub(crate) const FAILED: &str = "tpp_tls_handshakes_total{result=\"failed\"}";

#[test]
fn a_certificate_is_chosen_by_the_name_that_is_asked_for() {
    let scene = Scene::new("", DEFAULT_HOST);
    let (scene, exact) = scene.certificate("exact", &["a.test"]);
    let (scene, wild) = scene.certificate("wild", &["*.wild.test", "127.0.0.2"]);
    let scene = scene.set("tls.default_certificate", "\"wild\"");
    let proxy = scene.start();
    let browser = Browser::trusting(&scene.authority);
    for (name, expected) in [
        ("a.test", &exact),
        ("A.TEST", &exact),
        ("b.wild.test", &wild),
        // No name is sent for an address.
        ("127.0.0.2", &wild),
    ] {
        let mut client = browser.connect(secure(&proxy), name).expect(name);
        assert_eq!(client.shown(), expected.der, "{name}");
        assert_eq!(client.get(name, "/").expect(name).status, 200, "{name}");
    }
    // The name in capitals is the same one: its session goes on.
    let counts = [FULL, RESUMED, FAILED].map(|result| proxy.metric(result));
    assert_eq!(counts, [Some(3.0), Some(1.0), Some(0.0)]);
}

#[test]
fn a_host_may_name_the_certificate_that_is_shown_for_it() {
    let host = "\n[[virtual_hosts]]\ndomain = \"b.test\"\nenabled_backends_tag = \"a\"\ncertificate = \"two\"\n";
    let scene = Scene::new("", host);
    let (scene, _) = scene.certificate("one", &["b.test"]);
    let (scene, two) = scene.certificate("two", &["b.test"]);
    let proxy = scene.start();
    let browser = Browser::trusting(&scene.authority);
    let client = browser
        .connect(secure(&proxy), "b.test")
        .expect("a handshake");
    assert_eq!(client.shown(), two.der);
}

#[test]
fn without_a_default_a_name_that_no_certificate_is_for_is_told_so() {
    let (scene, _) = Scene::new("", DEFAULT_HOST).certificate("one", &["a.test"]);
    let proxy = scene.start();
    let browser = Browser::trusting(&scene.authority);
    for name in ["b.test", "127.0.0.2"] {
        let refused = browser.connect(secure(&proxy), name).err();
        let refused = refused.expect("it is refused").to_string();
        assert!(refused.contains("UnrecognisedName"), "{name}: {refused}");
    }
    wait_until("both are counted", || proxy.metric(FAILED) == Some(2.0));
    let mut client = browser.connect(secure(&proxy), "a.test").expect("a.test");
    assert_eq!(client.get("a.test", "/").expect("an answer").body, "one");
}

#[test]
fn an_older_version_than_may_be_is_refused() {
    let (scene, _) = Scene::new("", DEFAULT_HOST).certificate("one", &["a.test"]);
    let proxy = scene.start();
    let old = Browser::old(&scene.authority);
    assert!(old.connect(secure(&proxy), "a.test").is_ok());
    drop(proxy);
    let scene = scene.set("tls.min_version", "\"1.3\"");
    let proxy = scene.start();
    assert!(old.connect(secure(&proxy), "a.test").is_err());
    let new = Browser::trusting(&scene.authority);
    assert!(new.connect(secure(&proxy), "a.test").is_ok());
}

#[test]
fn of_the_ciphers_that_both_speak_the_first_of_the_servers_is_taken() {
    use rustls::CipherSuite::{
        TLS13_AES_128_GCM_SHA256 as SHORT, TLS13_AES_256_GCM_SHA384 as LONG,
        TLS13_CHACHA20_POLY1305_SHA256 as OTHER,
    };
    let (scene, _) = Scene::new("", DEFAULT_HOST).certificate("one", &["a.test"]);
    let proxy = scene.start();
    for (offered, taken) in [
        (&[OTHER, SHORT, LONG][..], LONG),
        (&[LONG, SHORT, OTHER], LONG),
        (&[OTHER, SHORT], SHORT),
        (&[OTHER], OTHER),
    ] {
        let browser = Browser::offering(&scene.authority, offered);
        let client = browser.connect(secure(&proxy), "a.test");
        assert_eq!(client.expect("a handshake").suite(), Some(taken));
    }
}

#[test]
fn a_handshake_that_never_ends_is_let_go_and_disturbs_nobody() {
    let (scene, _) = Scene::new("", DEFAULT_HOST).certificate("one", &["a.test"]);
    let scene = scene.set("tls.handshake_timeout_seconds", 1);
    let proxy = scene.start();
    let mut silent: Vec<_> = (0..20)
        .map(|_| dial(secure(&proxy)).expect("connect"))
        .collect();
    for (at, client) in silent.iter_mut().enumerate() {
        // Some say a little.
        client.write_all(&[22, 3, 1][..at % 4]).expect("send");
    }
    let browser = Browser::trusting(&scene.authority);
    let mut client = browser.connect(secure(&proxy), "a.test").expect("a.test");
    assert_eq!(client.get("a.test", "/").expect("an answer").status, 200);
    for client in &mut silent {
        let mut rest = Vec::new();
        // An alert, or nothing: then the end.
        let _ = client.read_to_end(&mut rest);
    }
    wait_until("all are counted", || proxy.metric(FAILED) == Some(20.0));
    assert_eq!(client.get("a.test", "/").expect("an answer").status, 200);
}

#[test]
fn many_who_say_nothing_hold_up_nobody() {
    let (scene, _) = Scene::new("", DEFAULT_HOST).certificate("one", &["a.test"]);
    // Longer than anything is waited for: none of them is let go for its time.
    let scene = scene.set("tls.handshake_timeout_seconds", 300);
    let scene = scene.set("workers.count", 1);
    let proxy = scene.start();
    let silent: Vec<_> = (0..400)
        .map(|_| dial(secure(&proxy)).expect("connect"))
        .collect();
    let browser = Browser::trusting(&scene.authority);
    let mut client = browser.connect(secure(&proxy), "a.test").expect("a.test");
    assert_eq!(client.get("a.test", "/").expect("an answer").status, 200);
    wait_until("the oldest made room", || {
        proxy.metric(FAILED) >= Some(400.0 - 256.0)
    });
    drop(silent);
}

#[test]
fn a_stop_does_not_wait_for_a_handshake() {
    let (scene, _) = Scene::new("", DEFAULT_HOST).certificate("one", &["a.test"]);
    let scene = scene
        .set("tls.handshake_timeout_seconds", 300)
        .set("workers.drain_timeout_seconds", 120);
    let proxy = scene.start();
    let client = dial(secure(&proxy)).expect("connect");
    wait_until("it is accepted", || {
        proxy.workers().iter().any(|worker| worker.connections > 0)
    });
    // What `drop` waits for is less than the time to drain.
    drop(proxy);
    drop(client);
}

#[test]
fn a_session_goes_on_at_whichever_worker_its_client_meets() {
    let (scene, _) = Scene::new("", DEFAULT_HOST).certificate("one", &["a.test"]);
    let scene = scene.set("workers.count", 3);
    let proxy = scene.start();
    for browser in [
        Browser::trusting(&scene.authority),
        Browser::old(&scene.authority),
    ] {
        let mut first = browser.connect(secure(&proxy), "a.test").expect("a.test");
        assert!(!first.is_resumed());
        // Tickets come behind the handshake.
        assert_eq!(first.get("a.test", "/").expect("an answer").status, 200);
        for _ in 0..12 {
            let mut next = browser.connect(secure(&proxy), "a.test").expect("a.test");
            assert!(next.is_resumed());
            assert_eq!(next.get("a.test", "/").expect("an answer").status, 200);
        }
    }
    assert_eq!(proxy.metric(RESUMED), Some(24.0));
    let met = proxy.workers();
    assert!(
        met.iter().filter(|one| one.requests > 0).count() > 1,
        "{met:?}"
    );
}

#[test]
fn clients_show_certificates_where_they_must() {
    let listener = "client_certificates = \"required\"\nclient_ca_file = \"clients.pem\"";
    let (scene, _) = Scene::new(listener, DEFAULT_HOST).certificate("one", &["a.test"]);
    let settings = scene
        .settings
        .clone()
        .file("clients.pem", &scene.authority.pem());
    let scene = Scene { settings, ..scene };
    let proxy = scene.start();
    let reaches = |browser: &Browser| {
        let client = browser.connect(secure(&proxy), "a.test");
        // With TLS 1.3 a client learns with its first answer that it is not let in.
        client
            .and_then(|mut client| client.get("a.test", "/"))
            .is_ok()
    };
    let own = scene.authority.issue_to_client();
    let strangers = super::browser::Authority::new();
    let foreign = strangers.issue_to_client();
    assert!(reaches(&Browser::showing(&scene.authority, &own)));
    assert!(!reaches(&Browser::showing(&scene.authority, &foreign)));
    assert!(!reaches(&Browser::trusting(&scene.authority)));
    drop(proxy);
    let settings = scene
        .settings
        .clone()
        .replace("\"required\"", "\"optional\"");
    let scene = Scene { settings, ..scene };
    let proxy = scene.start();
    let reaches = |browser: &Browser| {
        let client = browser.connect(secure(&proxy), "a.test");
        client
            .and_then(|mut client| client.get("a.test", "/"))
            .is_ok()
    };
    assert!(reaches(&Browser::showing(&scene.authority, &own)));
    assert!(reaches(&Browser::trusting(&scene.authority)));
    assert!(!reaches(&Browser::showing(&scene.authority, &foreign)));
}

#[test]
fn what_the_default_host_names_is_not_shown_to_those_who_ask_for_another_name() {
    let host = DEFAULT_HOST.replace(
        "domain = \"default\"",
        "domain = \"default\"\ncertificate = \"one\"",
    );
    let (scene, _) = Scene::new("", &host).certificate("one", &["a.test"]);
    let (scene, two) = scene.certificate("two", &["b.test"]);
    let proxy = scene.start();
    let browser = Browser::trusting(&scene.authority);
    let client = browser.connect(secure(&proxy), "b.test");
    assert_eq!(client.expect("a handshake").shown(), two.der);
    let refused = browser.connect(secure(&proxy), "c.test").err();
    let refused = refused.expect("it is refused").to_string();
    assert!(refused.contains("UnrecognisedName"), "{refused}");
}
