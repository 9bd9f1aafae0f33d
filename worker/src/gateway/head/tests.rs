use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::http1::{
    answer::Answer,
    body::{Body, Frame},
};

const SEAL: Seal<'_> = Seal::PLAIN;
const GET: Request = Request::GET;

fn read(head: &str, request: Request) -> Result<Option<(Head, String)>, Nonsense> {
    let mut out = BytesMut::new();
    let parsed = pass(head.as_bytes(), &request, SEAL, &mut out)?;
    Ok(parsed.map(|(head, _)| (head, String::from_utf8(out.to_vec()).unwrap())))
}

fn answer(head: &str, request: Request) -> (Answer, String) {
    match read(head, request) {
        Ok(Some((Head::Final(answer), out))) => (answer, out),
        other => panic!("{other:?}"),
    }
}

#[test]
fn connection_fields_do_not_reach_the_client() {
    let (answer, out) = answer(
        "HTTP/1.1 200 Fine\r\nDate: today\r\nKeep-Alive: timeout=5\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n\
         Proxy-Connection: x\r\nTrailer: y\r\nServer: s\r\nContent-Length: 3\r\n\r\n",
        GET,
    );
    assert_eq!(
        out,
        "HTTP/1.1 200 Fine\r\nDate: today\r\nServer: s\r\nContent-Length: 3\r\n\r\n"
    );
    assert_eq!((answer.body, answer.frame), (Body::Length(3), Frame::Plain));
    assert!(answer.upstream_stays && !answer.client_closes);
}

#[test]
fn the_first_line_is_written_plainly_however_it_came() {
    let rest = "Date: x\r\nServer: s\r\nContent-Length: 0\r\n\r\n";
    for (came, written) in [
        ("HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\n"),
        ("HTTP/1.1 200 Not at all\r\n", "HTTP/1.1 200 Not at all\r\n"),
        ("HTTP/1.1 299 \r\n", "HTTP/1.1 299 \r\n"),
        ("HTTP/1.1 200\r\n", "HTTP/1.1 200 \r\n"),
        ("HTTP/1.1 200 OK\n", "HTTP/1.1 200 OK\r\n"),
        ("\r\nHTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\n"),
        ("HTTP/1.0 200 OK\r\n", "HTTP/1.1 200 OK\r\n"),
        ("HTTP/1.7 200 OK\r\n", "HTTP/1.1 200 OK\r\n"),
        // What is not ASCII has no meaning (RFC 9112, 4).
        ("HTTP/1.1 200 \u{e9}t\u{e9}\r\n", "HTTP/1.1 200 \r\n"),
    ] {
        let (_, out) = answer(&format!("{came}{rest}"), GET);
        assert_eq!(out, format!("{written}{rest}"), "{came:?}");
    }
}

#[test]
fn the_requests_id_takes_the_place_of_one_that_the_upstream_says() {
    let head = "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 0\r\nx-request-id: other\r\n\r\n";
    let mut out = BytesMut::new();
    let told = Seal {
        request_id: b"X-Request-Id: own\r\n",
        ..SEAL
    };
    pass(head.as_bytes(), &GET, told, &mut out).unwrap();
    let answer_of =
        |id: &str| format!("HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 0\r\n{id}\r\n");
    assert_eq!(out, answer_of("X-Request-Id: own\r\n"));
    assert_eq!(answer(head, GET).1, answer_of("x-request-id: other\r\n"));
}

#[test]
fn a_body_of_unknown_length_is_chunked_for_a_client_that_knows_chunks() {
    let head = "HTTP/1.0 200 OK\r\n\r\n";
    let (modern, out) = answer(head, GET);
    assert_eq!(
        out,
        "HTTP/1.1 200 OK\r\nDate: now\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    assert_eq!(
        (modern.body, modern.frame),
        (Body::UntilClose, Frame::Chunked)
    );
    assert!(!modern.upstream_stays && !modern.client_closes);
    let (old, out) = answer(
        head,
        Request {
            is_old: true,
            ..GET
        },
    );
    assert_eq!(
        out,
        "HTTP/1.1 200 OK\r\nDate: now\r\nConnection: close\r\n\r\n"
    );
    assert!(old.frame == Frame::Plain && old.client_closes);
}

#[test]
fn answers_without_a_body_keep_what_describes_one() {
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";
    let (head, out) = answer(
        length,
        Request {
            is_head: true,
            ..GET
        },
    );
    assert!(head.body.is_over() && out.contains("Content-Length: 9"));
    let (none, out) = answer(
        "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
        GET,
    );
    assert!(
        none.body.is_over() && !out.contains("Transfer-Encoding"),
        "{out}"
    );
    let (unmodified, out) = answer(
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
        GET,
    );
    assert!(unmodified.body.is_over() && out.contains("Content-Length: 9"));
}

#[test]
fn interim_answers_pass_and_a_switch_only_when_asked_for() {
    assert!(
        matches!(read("HTTP/1.1 100 Continue\r\n\r\n", GET), Ok(Some((Head::Interim { closes: false }, out))) if out == "HTTP/1.1 100 Continue\r\n\r\n")
    );
    let old = Request {
        is_old: true,
        ..GET
    };
    assert!(
        matches!(read("HTTP/1.1 103 Early Hints\r\n\r\n", old), Ok(Some((Head::Interim { closes: false }, out))) if out.is_empty())
    );
    let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n";
    assert!(read(switch, GET).is_err());
    let (head, out) = read(
        switch,
        Request {
            is_websocket: true,
            ..GET
        },
    )
    .unwrap()
    .unwrap();
    assert_eq!(head, Head::Switched);
    assert!(
        out.ends_with(
            "Sec-WebSocket-Accept: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        ),
        "{out}"
    );
}

#[test]
fn an_interim_answer_may_announce_the_end() {
    let closing = read("HTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\n", GET);
    assert!(matches!(
        closing,
        Ok(Some((Head::Interim { closes: true }, _)))
    ));
}

#[test]
fn an_answer_with_two_meanings_is_no_answer() {
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: y\r\n folded\r\n\r\n",
        "HTTP/1.1 099 Low\r\n\r\n",
        "HTTP/2 200\r\n\r\n",
        "<html>",
    ] {
        assert!(read(head, GET).is_err(), "{}", head.escape_debug());
    }
}

#[test]
fn a_later_version_is_read_as_1_1() {
    let (answer, out) = answer(
        "HTTP/1.2 200 OK\r\nDate: d\r\nContent-Length: 0\r\n\r\n",
        GET,
    );
    assert_eq!(
        out,
        "HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 0\r\n\r\n"
    );
    assert!(answer.upstream_stays);
    assert_eq!(read("HTTP/1.2", GET), Ok(None));
}

#[test]
fn an_answer_after_which_more_could_come_ends_the_upstream_connection() {
    for (head, stays) in [
        ("HTTP/1.1 204 No\r\n\r\n", true),
        ("HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n", true),
        ("HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", false),
        (
            "HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n",
            false,
        ),
        ("HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n", false),
        (
            "HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\n",
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            true,
        ),
        (
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n",
            false,
        ),
        (
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n",
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 1\r\n\r\n",
            false,
        ),
    ] {
        assert_eq!(
            answer(head, GET).0.upstream_stays,
            stays,
            "{}",
            head.escape_debug()
        );
    }
}

#[test]
fn a_coding_that_is_none_changes_nothing() {
    let (identity, _) = answer(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
        GET,
    );
    assert_eq!(
        (identity.body, identity.frame),
        (Body::UntilClose, Frame::Chunked)
    );
}

#[test]
fn how_long_the_upstream_keeps_its_connection_is_read() {
    let told = |value: &str| {
        answer(
            &format!("HTTP/1.1 200 OK\r\nKeep-Alive: {value}\r\nContent-Length: 0\r\n\r\n"),
            GET,
        )
        .0
        .keep_for
    };
    assert_eq!(told("timeout=5, max=100"), Some(Duration::from_secs(5)));
    assert_eq!(told("max=100, Timeout=0"), Some(Duration::ZERO));
    for value in ["", "max=100", "timeout", "timeout=", "timeout=x", "300"] {
        assert_eq!(told(value), None, "{value}");
    }
}

#[test]
fn nonsense_says_which_line_it_is_in() {
    for (fields, word) in [
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "more than one Transfer-Encoding",
        ),
        ("Transfer-Encoding: gzip, chunked", "Transfer-Encoding line"),
        ("Content-Length: x", "Content-Length"),
        ("X: y\r\n folded", "folded"),
    ] {
        let Err(Nonsense(details)) = read(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n"), GET)
        else {
            panic!("{fields} was taken")
        };
        assert!(details.contains(word), "{fields}: {details}");
    }
}

#[test]
fn a_trailer_is_announced_where_it_is_passed_on() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n";
    assert!(answer(head, GET).1.contains("\r\nTrailer: X\r\n"));
    let old = Request {
        is_old: true,
        ..GET
    };
    assert!(!answer(head, old).1.contains("Trailer"));
}

#[test]
fn two_lengths_end_the_upstream_connection() {
    let (answer, out) = answer(
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        GET,
    );
    assert_eq!(answer.body, Body::CHUNKED_LENIENT);
    assert!(
        !answer.upstream_stays && !out.contains("Content-Length"),
        "{out}"
    );
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = pass(&bytes, &GET, SEAL, &mut BytesMut::new());
    }
}
