//! `tpp dev`: the whole thing on loopback, for a first look.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use crate::common::{client::Client, message::Request, proxy::Proxy, wait_until};
use nix::sys::signal::Signal;

fn execute(client: &mut Client, script: &str) -> String {
    let body = serde_json::json!({ "script": script }).to_string();
    client.ask(&Request::post("/api/execute", body)).ok().text()
}

#[test]
fn scripts_are_answered_through_the_pool() {
    let proxy = Proxy::start_dev(&["--sessions", "3"]);
    wait_until("all tokens are in", || proxy.pool().total == 3);
    let mut client = Client::connect(proxy.address());
    assert!(execute(&mut client, "1+2").contains('3'));
    assert!(execute(&mut client, "user()").contains("dev"));
    assert_eq!(proxy.pool().in_use, 1);
    drop(client);
    proxy.wait_until_all_is_back(3);
}

#[test]
fn it_says_where_it_is_and_what_to_try() {
    let proxy = Proxy::start_dev(&[]);
    let said = proxy.log();
    let socket = proxy.control_socket().display().to_string();
    for word in [
        &format!("http://{}", proxy.address()),
        &socket,
        "curl",
        "/api/execute",
    ] {
        assert!(said.contains(word), "{said} lacks {word}");
    }
}

#[test]
fn tokens_that_expire_at_the_stand_in_are_renewed() {
    let proxy = Proxy::start_dev(&["--sessions", "1", "--token-ttl", "2"]);
    wait_until("the token is in", || proxy.pool().total == 1);
    let first = proxy.tokens()[0].fingerprint.clone();
    wait_until("another token is in", || {
        assert!(execute(&mut Client::connect(proxy.address()), "1+2").contains('3'));
        proxy.tokens()[0].fingerprint != first
    });
}

#[test]
fn a_host_of_two_tagged_web_servers_is_switched_by_api() {
    let proxy = Proxy::start_dev(&[]);
    let api = proxy.status().api_listen.expect("an address of the API");
    let web = || ask(proxy.address(), "GET / HTTP/1.1\r\nHost: example.com", "");
    assert!(web().contains("web-v1"));
    let switch = format!(
        "POST /api/v1/domains/example.com/switch HTTP/1.1\r\nHost: {api}\r\nContent-Type: application/json"
    );
    let api = api.parse().expect("an address and a port");
    let answer = ask(api, &switch, r#"{"new_tag":"canary"}"#);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(web().contains("web-v2"));
}

/// The whole answer to a request of this head and body on a connection of its own.
fn ask(address: SocketAddr, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("connect");
    let length = body.len();
    write!(
        stream,
        "{head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .expect("ask");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn it_stops_when_told() {
    let mut proxy = Proxy::start_dev(&[]);
    proxy.signal_supervisor(Signal::SIGINT);
    assert_eq!(proxy.wait_for_exit().code(), Some(0));
    proxy.assert_gone();
}
