use bytes::BytesMut;
use memchr::memchr_iter;
use proptest::prelude::*;

use super::*;
use crate::http1::write::{self, Host, Stamp};

const STAMP: Stamp<'_> = Stamp {
    client: "192.0.2.7",
    trust_forwarded: false,
    passes_authorization: false,
    replaces: None,
    is_secure: false,
    host: Host::Client {
        or: "db.example:8848",
    },
    request_id: None,
    trace: None,
};
/// What is said of a client that asks for host `a`.
const TAIL: &str = "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\nVia: 1.1 tpp\r\n";

fn parse(
    bytes: &[u8],
    stamp: Stamp<'_>,
    out: &mut BytesMut,
) -> Result<Option<(Request, usize)>, Malformed> {
    let mut head = Head::default();
    let parsed = read(bytes, &mut head)?;
    if let Some((request, _)) = &parsed {
        write::request(&head, request, stamp, b"", out);
    }
    Ok(parsed)
}

fn read_bytes(head: &[u8], stamp: Stamp<'_>) -> Result<Option<(Request, Vec<u8>)>, Malformed> {
    let mut out = BytesMut::new();
    let parsed = parse(head, stamp, &mut out)?;
    Ok(parsed.map(|(request, length)| {
        let end = head.windows(4).rposition(|end| end == b"\r\n\r\n");
        assert_eq!(length, end.unwrap() + 4);
        (request, out.to_vec())
    }))
}

fn read_as(head: &str, stamp: Stamp<'_>) -> Result<Option<(Request, String)>, Malformed> {
    let parsed = read_bytes(head.as_bytes(), stamp)?;
    Ok(parsed.map(|(request, out)| (request, String::from_utf8(out).unwrap())))
}

fn forwarded(head: &str) -> String {
    read_as(head, STAMP).unwrap().unwrap().1
}

/// The line with which a head begins, and its Host.
fn asked(head: &str) -> String {
    let out = forwarded(head);
    let lines: Vec<_> = out.split("\r\n").take(2).collect();
    lines.join(", ")
}

fn status(head: &str) -> u16 {
    match read_as(head, STAMP) {
        Err(malformed) => malformed.status,
        Ok(parsed) => panic!("{} was taken as {parsed:?}", head.escape_debug()),
    }
}

#[test]
fn own_fields_pass_and_connection_fields_do_not() {
    let head = "GET /a?b HTTP/1.1\r\nHost: a\r\nauthorization: Basic x\r\nAuthorization: Basic y\r\nX-One: 1\r\n\
        Connection: keep-alive, x-two\r\nX-Two: 2\r\nKeep-Alive: 5\r\nTE: trailers\r\nTrailer: x\r\n\
        Proxy-Authorization: z\r\nUpgrade: h2c\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n\r\n";
    assert_eq!(
        forwarded(head),
        format!("GET /a?b HTTP/1.1\r\nHost: a\r\nX-One: 1\r\n{TAIL}")
    );
}

#[test]
fn forwarded_fields_are_kept_and_appended_to_when_trusted() {
    let trusting = Stamp {
        trust_forwarded: true,
        ..STAMP
    };
    let head = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https\r\n\
        x-forwarded-for: 2.2.2.2\r\nForwarded: for=1.1.1.1\r\nX_Forwarded_For: 3.3.3.3\r\nX-Real-IP: 1.1.1.1\r\n\
        X-Forwarded-Host: b\r\n\r\n";
    let (_, out) = read_as(head, trusting).unwrap().unwrap();
    assert_eq!(
        out,
        "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\nForwarded: for=1.1.1.1\r\nX-Real-IP: 1.1.1.1\r\n\
         X-Forwarded-Host: b\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2, 192.0.2.7\r\nVia: 1.1 tpp\r\n"
    );
}

#[test]
fn fields_that_frame_the_body_cannot_be_nominated_away() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: content-length, host\r\n\r\n";
    assert_eq!(
        forwarded(head),
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n{TAIL}")
    );
}

#[test]
fn a_head_in_pieces_is_waited_for() {
    let head = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for end in 0..head.len() {
        assert_eq!(read_as(&head[..end], STAMP), Ok(None), "{end} bytes");
    }
    assert!(read_as(head, STAMP).unwrap().is_some());
}

#[test]
fn who_claims_to_speak_for_another_is_not_heard_in_any_spelling() {
    let head = "GET / HTTP/1.1\r\nHost: a\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nX-Forwarded-Host: evil\r\n\
        X-Forwarded-Port: 6\r\nX_Forwarded_For: 6.6.6.6\r\nx_real_ip: 6.6.6.6\r\nTrue-Client-IP: 6.6.6.6\r\n\
        CF-Connecting-IP: 6.6.6.6\r\nTransfer_Encoding: chunked\r\nContent_Length: 9\r\nProxy: evil\r\n\
        user_id: 7\r\n\r\n";
    assert_eq!(
        forwarded(head),
        format!("GET / HTTP/1.1\r\nHost: a\r\nuser_id: 7\r\n{TAIL}")
    );
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

#[test]
fn hops_before_this_one_are_kept_and_counted() {
    let bytes = b"GET / HTTP/1.1\r\nHost: a\r\nVia: 1.0 x, 1.1 tpp\r\nVia: 1.1 tpp\r\n\r\n";
    let mut head = Head::default();
    assert!(read(bytes, &mut head).unwrap().is_some());
    assert_eq!(head.hops, 2);
    let out = forwarded(std::str::from_utf8(bytes).unwrap());
    assert!(
        out.contains("\r\nVia: 1.0 x, 1.1 tpp\r\nVia: 1.1 tpp\r\n")
            && out.ends_with("\r\nVia: 1.1 tpp\r\n"),
        "{out}"
    );
    assert!(forwarded("GET / HTTP/1.0\r\n\r\n").ends_with("\r\nVia: 1.0 tpp\r\n"));
}

#[test]
fn an_expectation_of_http_1_0_is_not_passed_on() {
    let head = |version| {
        forwarded(&format!(
            "POST / HTTP/{version}\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"
        ))
    };
    assert!(head("1.1").contains("Expect: 100-continue"));
    assert!(!head("1.0").contains("Expect"));
}

#[test]
fn lines_are_written_in_one_form_however_they_came() {
    let head =
        "GET / HTTP/1.1\r\nHost:a\r\nA: 1\r\nB:2\r\nC: 3  \r\nD:\t4\r\nE:\r\nF: 6\r\nG: 7\r\n\r\n";
    assert_eq!(
        forwarded(head),
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: \r\nF: 6\r\nG: 7\r\n{TAIL}"
        )
    );
}

#[test]
fn a_head_serves_request_after_request_and_keeps_nothing() {
    let mut head = Head::default();
    read(
        b"GET http://b?x HTTP/1.0\r\nVia: 1.1 tpp\r\nX: 1\r\n\r\n",
        &mut head,
    )
    .unwrap()
    .unwrap();
    assert_eq!(
        (head.path(), head.authority(), head.hops),
        (&b"/?x"[..], Some(&b"b"[..]), 1)
    );
    read(b"\r\nPUT /y HTTP/1.0\r\n\r\n", &mut head)
        .unwrap()
        .unwrap();
    assert_eq!(
        (head.method(), head.path(), head.authority()),
        (&b"PUT"[..], &b"/y"[..], None)
    );
    assert!(head.hops == 0 && head.lines().is_empty());
}

#[test]
fn a_request_of_http_1_0_gets_a_host_and_is_not_kept_alive() {
    let (request, out) = read_as("GET / HTTP/1.0\r\n\r\n", STAMP).unwrap().unwrap();
    assert!(request.is_old && !request.keep_alive);
    assert!(
        out.starts_with("GET / HTTP/1.1\r\nHost: db.example:8848\r\n"),
        "{out}"
    );
    let (request, _) = read_as("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", STAMP)
        .unwrap()
        .unwrap();
    assert!(request.keep_alive);
}

#[test]
fn the_upstreams_own_host_takes_the_place_of_the_clients_where_it_is_to() {
    let own = Stamp {
        host: Host::Upstream("db.example"),
        ..STAMP
    };
    let (_, out) = read_as("GET / HTTP/1.1\r\nHost: a\r\n\r\n", own)
        .unwrap()
        .unwrap();
    assert_eq!(out, format!("GET / HTTP/1.1\r\nHost: db.example\r\n{TAIL}"));
}

#[test]
fn a_made_id_takes_the_place_of_the_clients_however_it_is_spelled() {
    let head = "GET / HTTP/1.1\r\nHost: a\r\nX-Request-ID: a b\r\nX_Request_Id: c\r\n\r\n";
    let made = Stamp {
        request_id: Some(b"X-Request-Id: made\r\n"),
        ..STAMP
    };
    let (_, out) = read_as(head, made).unwrap().unwrap();
    let tail = TAIL.replace("Via", "X-Request-Id: made\r\nVia");
    assert_eq!(out, format!("GET / HTTP/1.1\r\nHost: a\r\n{tail}"));
    let kept = forwarded("GET / HTTP/1.1\r\nHost: a\r\nX-Request-ID: own\r\n\r\n");
    assert_eq!(
        kept,
        format!("GET / HTTP/1.1\r\nHost: a\r\nX-Request-ID: own\r\n{TAIL}")
    );
}

#[test]
fn only_a_websocket_is_upgraded() {
    let head = |fields: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let (request, out) = read_as(
        &head("Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"),
        STAMP,
    )
    .unwrap()
    .unwrap();
    assert!(request.is_websocket);
    assert!(
        out.contains("\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"),
        "{out}"
    );
    for fields in [
        "Upgrade: websocket\r\n",
        "Connection: Upgrade\r\nUpgrade: h2c\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n",
    ] {
        let (request, out) = read_as(&head(fields), STAMP).unwrap().unwrap();
        assert!(
            !request.is_websocket && !out.contains("Upgrade"),
            "{fields}: {out}"
        );
    }
}

#[test]
fn ambiguous_framing_is_refused() {
    for fields in [
        "Content-Length: 3\r\nContent-Length: 3\r\n",
        "Content-Length: 3\r\nContent-Length: 4\r\n",
        "Content-Length: 3, 3\r\n",
        "Content-Length: +3\r\n",
        "Content-Length: \r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip, chunked, chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: ,chunked\r\n",
        "Transfer-Encoding: gz ip, chunked\r\n",
        "Transfer-Encoding: gzip, chunked;q=1\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: \x0bchunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
    ] {
        assert_eq!(
            status(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")),
            400,
            "{fields}"
        );
    }
    assert_eq!(
        status("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        400
    );
}

#[test]
fn what_others_might_do_is_refused_as_not_done_here() {
    let coded = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n";
    assert_eq!(status(coded), 501);
    assert_eq!(status("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), 505);
}

#[test]
fn malformed_heads_are_refused() {
    for head in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: \r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX y: z\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: y\rz\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /#x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://b/ HTTP/1.1\r\n\r\n",
        "GET http://b/ HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a:x/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://u@a/ HTTP/1.1\r\nHost: u@a\r\n\r\n",
        "GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.10\r\nHost: a\r\n\r\n",
        "GET /\r\n\r\n",
        "GET\r\n\r\n",
        "\r\n \r\n",
        "G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01",
    ] {
        assert_eq!(status(head), 400, "{}", head.escape_debug());
    }
}

#[test]
fn methods_that_tunnel_or_reflect_are_not_allowed() {
    assert_eq!(status("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n"), 405);
    assert_eq!(status("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"), 405);
    assert_eq!(
        status("OPTIONS / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n"),
        417
    );
}

#[test]
fn oversized_heads_are_refused_before_they_end() {
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(HEAD_LIMIT));
    assert_eq!(status(&long), 431);
    let many = format!(
        "GET / HTTP/1.1\r\nHost: a\r\n{}",
        "X: y\r\n".repeat(FIELD_LIMIT)
    );
    assert_eq!(status(&many), 431);
    let target = format!("GET /{}", "x".repeat(HEAD_LIMIT));
    assert_eq!(status(&target), 414);
}

proptest! {
    /// Whatever is taken goes out as one head of one meaning.
    #[test]
    fn what_is_taken_reads_the_same_to_a_strict_reader(
        fields in proptest::collection::vec(
            ("(?i)(host|content-length|transfer-encoding|connection|x-[a-z]{1,5}|te)", "[ -~]{0,12}"), 0..6),
        glue in prop::sample::select(vec!["\r\n", "\r\n", "\r\n", "\n", "\r\n "]),
    ) {
        let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}{glue}")).collect();
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let mut out = BytesMut::new();
        if let Ok(Some((request, _))) = parse(head.as_bytes(), STAMP, &mut out) {
            out.extend_from_slice(b"\r\n");
            let mut again = BytesMut::new();
            let (reread, length) = parse(&out, STAMP, &mut again).unwrap().unwrap();
            prop_assert_eq!(length, out.len());
            prop_assert_eq!(reread.body, request.body);
            prop_assert_eq!(memchr_iter(b'\n', &out).count(), memchr_iter(b'\r', &out).count());
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes, STAMP, &mut BytesMut::new());
    }
}
