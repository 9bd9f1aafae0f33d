//! Whom the door lets in, and how it speaks to whom it does not.

use std::{
    io::{Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
};

use serde_json::{Value, json};

use crate::{
    asking::{Asking, DESCRIPTION, address_of, settings},
    common::{
        client::Client, message::Request, proxy::Proxy, settings::DIRECTORY, upstream::Upstream,
    },
};

/// A tpp with an API and one token.
fn tpp(upstream: &Upstream) -> Proxy {
    Proxy::start(&settings(upstream).accounts(upstream, 1))
}

#[test]
fn every_path_takes_the_methods_that_are_described_and_no_others() {
    let upstream = Upstream::start();
    let proxy = tpp(&upstream);
    let address = address_of(&proxy);
    for (path, methods) in DESCRIPTION["paths"].as_object().unwrap() {
        let path = ["{name}", "{slot}", "{domain}", "{id}"]
            .iter()
            .fold(path.clone(), |path, place| path.replace(place, "7"));
        let answer = Client::connect(address).ask(&Request::new("OPTIONS", &path));
        assert_eq!(answer.status, 204, "{path}");
        let allow = answer.head.field("allow").unwrap_or_default();
        let mut allowed: Vec<_> = allow.split(',').filter(|one| *one != "HEAD").collect();
        let mut described: Vec<_> = methods
            .as_object()
            .unwrap()
            .keys()
            .filter(|key| *key != "parameters")
            .map(|method| method.to_uppercase())
            .collect();
        allowed.sort_unstable();
        described.sort_unstable();
        assert_eq!(allowed, described, "{path}");
        let answer = Client::connect(address).ask(&Request::new("TRACE", &path));
        assert_eq!(answer.status, 405, "{path}");
        assert_eq!(answer.head.field("allow"), Some(allow), "{path}");
        assert_eq!(answer.json()["status"], 405);
    }
}

#[test]
fn what_is_not_there_is_said_in_one_body_of_the_type_that_was_asked_for() {
    let upstream = Upstream::start();
    let proxy = tpp(&upstream);
    let asking = Asking::of(&proxy);
    let answer = asking.get("/nothing");
    assert_eq!(answer.status, 404);
    assert_eq!(answer.head.field("content-type"), Some("application/json"));
    let wanted = Request::get("/api/v1/pools/none").field("Accept", "application/problem+json");
    let answer = asking.send(wanted, "GET", "/pools/none");
    assert_eq!(answer.status, 404);
    assert_eq!(
        answer.head.field("content-type"),
        Some("application/problem+json")
    );
    let body = answer.json();
    assert_eq!(body["title"], "Not Found");
    assert_eq!(body["error"], "Not Found");
    assert_eq!(body["detail"], "there is no pool \"none\"");
}

#[test]
fn a_body_that_cannot_be_read_is_refused_by_its_fault() {
    let upstream = Upstream::start();
    let proxy = tpp(&upstream);
    let asking = Asking::of(&proxy);
    let path = "/pools/default/refresh";
    let sent = |media: Option<&str>, body: Vec<u8>| {
        let request = Request::post(&format!("/api/v1{path}"), body);
        let request = match media {
            Some(media) => request.field("Content-Type", media),
            None => request,
        };
        asking.send(request, "POST", path)
    };
    let json = Some("application/json; charset=utf-8");
    for (media, body, status) in [
        (json, b"{".to_vec(), 400),
        (json, b"[]".to_vec(), 400),
        (json, b"\"user1\"".to_vec(), 400),
        (json, b"\xff".to_vec(), 400),
        (json, vec![b'['; 1000], 400),
        (json, vec![b' '; (1 << 20) + 1], 413),
        (None, b"{}".to_vec(), 415),
        (Some("text/plain"), b"{}".to_vec(), 415),
        (
            Some("application/x-www-form-urlencoded"),
            b"a=b".to_vec(),
            415,
        ),
        (Some("application/merge-patch+json"), b"{}".to_vec(), 415),
        (json, b"{}".to_vec(), 200),
    ] {
        let length = body.len();
        assert_eq!(
            sent(media, body).status,
            status,
            "{media:?}, {length} bytes"
        );
    }
    for (body, field) in [
        (json!({"user": 1}), "user"),
        (json!({"users": "a"}), "users"),
    ] {
        let answer = asking.post(path, Some(body));
        assert_eq!(answer.status, 400);
        assert_eq!(answer.json()["field"], field);
    }
}

#[test]
fn a_page_that_is_not_meant_is_refused_and_one_that_is_may_read() {
    let upstream = Upstream::start();
    let page = "https://console.example.com";
    let settings = settings(&upstream).set("api.cors_origins", format!("[\"{page}\"]"));
    let proxy = Proxy::start(&settings.accounts(&upstream, 1));
    let asking = Asking::of(&proxy);
    let from = |name: &str, value: &str| {
        asking.send(
            Request::get("/api/v1/health").field(name, value),
            "GET",
            "/health",
        )
    };
    for (name, value) in [
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
        ("Sec-Fetch-Site", "cross-site"),
    ] {
        let answer = from(name, value);
        assert_eq!(answer.status, 403, "{name}: {value}");
        assert_eq!(answer.head.field("access-control-allow-origin"), None);
    }
    let answer = from("Origin", page).ok();
    assert_eq!(answer.head.field("access-control-allow-origin"), Some(page));
    // What a page asks first is answered before any token is asked for.
    let question = Request::new("OPTIONS", "/api/v1/pools/default/pause")
        .field("Origin", page)
        .field("Access-Control-Request-Method", "POST");
    let answer = Client::connect(address_of(&proxy)).ask(&question);
    assert_eq!(answer.status, 204);
    assert_eq!(answer.head.field("access-control-allow-origin"), Some(page));
    let methods = answer.head.field("access-control-allow-methods");
    assert!(
        methods.is_some_and(|methods| methods.contains("PATCH")),
        "{methods:?}"
    );
}

#[test]
fn a_name_that_was_made_to_lead_here_is_refused() {
    let upstream = Upstream::start();
    let proxy = tpp(&upstream);
    let address = address_of(&proxy);
    let status = |host: &str| {
        let mut client = Client::connect(address);
        client.send_raw(
            format!("GET /api/v1/health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
                .as_bytes(),
        );
        client.read_answer().status
    };
    assert_eq!(status(&address.to_string()), 200);
    assert_eq!(status(&format!("localhost:{}", address.port())), 200);
    assert_eq!(status("tpp.test:80"), 200);
    assert_eq!(status("evil.example"), 403);
    assert_eq!(status(&format!("evil.example:{}", address.port())), 403);
}

#[test]
fn a_unix_socket_is_its_owners_alone_and_goes_with_tpp() {
    let upstream = Upstream::start();
    let settings = settings(&upstream).set("api.listen", format!("\"unix:{DIRECTORY}/api.sock\""));
    let mut proxy = Proxy::start(&settings.accounts(&upstream, 1));
    let path = proxy.directory().join("api.sock");
    assert_eq!(
        proxy.status().api_listen,
        Some(format!("unix:{}", path.display()))
    );
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream
        .write_all(b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    proxy.signal_supervisor(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(proxy.wait_for_exit().code(), Some(0));
    proxy.assert_gone();
    assert!(!path.exists());
}

#[test]
fn without_a_table_there_is_no_api() {
    let upstream = Upstream::start();
    let plain = crate::common::settings::Settings::in_front_of(&upstream);
    let proxy = Proxy::start(&plain.accounts(&upstream, 1));
    assert_eq!(proxy.status().api_listen, None);
    let metrics = proxy.health("/metrics").ok().text();
    let names = |text: &str| {
        let lines = text.lines().filter(|line| line.starts_with("# TYPE"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    for path in ["/api/v1/metrics", "/api/gateway/metrics"] {
        assert_eq!(
            names(&proxy.health(path).ok().text()),
            names(&metrics),
            "{path}"
        );
    }
}

#[test]
fn the_api_stays_where_it_is_through_an_upgrade() {
    let upstream = Upstream::start();
    let proxy = tpp(&upstream);
    let before = address_of(&proxy);
    assert_eq!(proxy.ctl(&["upgrade"]).code, Some(0));
    assert_eq!(address_of(&proxy), before);
    let health: Value = Asking::of(&proxy).get("/health").ok().json();
    assert_eq!(health["status"], "healthy", "{health}");
}
