//! What is asked for, and of whom.

use super::*;

/// The line with which a head begins, and its Host.
fn asked(head: &str) -> String {
    let out = forwarded(head);
    let lines: Vec<_> = out.split("\r\n").take(2).collect();
    lines.join(", ")
}

/// A request line, a field, and the line and the `Host` that are passed on.
const ABSOLUTE_TARGETS: &[(&str, &str, &str)] = &[
    (
        "GET HTTP://a.example/x?y HTTP/1.1",
        "Host: A.example",
        "GET /x?y HTTP/1.1, Host: a.example",
    ),
    (
        "GET http://a HTTP/1.1",
        "Host: a",
        "GET / HTTP/1.1, Host: a",
    ),
    (
        "GET http://a?q=1 HTTP/1.1",
        "Host: a",
        "GET /?q=1 HTTP/1.1, Host: a",
    ),
    (
        "GET http://a:80/x HTTP/1.1",
        "Host: a",
        "GET /x HTTP/1.1, Host: a:80",
    ),
    (
        "GET http://a/x HTTP/1.1",
        "Host: a:80",
        "GET /x HTTP/1.1, Host: a",
    ),
    (
        "GET http://b/x HTTP/1.1",
        "Host: a",
        "GET /x HTTP/1.1, Host: b",
    ),
    (
        "GET http://b/x HTTP/1.1",
        "Host:",
        "GET /x HTTP/1.1, Host: b",
    ),
    (
        "GET http://b/x HTTP/1.0",
        "X: y",
        "GET /x HTTP/1.1, Host: b",
    ),
    (
        "OPTIONS http://a HTTP/1.1",
        "Host: a",
        "OPTIONS * HTTP/1.1, Host: a",
    ),
    (
        "OPTIONS http://a/ HTTP/1.1",
        "Host: a",
        "OPTIONS / HTTP/1.1, Host: a",
    ),
    (
        "OPTIONS http://a?q HTTP/1.1",
        "Host: a",
        "OPTIONS /?q HTTP/1.1, Host: a",
    ),
    (
        "OPTIONS * HTTP/1.1",
        "Host: a",
        "OPTIONS * HTTP/1.1, Host: a",
    ),
    (
        "GET http://[::1]:81/x HTTP/1.1",
        "Host: [::1]",
        "GET /x HTTP/1.1, Host: [::1]:81",
    ),
];

#[test]
fn an_absolute_target_becomes_a_path_and_the_host() {
    for (line, fields, expected) in ABSOLUTE_TARGETS {
        assert_eq!(
            asked(&format!("{line}\r\n{fields}\r\n\r\n")),
            *expected,
            "{line}"
        );
    }
}

#[test]
fn a_target_passes_in_whatever_script_it_is() {
    for target in [
        &b"/caf\xc3\xa9"[..],
        b"/caf\xe9",
        b"/\xb1\xed?q=\xff",
        b"/x?q={\"a\":[1|2]}^~`<>\\",
    ] {
        let head = [b"GET ", target, b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
        let (_, out) = read_bytes(&head, STAMP).unwrap().unwrap();
        let line = [b"GET ", target, b" HTTP/1.1\r\n"].concat();
        assert!(out.starts_with(&line), "{}", out.escape_ascii());
    }
}

#[test]
fn what_a_newer_version_of_http_1_asks_is_asked_in_1_1() {
    assert_eq!(
        asked("GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
        "GET / HTTP/1.1, Host: a"
    );
}
