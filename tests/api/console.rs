//! The console's files, and the events that it lives by.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use serde_json::{Value, json};

use crate::{
    asking::{Asking, address_of, settings},
    common::{client::Client, message::Request, proxy::Proxy, upstream::Upstream, wait_until},
};

fn tpp(upstream: &Upstream) -> Proxy {
    Proxy::start(&settings(upstream).accounts(upstream, 1))
}

/// One who listens, and what it was told so far.
struct Listener {
    stream: TcpStream,
    told: String,
}

impl Listener {
    fn of(proxy: &Proxy) -> Self {
        let mut stream = TcpStream::connect(address_of(proxy)).expect("connect");
        let request = "GET /api/v1/events HTTP/1.1\r\nHost: tpp.test\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("send");
        Self {
            stream,
            told: String::new(),
        }
    }

    /// Reads until it has so many of these.
    fn read_until(&mut self, count: usize, what: &str) {
        let mut part = [0; 65536];
        while self.told.matches(what).count() < count {
            let read = self.stream.read(&mut part).expect("it goes on");
            assert!(read > 0, "it ends: {}", self.told);
            self.told += &String::from_utf8_lossy(&part[..read]);
        }
    }

    /// The data of the last event that is whole.
    fn last(&self) -> Value {
        let data = self
            .told
            .rsplit("data: ")
            .find(|part| part.contains("\n\n"));
        let line = data.and_then(|part| part.lines().next());
        serde_json::from_str(line.expect("an event")).expect("JSON")
    }
}

#[test]
fn the_page_and_its_files_are_served_to_whoever_reaches_it_and_keep_to_themselves() {
    let upstream = Upstream::start();
    let settings = settings(&upstream)
        .accounts(&upstream, 1)
        .set("api.tokens_file", "\"api-tokens\"")
        .file("api-tokens", &format!("nobody:read:{}\n", "0".repeat(64)));
    let proxy = Proxy::start(&settings);
    let address = address_of(&proxy);
    let get = |path: &str| Client::connect(address).ask(&Request::get(path));
    let page = get("/").ok();
    let policy = page
        .head
        .field("content-security-policy")
        .expect("a policy");
    assert!(policy.starts_with("default-src 'self'; "), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    let text = page.text();
    let named = text.split('"').filter(|part| part.starts_with("/console/"));
    for file in named.clone().chain(["/console/"]) {
        let answer = get(file).ok();
        let media = answer.head.field("content-type").expect("a type");
        assert!(!media.contains("json"), "{file}: {media}");
        assert_eq!(answer.head.field("x-content-type-options"), Some("nosniff"));
    }
    assert!(named.count() > 4, "{text}");
    assert_eq!(get("/console/none.js").status, 404);
    assert_eq!(
        get("/api/v1/events").status,
        401,
        "what it shows is not for all"
    );
    let rebound = Request::get("/").field("Sec-Fetch-Site", "cross-site");
    Client::connect(address).ask(&rebound).ok();
    let posted = Client::connect(address).ask(&Request::post("/", Vec::new()));
    assert_eq!(posted.status, 405);
}

#[test]
fn a_page_under_a_foreign_name_is_refused() {
    let upstream = Upstream::start();
    let proxy = tpp(&upstream);
    let mut stream = TcpStream::connect(address_of(&proxy)).expect("connect");
    let request = "GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("send");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
}

#[test]
fn whoever_listens_is_told_who_it_is_and_then_each_second_how_things_are() {
    let upstream = Upstream::start();
    let proxy = tpp(&upstream);
    let mut listener = Listener::of(&proxy);
    listener.read_until(1, "event: picture");
    assert!(
        listener.told.contains("content-type: text/event-stream"),
        "{}",
        listener.told
    );
    let hello = listener.told.find("event: hello").expect("a hello");
    assert!(hello < listener.told.find("event: picture").unwrap_or(0));
    assert!(
        listener.told.contains(r#""role":"admin""#),
        "{}",
        listener.told
    );
    let mut holder = proxy.client(&upstream);
    holder.get("/who").ok();
    wait_until("the holder is in the picture", || {
        let seen = listener.told.matches("event: picture").count();
        listener.read_until(seen + 2, "event: picture");
        listener.last()["holders"][0]["client"] == "127.0.0.1"
    });
    let picture = listener.last();
    assert_eq!(picture["held"], 1, "{picture}");
    assert_eq!(picture["slots"], 1, "{picture}");
    let token = &picture["tokens"][0];
    assert_eq!(
        (&token["uses"], &token["errors"], &token["last_error"]),
        (&json!(1), &json!(0), &Value::Null),
        "{picture}"
    );
    assert!(token["last_used_seconds"].is_u64(), "{picture}");
    assert_eq!(picture["pools"][0]["longest_hold"]["slot"], 0, "{picture}");
    assert_eq!(picture["status"], "healthy", "{picture}");
}

#[test]
fn no_more_than_32_listen_and_one_who_leaves_makes_room() {
    let upstream = Upstream::start();
    let proxy = tpp(&upstream);
    let asking = Asking::of(&proxy);
    let mut listeners: Vec<_> = (0..32).map(|_| Listener::of(&proxy)).collect();
    for listener in &mut listeners {
        listener.read_until(1, "event: hello");
    }
    let refused = asking.get("/events");
    assert_eq!(refused.status, 503);
    assert!(refused.head.field("retry-after").is_some());
    listeners.pop();
    wait_until("there is room", || {
        let mut stream = TcpStream::connect(address_of(&proxy)).expect("connect");
        let request = "GET /api/v1/events HTTP/1.1\r\nHost: tpp.test\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("send");
        let mut status = [0; 12];
        stream.read_exact(&mut status).expect("a status");
        &status == b"HTTP/1.1 200"
    });
}
