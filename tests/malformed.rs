//! Requests that are malformed, or that two servers could read in two ways.

mod common;

use common::{client::Client, proxy::Proxy, settings::Settings, upstream::Upstream};

/// What follows a request that a lax server would take for two.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

/// Sends `bytes` over a connection of its own and returns all that comes back. The sending side is not shut:
/// a malformed request is answered or cut off without the client's help.
fn exchange(proxy: &Proxy, bytes: &[u8]) -> String {
    let mut client = Client::connect(proxy.address());
    drop(client.try_send_raw(bytes));
    String::from_utf8_lossy(&client.read_to_close()).into_owned()
}

/// Each of `requests` gets a 4xx or a closed connection, nothing of it reaches the upstream, and good requests
/// are served afterwards.
#[track_caller]
fn are_refused(requests: &[(&str, Vec<u8>)]) {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 2));
    let mut wrong = Vec::new();
    for (what, bytes) in requests {
        let answer = exchange(&proxy, bytes);
        if !(answer.is_empty() || answer.starts_with("HTTP/1.1 4")) {
            wrong.push(format!("{what}: answered {answer:?}"));
        }
        let good = proxy.client(&upstream).get("/who").status;
        let reached = upstream.seen();
        if good != 200 || reached.iter().any(|seen| seen.target != "/who") {
            wrong.push(format!(
                "{what}: then {good}, and the upstream saw {:?}",
                reached.last()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    proxy.wait_until_all_is_back(2);
    assert_eq!(proxy.status().worker_restarts, 0);
    upstream.assert_clean();
}

/// A request with this head, and `rest` behind it.
fn post(head: &str, rest: &str) -> Vec<u8> {
    format!("POST /malformed HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n{rest}").into_bytes()
}

fn get(head: &str) -> Vec<u8> {
    format!("GET /malformed HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n").into_bytes()
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

#[test]
fn line_ends_other_than_crlf_are_refused() {
    are_refused(&[
        (
            "LF everywhere",
            b"GET /malformed HTTP/1.1\nHost: a\n\n".to_vec(),
        ),
        (
            "LF after one field",
            b"GET /malformed HTTP/1.1\r\nHost: a\nX: 1\r\n\r\n".to_vec(),
        ),
        (
            "LF after the request line",
            b"GET /malformed HTTP/1.1\nHost: a\r\n\r\n".to_vec(),
        ),
        (
            "LF at the end of the head",
            b"GET /malformed HTTP/1.1\r\nHost: a\r\n\n".to_vec(),
        ),
        ("a lone CR", get("X: 1\rY: 2")),
    ]);
}

#[test]
fn fields_that_break_the_grammar_are_refused() {
    are_refused(&[
        ("a folded field", get("X: 1\r\n folded")),
        ("a field folded with a tab", get("X: 1\r\n\tfolded")),
        (
            "a folded first field",
            b"GET /malformed HTTP/1.1\r\n X: 1\r\nHost: a\r\n\r\n".to_vec(),
        ),
        ("a space in a name", get("X Y: 1")),
        ("a space after a name", get("X : 1")),
        ("no name", get(": 1")),
        ("no colon", get("nothing")),
        ("a NUL in a value", get("X: a\0b")),
        ("a NUL in a name", get("X\0: a")),
    ]);
}

#[test]
fn a_host_that_is_missing_or_doubtful_is_refused() {
    are_refused(&[
        (
            "no Host",
            b"GET /malformed HTTP/1.1\r\nX: 1\r\n\r\n".to_vec(),
        ),
        (
            "an empty Host",
            b"GET /malformed HTTP/1.1\r\nHost: \r\n\r\n".to_vec(),
        ),
        ("two Hosts", get("Host: b")),
        ("the same Host twice", get("Host: a")),
        (
            "a space in the Host",
            b"GET /malformed HTTP/1.1\r\nHost: a b\r\n\r\n".to_vec(),
        ),
        (
            "a user in the Host",
            b"GET /malformed HTTP/1.1\r\nHost: u@a\r\n\r\n".to_vec(),
        ),
        (
            "a URI of another host",
            b"GET http://b/malformed HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        ),
    ]);
}

#[test]
fn first_lines_that_are_none_are_refused() {
    let head = "Host: a\r\n\r\n";
    are_refused(&[
        ("HTTP/0.9", b"GET /malformed\r\n\r\n".to_vec()),
        (
            "HTTP/1.2",
            format!("GET /malformed HTTP/1.2\r\n{head}").into(),
        ),
        (
            "HTTP/2.0",
            format!("GET /malformed HTTP/2.0\r\n{head}").into(),
        ),
        (
            "no version number",
            format!("GET /malformed HTTP/\r\n{head}").into(),
        ),
        (
            "a character that no method has",
            format!("G@T /malformed HTTP/1.1\r\n{head}").into(),
        ),
        ("no path", format!("GET  HTTP/1.1\r\n{head}").into()),
        (
            "a quote in the path",
            format!("GET /malformed\" HTTP/1.1\r\n{head}").into(),
        ),
        (
            "a path that is not UTF-8",
            [b"GET /malformed\xff\xfe HTTP/1.1\r\n", head.as_bytes()].concat(),
        ),
        (
            "CONNECT",
            format!("CONNECT a:443 HTTP/1.1\r\n{head}").into(),
        ),
        (
            "the start of HTTP/2",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        ),
        ("nothing but spaces", b"   \r\n\r\n".to_vec()),
    ]);
}

#[test]
fn things_that_are_not_http_are_refused() {
    let mut hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec();
    hello.extend((0..512).map(|place| u8::try_from(place * 7 % 256).expect("below 256")));
    are_refused(&[
        ("a TLS hello", hello),
        (
            "binary",
            [b"\x00\x01\x02\xff\xfe".repeat(100), b"\r\n\r\n".to_vec()].concat(),
        ),
        ("another protocol", b"SSH-2.0-OpenSSH_9.9\r\n\r\n".to_vec()),
    ]);
}

#[test]
fn heads_beyond_all_measure_are_refused() {
    let many: String = (0..5000)
        .map(|number| format!("X-{number}: 1\r\n"))
        .collect();
    are_refused(&[
        ("a huge field", get(&format!("X: {}", "x".repeat(2 << 20)))),
        (
            "a huge path",
            format!(
                "GET /malformed{} HTTP/1.1\r\nHost: a\r\n\r\n",
                "x".repeat(2 << 20)
            )
            .into(),
        ),
        ("very many fields", get(many.trim_end())),
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
