//! Requests that break the grammar.

use crate::common::refusal::are_refused;

fn get(head: &str) -> Vec<u8> {
    format!("GET /malformed HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n").into_bytes()
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
            "no Host beside a URI",
            b"GET http://b/malformed HTTP/1.1\r\n\r\n".to_vec(),
        ),
        (
            "a Host with a zone",
            b"GET /malformed HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n\r\n".to_vec(),
        ),
    ]);
}

#[test]
fn first_lines_that_are_none_are_refused() {
    let head = "Host: a\r\n\r\n";
    are_refused(&[
        ("HTTP/0.9", b"GET /malformed\r\n\r\n".to_vec()),
        (
            "HTTP/1.10",
            format!("GET /malformed HTTP/1.10\r\n{head}").into(),
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
            "a path with a DEL",
            [b"GET /malformed\x7f HTTP/1.1\r\n", head.as_bytes()].concat(),
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
        (
            "the PROXY protocol",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET /malformed HTTP/1.1\r\nHost: a\r\n\r\n"
                .to_vec(),
        ),
        (
            "the PROXY protocol, version 2",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\0\x01\0\x02".to_vec(),
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
