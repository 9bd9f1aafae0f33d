use proptest::prelude::*;

use super::*;

const ORIGIN: Origin<'_> = Origin {
    client: "192.0.2.7",
    trust_forwarded: false,
    upstream_authority: "db.example:8848",
};
const TAIL: &str = "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\n";

fn read(head: &str, origin: Origin<'_>) -> Result<Option<(Request, String)>, Malformed> {
    let mut out = BytesMut::new();
    let parsed = parse(head.as_bytes(), origin, &mut out)?;
    Ok(parsed.map(|(request, length)| {
        assert_eq!(length, head.find("\r\n\r\n").unwrap() + 4);
        (request, String::from_utf8(out.to_vec()).unwrap())
    }))
}

fn forwarded(head: &str) -> String {
    read(head, ORIGIN).unwrap().unwrap().1
}

fn status(head: &str) -> u16 {
    match read(head, ORIGIN) {
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
    let origin = Origin {
        trust_forwarded: true,
        ..ORIGIN
    };
    let head = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https\r\n\
        x-forwarded-for: 2.2.2.2\r\n\r\n";
    let (_, out) = read(head, origin).unwrap().unwrap();
    assert_eq!(
        out,
        "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\n\
         X-Forwarded-For: 1.1.1.1, 2.2.2.2, 192.0.2.7\r\n"
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
        assert_eq!(read(&head[..end], ORIGIN), Ok(None), "{end} bytes");
    }
    assert!(read(head, ORIGIN).unwrap().is_some());
}

#[test]
fn an_absolute_target_becomes_a_path() {
    let out = forwarded("GET HTTP://a.example/x?y HTTP/1.1\r\nHost: A.example\r\n\r\n");
    assert!(
        out.starts_with("GET /x?y HTTP/1.1\r\nHost: A.example\r\n"),
        "{out}"
    );
    let out = forwarded("GET http://a.example HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert!(out.starts_with("GET / HTTP/1.1\r\n"), "{out}");
}

#[test]
fn a_request_of_http_1_0_gets_a_host_and_is_not_kept_alive() {
    let (request, out) = read("GET / HTTP/1.0\r\n\r\n", ORIGIN).unwrap().unwrap();
    assert!(request.is_old && !request.keep_alive);
    assert!(
        out.starts_with("GET / HTTP/1.1\r\nHost: db.example:8848\r\n"),
        "{out}"
    );
    let (request, _) = read("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", ORIGIN)
        .unwrap()
        .unwrap();
    assert!(request.keep_alive);
}

#[test]
fn only_a_websocket_is_upgraded() {
    let head = |fields: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let (request, out) = read(
        &head("Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"),
        ORIGIN,
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
        let (request, out) = read(&head(fields), ORIGIN).unwrap().unwrap();
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
        "Transfer-Encoding: gzip, chunked\r\n",
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
        "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://u@a/ HTTP/1.1\r\nHost: u@a\r\n\r\n",
        "GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        "GET /\r\n\r\n",
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
        if let Ok(Some((request, _))) = parse(head.as_bytes(), ORIGIN, &mut out) {
            out.extend_from_slice(b"\r\n");
            let mut again = BytesMut::new();
            let (reread, length) = parse(&out, ORIGIN, &mut again).unwrap().unwrap();
            prop_assert_eq!(length, out.len());
            prop_assert_eq!(reread.body, request.body);
            prop_assert_eq!(memchr_iter(b'\n', &out).count(), memchr_iter(b'\r', &out).count());
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes, ORIGIN, &mut BytesMut::new());
    }
}
