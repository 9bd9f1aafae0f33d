//! Heads that two servers could read in two ways.

use crate::{
    Fate::{OneRequest, Refused},
    HIDDEN,
    common::{client::Client, proxy::Proxy, settings::Settings, upstream::Upstream},
    get, meet_their_fates, post,
};

#[test]
fn request_lines_with_two_meanings_are_refused() {
    let line = |line: &str| format!("{line}\r\nHost: a\r\n\r\n").into_bytes();
    meet_their_fates(&[
        (
            Refused,
            "two spaces before the target",
            line("GET  /who HTTP/1.1"),
        ),
        (
            Refused,
            "two spaces before the version",
            line("GET /who  HTTP/1.1"),
        ),
        (
            Refused,
            "a space in the target",
            line("GET /who x HTTP/1.1"),
        ),
        (
            Refused,
            "a tab between the parts",
            line("GET\t/who\tHTTP/1.1"),
        ),
        (
            Refused,
            "a space behind the version",
            line("GET /who HTTP/1.1 "),
        ),
        (
            Refused,
            "a version in small letters",
            line("GET /who http/1.1"),
        ),
        (
            Refused,
            "a version of three digits",
            line("GET /who HTTP/1.10"),
        ),
        (Refused, "a CR in the target", line("GET /who\rX HTTP/1.1")),
        (Refused, "a NUL in the target", line("GET /who\0 HTTP/1.1")),
        (
            Refused,
            "a space before the method",
            line(" GET /who HTTP/1.1"),
        ),
    ]);
}

#[test]
fn targets_with_two_meanings_are_refused_and_others_are_one_request() {
    let line = |line: &str| format!("{line}\r\nHost: a\r\n\r\n").into_bytes();
    meet_their_fates(&[
        (Refused, "a fragment", line("GET /who#x HTTP/1.1")),
        (
            Refused,
            "a path without its slash",
            line("GET who HTTP/1.1"),
        ),
        (Refused, "an authority", line("GET a:80 HTTP/1.1")),
        (
            Refused,
            "a URI of another scheme",
            line("GET ftp://a/who HTTP/1.1"),
        ),
        (
            Refused,
            "a URI with a user",
            line("GET http://u@a/who HTTP/1.1"),
        ),
        (
            OneRequest,
            "a URI of another port",
            line("GET http://a:81/who HTTP/1.1"),
        ),
        (
            OneRequest,
            "a URI of another host",
            line("GET http://b/who HTTP/1.1"),
        ),
        (
            Refused,
            "a URI of another host, and two Hosts",
            line("GET http://b/who HTTP/1.1\r\nHost: b"),
        ),
        (
            Refused,
            "a URI without a host",
            line("GET http:///who HTTP/1.1"),
        ),
        (OneRequest, "a later version", line("GET /who HTTP/1.2")),
        (Refused, "an asterisk for GET", line("GET * HTTP/1.1")),
        (
            OneRequest,
            "a URI of the same host",
            line("GET http://a/who HTTP/1.1"),
        ),
        (
            OneRequest,
            "empty lines before it",
            [b"\r\n\r\n".to_vec(), line("GET /who HTTP/1.1")].concat(),
        ),
    ]);
}

#[test]
fn a_second_host_in_any_place_is_refused() {
    meet_their_fates(&[
        (Refused, "in small letters", get("host: b")),
        (Refused, "after a folded line", get("X: y\r\n\tHost: b")),
        (
            Refused,
            "in a list",
            b"GET /who HTTP/1.1\r\nHost: a, b\r\n\r\n".to_vec(),
        ),
        (
            Refused,
            "with a path",
            b"GET /who HTTP/1.1\r\nHost: a/x\r\n\r\n".to_vec(),
        ),
        (
            Refused,
            "with a NUL",
            b"GET /who HTTP/1.1\r\nHost: a\0b\r\n\r\n".to_vec(),
        ),
        (
            Refused,
            "with a space before the colon",
            b"GET /who HTTP/1.1\r\nHost : a\r\n\r\n".to_vec(),
        ),
        (
            OneRequest,
            "under a name of its own",
            get("X-Forwarded-Host: b\r\nX-Host: c"),
        ),
    ]);
}

#[test]
fn a_client_cannot_choose_what_the_upstream_takes_for_its_token() {
    meet_their_fates(&[
        (
            Refused,
            "a name with a space behind",
            get("Authorization : Bearer x"),
        ),
        (
            Refused,
            "a name with a tab behind",
            get("Authorization\t: Bearer x"),
        ),
        (
            Refused,
            "a folded value",
            get("Authorization:\r\n Bearer x"),
        ),
        (
            OneRequest,
            "two of its own",
            get("Authorization: Bearer x\r\nauthorization: Basic y"),
        ),
        (
            OneRequest,
            "its own nominated away",
            get("Connection: close, Authorization\r\nAuthorization: Bearer x"),
        ),
        (
            OneRequest,
            "ours nominated away",
            get("Connection: authorization, host, content-length"),
        ),
        (
            OneRequest,
            "for the proxy",
            get("Proxy-Authorization: Bearer x"),
        ),
    ]);
}

#[test]
fn expectations_open_no_second_channel() {
    let hidden = format!("{HIDDEN}\r\n\r\n");
    let expect = |value: &str| {
        post(
            &format!("Expect: {value}\r\nContent-Length: {}", hidden.len()),
            &hidden,
        )
    };
    meet_their_fates(&[
        (
            Refused,
            "an expectation with a word before",
            expect("y 100-continue"),
        ),
        (
            Refused,
            "an expectation in a list",
            expect("100-continue, x"),
        ),
        (Refused, "an unknown expectation", expect("200-ok")),
        (
            OneRequest,
            "a body sent without waiting",
            expect("100-continue"),
        ),
        (
            OneRequest,
            "an expectation in capitals",
            expect("100-CONTINUE"),
        ),
    ]);
}

#[test]
fn upgrades_open_no_second_channel() {
    let hidden = format!("{HIDDEN}\r\n\r\n");
    let upgrade = |fields: &str| [get(fields), hidden.clone().into_bytes()].concat();
    meet_their_fates(&[
        (
            Refused,
            "a tunnel",
            b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        ),
        (
            Refused,
            "the preface of HTTP/2",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        ),
        (
            Refused,
            "TRACE",
            b"TRACE /who HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        ),
        (
            OneRequest,
            "h2c",
            get(
                "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
            ),
        ),
        (
            OneRequest,
            "an upgrade that no option announces",
            get("Upgrade: websocket"),
        ),
        (OneRequest, "an upgrade with a body", {
            let fields = format!(
                "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: {}",
                hidden.len()
            );
            upgrade(&fields)
        }),
    ]);
}

/// The hidden request is an honest second one here: it must wait for its turn, as the upstream declined the switch.
#[test]
fn what_follows_a_declined_upgrade_is_another_request() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 1));
    let mut client = Client::connect(proxy.address());
    let upgrade = get("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 777");
    client.send_raw(&upgrade);
    assert_eq!(client.read_answer().status, 200, "no switch");
    client.send_raw(&get("X: second"));
    assert_eq!(client.read_answer().status, 200);
    let seen = upstream.seen();
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert_eq!(seen[1].head.field("x"), Some("second"));
    upstream.assert_clean();
}
