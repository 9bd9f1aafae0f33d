//! Requests whose end two servers could see in two places.

use crate::common::{
    client::Client,
    proxy::Proxy,
    refusal::{are_refused, exchange},
    settings::Settings,
    upstream::Upstream,
};

/// What follows a request that a lax server would take for two.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

/// A request with this head, and `rest` behind it.
fn post(head: &str, rest: &str) -> Vec<u8> {
    format!("POST /malformed HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n{rest}").into_bytes()
}

#[test]
fn a_length_given_twice_or_wrongly_is_refused() {
    let rest = format!("abc{SMUGGLED}");
    are_refused(&[
        (
            "two different lengths",
            post("Content-Length: 3\r\nContent-Length: 5", &rest),
        ),
        (
            "the same length twice",
            post("Content-Length: 3\r\nContent-Length: 3", &rest),
        ),
        ("a list of lengths", post("Content-Length: 3, 3", &rest)),
        ("a signed length", post("Content-Length: +3", &rest)),
        ("a negative length", post("Content-Length: -1", &rest)),
        ("a hexadecimal length", post("Content-Length: 0x3", &rest)),
        ("an empty length", post("Content-Length: ", &rest)),
        (
            "a length that overflows",
            post("Content-Length: 99999999999999999999999", &rest),
        ),
    ]);
}

#[test]
fn a_length_beside_a_coding_is_refused() {
    let rest = format!("0\r\n\r\n{SMUGGLED}");
    are_refused(&[
        (
            "length, then coding",
            post("Content-Length: 3\r\nTransfer-Encoding: chunked", &rest),
        ),
        (
            "coding, then length",
            post("Transfer-Encoding: chunked\r\nContent-Length: 3", &rest),
        ),
        (
            "an unknown coding with a length",
            post("Content-Length: 3\r\nTransfer-Encoding: identity", &rest),
        ),
    ]);
}

#[test]
fn a_coding_that_is_not_plainly_chunked_is_refused() {
    let rest = format!("0\r\n\r\n{SMUGGLED}");
    are_refused(&[
        ("xchunked", post("Transfer-Encoding: xchunked", &rest)),
        (
            "chunked, identity",
            post("Transfer-Encoding: chunked, identity", &rest),
        ),
        (
            "a vertical tab",
            post("Transfer-Encoding:\u{b}chunked", &rest),
        ),
        (
            "a space before the colon",
            post("Transfer-Encoding : chunked", &rest),
        ),
        (
            "a folded value",
            post("Transfer-Encoding:\r\n chunked", &rest),
        ),
        (
            "HTTP/1.0",
            format!(
                "POST /malformed HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{rest}"
            )
            .into(),
        ),
    ]);
}

/// The head of these is good, so the upstream may see it; what it must not see is a whole request.
#[test]
fn broken_chunks_cut_the_request_off() {
    let bodies = [
        ("a size with 0x", "0x3\r\nabc\r\n0\r\n\r\n"),
        ("a size that is no number", "xyz\r\nabc\r\n0\r\n\r\n"),
        ("a negative size", "-3\r\nabc\r\n0\r\n\r\n"),
        (
            "a size that overflows",
            "fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        ),
        ("more data than said", "3\r\nabcdef\r\n0\r\n\r\n"),
        ("less data than said", "9\r\nabc\r\n0\r\n\r\n;;;;;;;;"),
        ("an empty size", "\r\nabc\r\n0\r\n\r\n"),
    ];
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 2));
    for (what, body) in bodies {
        let request =
            format!("POST /sum HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        let answer = exchange(&proxy, request.as_bytes());
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{what}: {answer:?}"
        );
        proxy.client(&upstream).get("/who").ok();
    }
    proxy.wait_until_all_is_back(2);
    assert_eq!(proxy.status().worker_restarts, 0);
    upstream.assert_clean();
}

#[test]
fn what_follows_a_request_is_never_read_as_another() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 2));
    let inner = format!("X-Filler: 1\r\n\r\n{SMUGGLED}");
    for (head, body) in [
        (
            "Connection: Content-Length\r\nContent-Length: 3",
            "abc".to_owned(),
        ),
        (
            "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked",
            "3\r\nabc\r\n0\r\n\r\n".to_owned(),
        ),
        ("Connection: Authorization", String::new()),
        ("Connection: Host", String::new()),
        (
            "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
            String::new(),
        ),
        (&*format!("Content-Length: {}", inner.len()), inner.clone()),
        (
            "Transfer-Encoding: chunked",
            format!("{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len()),
        ),
    ] {
        let bytes = format!("POST /sum HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n{body}");
        let mut client = Client::connect(proxy.address());
        client.send_raw(bytes.as_bytes());
        let answer = client.read_answer();
        assert!(
            answer.status == 200 || answer.status / 100 == 4,
            "{head:?}: {}",
            answer.status
        );
        proxy.client(&upstream).get("/who").ok();
    }
    assert!(
        upstream
            .seen()
            .iter()
            .all(|seen| seen.target != "/smuggled")
    );
    upstream.assert_clean();
}

#[test]
fn an_error_of_tpps_own_is_json_that_says_why() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 1));
    let mut client = Client::connect(proxy.address());
    client.send_raw(&post("Content-Length: 3\r\nContent-Length: 5", "abc"));
    let answer = client.read_answer();
    assert_eq!(answer.status, 400);
    assert_eq!(answer.head.field("content-type"), Some("application/json"));
    let body = answer.json();
    assert!(
        body["error"].is_string() && body["details"].is_string(),
        "{body}"
    );
}
