//! Request smuggling: bytes that one server takes for one request and another for two. Each is sent through tpp with a
//! second request hidden in it; the upstream must never see that one, and never more requests than the client sent.
//!
//! The tables follow the families known from public lists: CL.TE, TE.CL, TE.TE, CL.0, 0.CL, chunk extensions and
//! terminators, folding, control bytes, request lines, hosts, expectations, upgrades, trailers.
//! `malformed.rs` and `framing.rs` hold what is wrong in itself.

mod common;

use std::io::ErrorKind;

use common::{client::Client, proxy::Proxy, settings::Settings, upstream::Upstream};

/// What must never arrive as a request of its own.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: a\r\nX: ";

/// What must become of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// 4xx, and nothing reaches the upstream.
    Refused,
    /// The head may reach the upstream, a whole request does not: it is answered 4xx or cut off.
    Cut,
    /// Served as the one request it is, whatever then becomes of the connection.
    OneRequest,
}
use Fate::{Cut, OneRequest, Refused};

type Case<'a> = (Fate, &'a str, Vec<u8>);

/// A POST with these field lines, and `rest` behind its head.
fn post(fields: &str, rest: &str) -> Vec<u8> {
    format!("POST /sum HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{rest}").into_bytes()
}

/// A chunked POST with this body.
fn chunks(body: &str) -> Vec<u8> {
    post("Transfer-Encoding: chunked", body)
}

fn get(fields: &str) -> Vec<u8> {
    format!("GET /who HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n").into_bytes()
}

/// What the client is answered in the end; empty: it is cut off without a word.
fn read_final(client: &mut Client) -> String {
    match client.try_read_answer() {
        Ok(answer) => format!("{} {}", answer.head.line, answer.text()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            "neither answered nor cut off".to_owned()
        }
        Err(_) => String::new(),
    }
}

/// Sends each case over a connection of its own and judges what came of it on both sides.
#[track_caller]
fn meet_their_fates(cases: &[Case<'_>]) {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 2));
    let mut wrong = Vec::new();
    for (fate, what, bytes) in cases {
        let before = upstream.seen().len();
        let mut client = Client::connect(proxy.address());
        // It may be cut off before it has sent all.
        drop(client.try_send_raw(bytes));
        if *fate == Cut {
            client.half_close();
        }
        let answer = read_final(&mut client);
        drop(client);
        let seen = upstream.seen().split_off(before);
        let was_served = answer.starts_with("HTTP/1.1 2");
        let is_met = !answer.starts_with("neither")
            && match fate {
                Refused => !was_served && seen.is_empty() && answer.starts_with("HTTP/1.1 4"),
                Cut => !was_served && seen.len() <= 1,
                OneRequest => was_served && seen.len() == 1,
            };
        if !is_met || seen.iter().any(|seen| seen.target.contains("hidden")) {
            wrong.push(format!(
                "{what}: not {fate:?}: {answer:?}; upstream: {seen:?}"
            ));
        }
        // Whoever comes next over the same upstream connection gets an answer of its own.
        let mut next = proxy.client(&upstream);
        let conn = next.id();
        let next = next.get("/who");
        if next.status != 200 || next.json()["conn"] != conn {
            wrong.push(format!("{what}: the next one was answered {next:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    proxy.wait_until_all_is_back(2);
    let hidden = upstream
        .seen()
        .into_iter()
        .filter(|seen| seen.target.contains("hidden"));
    assert_eq!(hidden.count(), 0);
    upstream.assert_clean();
}

#[test]
fn a_coding_in_disguise_is_refused() {
    let rest = format!("0\r\n\r\n{HIDDEN}");
    let refused = |fields: &str| post(&format!("{fields}\r\nContent-Length: 5"), &rest);
    let alone = |fields: &str| post(fields, &rest);
    meet_their_fates(&[
        (
            Refused,
            "chunked, then another field",
            alone("Transfer-Encoding: chunked\r\nTransfer-encoding: x"),
        ),
        (
            Refused,
            "another field, then chunked",
            alone("Transfer-Encoding: x\r\nTransfer-Encoding: chunked"),
        ),
        (
            Refused,
            "chunked twice",
            alone("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
        ),
        (
            Refused,
            "chunked twice in a list",
            alone("Transfer-Encoding: chunked, chunked"),
        ),
        (
            Refused,
            "gzip, chunked",
            alone("Transfer-Encoding: gzip, chunked"),
        ),
        (
            Refused,
            "an empty element",
            alone("Transfer-Encoding: ,chunked"),
        ),
        (
            Refused,
            "a parameter",
            alone("Transfer-Encoding: chunked;q=1"),
        ),
        (Refused, "quotes", alone("Transfer-Encoding: \"chunked\"")),
        (Refused, "an empty value", alone("Transfer-Encoding:")),
        (Refused, "identity", alone("Transfer-Encoding: identity")),
        (
            Refused,
            "a form feed",
            alone("Transfer-Encoding: \u{c}chunked"),
        ),
        (
            Refused,
            "a byte above ASCII",
            alone("Transfer-Encoding: chunked\u{a0}"),
        ),
        (
            Refused,
            "a lone LF before the field",
            alone("X: y\nTransfer-Encoding: chunked"),
        ),
        (
            Refused,
            "a lone CR before the field",
            alone("X: y\rTransfer-Encoding: chunked"),
        ),
        (
            Refused,
            "a space before the field",
            alone(" Transfer-Encoding: chunked"),
        ),
        (
            Refused,
            "a name on one line, its colon on the next",
            alone("Transfer-Encoding\r\n : chunked"),
        ),
        (
            Refused,
            "a NUL in the name",
            alone("Transfer-Encoding\0: chunked"),
        ),
        (
            Refused,
            "beside a length, after it",
            refused("Transfer-Encoding: chunked"),
        ),
        (
            Refused,
            "beside a length, in capitals",
            refused("TRANSFER-ENCODING: CHUNKED"),
        ),
        (
            Refused,
            "beside a length, after a tab",
            refused("Transfer-Encoding:\tchunked"),
        ),
        (
            Refused,
            "beside a length, empty",
            refused("Transfer-Encoding: "),
        ),
    ]);
}

#[test]
fn white_space_around_a_coding_and_its_case_change_nothing() {
    let body = "3\r\nabc\r\n0\r\n\r\n";
    meet_their_fates(&[
        (
            OneRequest,
            "a tab before",
            post("Transfer-Encoding:\tchunked", body),
        ),
        (
            OneRequest,
            "spaces behind",
            post("Transfer-Encoding: chunked  ", body),
        ),
        (
            OneRequest,
            "capitals",
            post("TRANSFER-ENCODING: ChUnKeD", body),
        ),
        (
            OneRequest,
            "no space",
            post("Transfer-Encoding:chunked", body),
        ),
    ]);
}

#[test]
fn a_length_in_disguise_is_refused_or_holds_what_follows() {
    let hidden = format!("{HIDDEN}\r\n\r\n");
    let length = |value: &str| post(&format!("Content-Length: {value}"), &hidden);
    let whole = |method: &str, target: &str| {
        let length = hidden.len();
        format!("{method} {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{hidden}")
            .into_bytes()
    };
    meet_their_fates(&[
        (Refused, "a plus and a zero", length("+0")),
        (Refused, "minus zero", length("-0")),
        (Refused, "a fraction", length("0.0")),
        (Refused, "an exponent", length("0e1")),
        (Refused, "an underscore", length("1_0")),
        (Refused, "a space within", length("1 0")),
        (Refused, "a comma behind", length("0,")),
        (Refused, "digits of another script", length("\u{661}")),
        (Refused, "a folded length", length("\r\n 0")),
        (Refused, "a vertical tab", length("\u{b}0")),
        (
            Refused,
            "two lengths, the last one zero",
            post("Content-Length: 40\r\nContent-Length: 0", &hidden),
        ),
        (
            Refused,
            "two lengths in two cases",
            post("Content-Length: 40\r\ncontent-length: 40", &hidden),
        ),
        (
            Refused,
            "a space before the colon",
            post("Content-Length : 0", &hidden),
        ),
        (OneRequest, "a GET with a body", whole("GET", "/who")),
        (
            OneRequest,
            "an OPTIONS with a body",
            whole("OPTIONS", "/who"),
        ),
        (OneRequest, "a DELETE with a body", whole("DELETE", "/who")),
        (
            OneRequest,
            "leading zeros",
            post(&format!("Content-Length: 000{}", hidden.len()), &hidden),
        ),
        (
            OneRequest,
            "a body where none is read",
            whole("POST", "/who"),
        ),
    ]);
}

#[test]
fn names_that_only_resemble_a_length_or_a_coding_frame_nothing() {
    // The upstream gets them as any other field, and the request without a body.
    meet_their_fates(&[
        (
            OneRequest,
            "an underscore for the hyphen",
            get("Content_Length: 0\r\nTransfer_Encoding: chunked"),
        ),
        (
            OneRequest,
            "a letter more",
            get("Content-Lengthx: 40\r\nXTransfer-Encoding: chunked"),
        ),
        (OneRequest, "a prefix", get("X-Content-Length: 40")),
    ]);
}

#[test]
fn chunk_lines_with_two_meanings_end_the_request() {
    let next = format!("0\r\n\r\n{HIDDEN}");
    meet_their_fates(&[
        (
            Cut,
            "a size line that ends with LF",
            chunks(&format!("3\nabc\r\n{next}")),
        ),
        (
            Cut,
            "a size line that ends with CR",
            chunks(&format!("3\rabc\r\n{next}")),
        ),
        (
            Cut,
            "LF within an extension",
            chunks(&format!("3;a\nb\r\nabc\r\n{next}")),
        ),
        (
            Cut,
            "CR within an extension",
            chunks(&format!("3;a\rb\r\nabc\r\n{next}")),
        ),
        (
            Cut,
            "NUL within an extension",
            chunks(&format!("3;a\0b\r\nabc\r\n{next}")),
        ),
        (
            Cut,
            "a space before an extension",
            chunks(&format!("3 ;a\r\nabc\r\n{next}")),
        ),
        (
            Cut,
            "a space after the size",
            chunks(&format!("3 \r\nabc\r\n{next}")),
        ),
        (
            Cut,
            "a space before the size",
            chunks(&format!(" 3\r\nabc\r\n{next}")),
        ),
        (
            Cut,
            "an underscore",
            chunks(&format!("0_3\r\nabc\r\n{next}")),
        ),
        (
            Cut,
            "a letter behind",
            chunks(&format!("3x\r\nabc\r\n{next}")),
        ),
        (
            Cut,
            "a size of 2^64 + 3",
            chunks(&format!("10000000000000003\r\nabc\r\n{next}")),
        ),
        (
            Cut,
            "data that ends with LF",
            chunks(&format!("3\r\nabc\n{next}")),
        ),
        (
            Cut,
            "data that ends with CR and more",
            chunks(&format!("3\r\nabc\rX{next}")),
        ),
        (
            Cut,
            "data that ends with anything",
            chunks(&format!("3\r\nabcXX{next}")),
        ),
        (
            Cut,
            "a last chunk that ends with LF",
            chunks(&format!("3\r\nabc\r\n0\n\n{HIDDEN}")),
        ),
        (
            Cut,
            "a trailer line that ends with LF",
            chunks(&format!("0\r\nX: y\n\r\n{HIDDEN}")),
        ),
        (Cut, "no last chunk", chunks("3\r\nabc\r\n")),
        (
            Cut,
            "a length that the body does not reach",
            post("Content-Length: 9", "abc"),
        ),
    ]);
}

#[test]
fn extensions_and_trailers_stay_behind() {
    meet_their_fates(&[
        (
            OneRequest,
            "extensions",
            chunks("3;a=b;c=\"d\"\r\nabc\r\n0;e\r\n\r\n"),
        ),
        (
            OneRequest,
            "zeros before a size",
            chunks("0003\r\nabc\r\n0000\r\n\r\n"),
        ),
        (
            OneRequest,
            "a length in the trailer",
            chunks("3\r\nabc\r\n0\r\nContent-Length: 40\r\n\r\n"),
        ),
        (
            OneRequest,
            "a coding in the trailer",
            chunks("3\r\nabc\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ),
        (
            OneRequest,
            "another token in the trailer",
            chunks("3\r\nabc\r\n0\r\nAuthorization: Bearer x\r\nHost: b\r\n\r\n"),
        ),
        (
            OneRequest,
            "a request in the data",
            chunks(&format!("{:x}\r\n{HIDDEN}\r\n0\r\n\r\n", HIDDEN.len())),
        ),
    ]);
}

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
            Refused,
            "a URI of another port",
            line("GET http://a:81/who HTTP/1.1"),
        ),
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
fn expectations_and_upgrades_open_no_second_channel() {
    let hidden = format!("{HIDDEN}\r\n\r\n");
    let expect = |value: &str| {
        post(
            &format!("Expect: {value}\r\nContent-Length: {}", hidden.len()),
            &hidden,
        )
    };
    let upgrade = |fields: &str| [get(fields), hidden.clone().into_bytes()].concat();
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

#[test]
fn a_request_cut_off_in_its_body_leaves_nothing_for_the_next() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 1));
    for head in ["Content-Length: 1000", "Transfer-Encoding: chunked"] {
        let mut client = Client::connect(proxy.address());
        client.send_raw(&post(head, ""));
        // Not a whole body in either framing; the next client's request follows on the same upstream's slot.
        client.send_raw(b"3e8\r\nab");
        client.reset();
        let mut next = proxy.client(&upstream);
        let conn = next.id();
        assert_eq!(next.get("/who").ok().json()["conn"], conn, "{head}");
    }
    proxy.wait_until_all_is_back(1);
    upstream.assert_clean();
}
