//! What is asked of whom: hosts that the certificate does not cover, hosts that are served with TLS alone, and what backends and
//! clients are told of it.

use serde_json::{Value, json};

use super::{
    browser::{Browser, ask, dial},
    common::{client::Client, message::Request},
    scene::{DEFAULT_HOST, Scene, secure},
};

const HOST: &str = "\n[[virtual_hosts]]\ndomain = \"a.test\"\nenabled_backends_tag = \"a\"\n\
                    http_to_https = true\nhsts_seconds = 31536000\n";

#[test]
fn a_host_that_the_certificate_does_not_cover_is_misdirected() {
    let (scene, _) = Scene::new("", DEFAULT_HOST).certificate("one", &["a.test", "b.test"]);
    let proxy = scene.start();
    let browser = Browser::trusting(&scene.authority);
    let mut client = browser.connect(secure(&proxy), "a.test").expect("a.test");
    for (host, status) in [
        ("a.test", 200),
        ("c.test", 421),
        ("B.test.:8443", 200),
        ("127.0.0.2", 421),
        ("a.test", 200),
    ] {
        let answer = client.get(host, "/").expect("an answer");
        assert_eq!(answer.status, status, "{host}: {answer:?}");
    }
    assert_eq!(scene.origin.asked().len(), 3);
    // Without TLS nobody was shown anything.
    let mut plain = dial(proxy.address()).expect("connect");
    assert_eq!(
        ask(&mut plain, "c.test", "/").expect("an answer").status,
        200
    );
}

#[test]
fn clients_without_tls_are_sent_to_it_and_those_with_it_are_told_to_stay() {
    let (scene, _) =
        Scene::new("", &(HOST.to_owned() + DEFAULT_HOST)).certificate("one", &["a.test", "b.test"]);
    let proxy = scene.start();
    let port = secure(&proxy).port();
    let mut plain = dial(proxy.address()).expect("connect");
    let answer = ask(&mut plain, "A.TEST:80", "/x?y=%20z").expect("an answer");
    assert_eq!(answer.status, 308);
    let there = format!("https://a.test:{port}/x?y=%20z");
    assert_eq!(answer.field("location"), Some(&*there));
    assert_eq!(answer.field("strict-transport-security"), None);
    assert_eq!(scene.origin.asked(), Vec::<String>::new());
    // The connection is good for more, and other hosts are served as ever.
    assert_eq!(
        ask(&mut plain, "b.test", "/").expect("an answer").status,
        200
    );
    let browser = Browser::trusting(&scene.authority);
    let mut client = browser.connect(secure(&proxy), "a.test").expect("a.test");
    for (host, told) in [
        ("a.test", Some("max-age=31536000")),
        ("b.test", None),
        ("a.test", Some("max-age=31536000")),
        ("c.test", None),
    ] {
        let answer = client.get(host, "/").expect("an answer");
        assert_eq!(answer.field("strict-transport-security"), told, "{host}");
    }
}

#[test]
fn a_cookie_that_is_set_over_tls_comes_back_over_tls_alone() {
    let stays = DEFAULT_HOST.to_owned() + "affinity = \"cookie\"\n";
    let (scene, _) = Scene::new("", &stays).certificate("one", &["a.test"]);
    let proxy = scene.start();
    let browser = Browser::trusting(&scene.authority);
    let mut client = browser.connect(secure(&proxy), "a.test").expect("a.test");
    let mut plain = dial(proxy.address()).expect("connect");
    let over_tls = client.get("a.test", "/").expect("an answer");
    let without = ask(&mut plain, "a.test", "/").expect("an answer");
    for (answer, end) in [
        (over_tls, "; SameSite=Lax; Secure"),
        (without, "; SameSite=Lax"),
    ] {
        let cookie = answer.field("set-cookie").expect("a cookie");
        assert!(
            cookie.starts_with("tpp_affinity=") && cookie.ends_with(end),
            "{cookie}"
        );
    }
}

#[test]
fn backends_are_told_how_the_client_came_and_the_log_says_it() {
    let (scene, _) = Scene::new("", DEFAULT_HOST).certificate("one", &["a.test"]);
    let scene = scene.set("telemetry.access_log", "\"{directory}/access.log\"");
    let proxy = scene.start();
    let browser = Browser::trusting(&scene.authority);
    let mut client = browser.connect(secure(&proxy), "a.test").expect("a.test");
    assert_eq!(client.get("a.test", "/tls").expect("an answer").status, 200);
    let mut plain = dial(proxy.address()).expect("connect");
    assert_eq!(
        ask(&mut plain, "a.test", "/plain")
            .expect("an answer")
            .status,
        200
    );
    let told: Vec<_> = scene
        .origin
        .asked()
        .iter()
        .map(|head| head.contains("X-Forwarded-Proto: https\r\n"))
        .collect();
    assert_eq!(told, [true, false]);
    let log = proxy.directory().join("access.log");
    super::common::wait_until("both stand in the log", || {
        let log = std::fs::read_to_string(&log).unwrap_or_default();
        let has = |path: &str, tls: &str| {
            let mut lines = log.lines();
            lines.any(|line| line.contains(path) && line.contains(tls))
        };
        has("\"/tls\"", "\"tls\":true") && has("\"/plain\"", "\"tls\":false")
    });
}

#[test]
fn who_came_by_tls_to_a_proxy_that_is_believed_is_not_sent_in_a_circle() {
    let (scene, _) = Scene::new("", HOST).certificate("one", &["a.test"]);
    let scene = scene.set("trusted_proxies", "[\"127.0.0.1\"]");
    let proxy = scene.start();
    let mut plain = dial(proxy.address()).expect("connect");
    for (told, status) in [("http", 308), ("https", 200)] {
        let path = format!("/ HTTP/1.1\r\nX-Forwarded-Proto: {told}\r\nX-Rest: ");
        let answer = ask(&mut plain, "a.test", path.trim_end()).expect("an answer");
        assert_eq!(answer.status, status, "{told}");
    }
}

#[test]
fn the_api_makes_no_host_that_sends_its_clients_where_nobody_is_served() {
    let (scene, _) = Scene::new("", DEFAULT_HOST).certificate("one", &["a.test"]);
    let scene = scene.set("api.listen", "\"127.0.0.1:0\"");
    let proxy = scene.set("api.allow_hosts", "[\"tpp.test\"]").start();
    let api = proxy.status().api_listen.expect("there is an API");
    let api = api.parse().expect("an address");
    let order = |method: &str, path: &str, body: &Value| {
        let request = Request::new(method, path).field("Content-Type", "application/json");
        Client::connect(api).ask(&request.with_body(body.to_string()))
    };
    let made = |domain: &str, key: &str, value: Value| {
        let body = json!({"domain": domain, "enabled_backends_tag": "a", key: value});
        order("POST", "/api/v1/domains", &body)
    };
    for (domain, key, value, why) in [
        (
            "b.test",
            "http_to_https",
            json!(true),
            "true, without a certificate for \"b.test\"",
        ),
        (
            "b.test",
            "certificate",
            json!("two"),
            "\"two\", which is no certificate",
        ),
        (
            "b.test",
            "certificate",
            json!("acme"),
            "\"acme\", while acme.enabled is false",
        ),
    ] {
        let refused = made(domain, key, value);
        assert_eq!(refused.status, 400, "{}", refused.text());
        let said = refused.json();
        assert_eq!(
            (&said["field"], &said["problems"][0]["found"]),
            (&json!(key), &json!(why))
        );
    }
    assert_eq!(made("a.test", "http_to_https", json!(true)).status, 201);
    // What is there is held to it as well.
    let other = json!({"certificate": "two"});
    let named = order("PATCH", "/api/v1/domains/a.test", &other);
    assert_eq!(
        (named.status, &named.json()["field"]),
        (400, &json!("certificate"))
    );
    let mut plain = dial(proxy.address()).expect("connect");
    assert_eq!(
        ask(&mut plain, "a.test", "/").expect("an answer").status,
        308
    );
}
