//! Proxies that say whose connection they bring.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use super::{
    browser::{Browser, ask, dial},
    common::{client::Client, wait_until},
    scene::{DEFAULT_HOST, Scene, secure},
};

const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x09\x7f\0\0\x01\x1f\x90\x01\xbb";

/// Whom the backend was told of last.
fn told(scene: &Scene) -> String {
    let heads = scene.origin.asked();
    let head = heads.last().expect("it was asked");
    let line = head
        .lines()
        .find_map(|line| line.strip_prefix("X-Forwarded-For: "));
    line.expect("it is told of the client").to_owned()
}

#[test]
fn a_proxy_that_is_trusted_says_who_the_client_is_with_and_without_tls() {
    for tls in [true, false] {
        let (scene, _) =
            Scene::new("proxy_protocol = true", DEFAULT_HOST).certificate("one", &["a.test"]);
        let scene = scene.set("trusted_proxies", "[\"127.0.0.1/32\"]");
        let settings = scene.settings.clone();
        let settings = settings.replace("tls = true", &format!("tls = {tls}"));
        let scene = Scene { settings, ..scene };
        let proxy = scene.start();
        let headers: [(&[u8], &str); 4] = [
            (b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 443\r\n", "192.0.2.7"),
            (b"PROXY TCP6 2001:db8::7 ::1 4711 443\r\n", "2001:db8::7"),
            (V2, "192.0.2.9"),
            // Its own, as for a health check.
            (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
        ];
        for (header, client) in headers {
            let mut tcp = dial(secure(&proxy)).expect("connect");
            tcp.write_all(header).expect("send");
            let answer = if tls {
                let browser = Browser::trusting(&scene.authority);
                let secure = browser.over(tcp, "a.test");
                secure.and_then(|mut secure| secure.get("a.test", "/"))
            } else {
                ask(&mut tcp, "a.test", "/")
            };
            assert_eq!(answer.expect("an answer").status, 200);
            assert_eq!(told(&scene), client);
        }
    }
}

#[test]
fn who_is_not_trusted_or_sends_no_header_is_let_go() {
    let (scene, _) =
        Scene::new("proxy_protocol = true", DEFAULT_HOST).certificate("one", &["a.test"]);
    let scene = scene.set("trusted_proxies", "[\"127.0.0.3\"]");
    let proxy = scene.start();
    let ends = |mut tcp: &TcpStream, bytes: &[u8]| {
        let _ = tcp.write_all(bytes);
        let mut rest = Vec::new();
        let _ = tcp.read_to_end(&mut rest);
        assert_eq!(rest, b"");
    };
    let stranger = dial(secure(&proxy)).expect("connect");
    ends(&stranger, b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 443\r\n");
    let trusted = || Client::connect_from([127, 0, 0, 3].into(), secure(&proxy));
    ends(
        trusted().stream(),
        b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
    );
    assert_eq!(scene.origin.asked(), Vec::<String>::new());
    let refused = "tpp_connections_refused_total{reason=\"proxy_header\"}";
    wait_until("both are counted", || proxy.metric(refused) == Some(2.0));
}

#[test]
fn the_clients_behind_a_proxy_are_bounded_each_by_itself() {
    let (scene, _) =
        Scene::new("proxy_protocol = true", DEFAULT_HOST).certificate("one", &["a.test"]);
    let scene = scene
        .set("trusted_proxies", "[\"127.0.0.1\"]")
        .set("client.max_connections_per_address", 2);
    let settings = scene.settings.clone().replace("tls = true", "tls = false");
    let scene = Scene { settings, ..scene };
    let proxy = scene.start();
    let comes = |from: &str| {
        let mut tcp = dial(secure(&proxy)).expect("connect");
        let header = format!("PROXY TCP4 {from} 127.0.0.1 4711 443\r\n");
        tcp.write_all(header.as_bytes()).expect("send");
        let answer = ask(&mut tcp, "a.test", "/");
        answer
            .is_ok_and(|answer| answer.status == 200)
            .then_some(tcp)
    };
    let first = [comes("192.0.2.1"), comes("192.0.2.1")];
    assert!(first.iter().all(Option::is_some));
    assert!(comes("192.0.2.1").is_none());
    let others: Vec<_> = (2..6).map(|n| comes(&format!("192.0.2.{n}"))).collect();
    assert!(others.iter().all(Option::is_some));
}
