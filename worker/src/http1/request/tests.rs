//! A request's head as it is read, and as it is written for the upstream.

mod fields;
mod refused;
mod targets;

use bytes::BytesMut;
use memchr::memchr_iter;
use proptest::prelude::*;

use super::*;
use crate::http1::write::{self, Host, Stamp};

const STAMP: Stamp<'_> = Stamp {
    client: "192.0.2.7",
    client_lines: b"X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: ",
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

#[test]
fn a_head_in_pieces_is_waited_for() {
    let head = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for end in 0..head.len() {
        assert_eq!(read_as(&head[..end], STAMP), Ok(None), "{end} bytes");
    }
    assert!(read_as(head, STAMP).unwrap().is_some());
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
