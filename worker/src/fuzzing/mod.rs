//! What the fuzz targets of HTTP messages call: bytes in, a panic where something is not as promised. It is built
//! for fuzzing and for tests alone.
//!
//! What the worker writes is judged by a reader of its own (`strict`) that shares nothing with the worker's.

mod strict;

use bytes::BytesMut;

use crate::{
    http1::answer::{self, Answer, Head},
    http1::body::{Body, Frame, Piece},
    http1::request::{self, Origin, Request},
};
use strict::Framing;

const CLIENT: &str = "192.0.2.7";
const AUTHORITY: &str = "db.example:8848";
const TOKEN_LINE: &[u8] = b"Authorization: Bearer a-token\r\n\r\n";

/// The first byte chooses settings, the others are what a client sends.
pub fn http_request_head(bytes: &[u8]) {
    let Some((&choices, bytes)) = bytes.split_first() else {
        return;
    };
    let origin = Origin {
        client: CLIENT,
        trust_forwarded: choices & 1 != 0,
        upstream_authority: AUTHORITY,
    };
    let mut out = BytesMut::new();
    let Ok(Some((request, length))) = request::parse(bytes, origin, &mut out) else {
        return;
    };
    out.extend_from_slice(TOKEN_LINE);
    judge_request_head(&bytes[..length], &out, request, origin);
    let mut rest = bytes[length..].into();
    if let Some(content) = relay(request.body, request.frame(), &mut rest, &mut out) {
        judge_request(&out, &content);
    }
}

/// The head that was read, in the second reader's view, against the one that was written.
fn judge_request_head(read: &[u8], written: &[u8], request: Request, origin: Origin<'_>) {
    // Empty lines before a request are no part of it.
    let start = read.iter().position(|byte| !b"\r\n".contains(byte));
    let (read, after) = strict::head(&read[start.expect("a head")..]).expect("strictly a head");
    assert!(
        after.is_empty(),
        "the head ends before what was taken of it"
    );
    let (head, after) = strict::head(written).expect("what is written is strictly a head");
    assert!(after.is_empty(), "two heads for one");
    assert!(head.is_request(), "{:?}", head.start);
    assert_eq!(head.start[0], read.start[0], "the method");
    assert!(
        read.start[1].ends_with(head.start[1]) || head.start[1] == b"/",
        "the target"
    );
    assert_eq!(head.all("authorization"), [&b"Bearer a-token"[..]]);
    let host = read.all("host").first().copied();
    assert_eq!(head.all("host"), [host.unwrap_or(AUTHORITY.as_bytes())]);
    assert!(!head.all("x-forwarded-proto").is_empty());
    let forwarded = head.all("x-forwarded-for");
    assert!(forwarded.len() == 1 && forwarded[0].ends_with(CLIENT.as_bytes()));
    assert!(
        origin.trust_forwarded || forwarded[0] == CLIENT.as_bytes(),
        "a claim believed"
    );
    let is_framed_as_said = match (head.framing(), request.body) {
        (Framing::None, body) => body == Body::EMPTY,
        (Framing::Length(said), body) => body == Body::Length(said),
        (Framing::Chunked, body) => body == Body::CHUNKED,
        (Framing::Wrong, _) => false,
    };
    assert!(
        is_framed_as_said,
        "{:?} for {:?}",
        head.framing(),
        request.body
    );
    assert_eq!(
        read.framing(),
        head.framing(),
        "framed in another way than it came"
    );
    for name in [
        "te",
        "trailer",
        "keep-alive",
        "proxy-connection",
        "http2-settings",
        "proxy-authorization",
    ] {
        assert!(head.all(name).is_empty(), "{name} passed on");
    }
    assert_eq!(
        head.all("connection").len(),
        usize::from(request.is_websocket)
    );
    assert_eq!(head.all("upgrade").len(), usize::from(request.is_websocket));
}

/// Exactly one request in `wire`, with this content.
fn judge_request(wire: &[u8], content: &[u8]) {
    let (head, body) = strict::head(wire).expect("judged before");
    let (read, after) = match head.framing() {
        Framing::Chunked => strict::chunked(body).expect("strictly chunks"),
        Framing::Length(length) => {
            let (read, after) = body.split_at(usize::try_from(length).expect("it was all there"));
            (read.to_vec(), after)
        }
        Framing::None | Framing::Wrong => (Vec::new(), body),
    };
    assert_eq!(read, content, "another content than was sent");
    assert!(
        after.is_empty(),
        "a second request: {}",
        after.escape_ascii()
    );
}

/// Passes a body on as the relay does; its content, if it ends within `inbox`.
fn relay(
    mut body: Body,
    frame: Frame,
    inbox: &mut BytesMut,
    out: &mut BytesMut,
) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    loop {
        match body.next(inbox).ok()? {
            Piece::Content(bytes) => {
                let piece = inbox.split_to(bytes);
                frame.put(&piece, out);
                content.extend_from_slice(&piece);
                body.took(bytes);
            }
            // The end of the bytes stands for the end of the connection.
            Piece::More if body != Body::UntilClose => return None,
            Piece::More | Piece::End => break,
        }
    }
    frame.end(out);
    Some(content)
}

/// The first byte chooses the request, the others are what the upstream answers.
pub fn http_answer_head(bytes: &[u8]) {
    let Some((&choices, bytes)) = bytes.split_first() else {
        return;
    };
    let request = Request {
        is_head: choices & 1 != 0,
        is_idempotent: true,
        is_old: choices & 2 != 0,
        keep_alive: choices & 4 != 0,
        expects_continue: false,
        is_websocket: choices & 3 == 0 && choices & 8 != 0,
        body: Body::EMPTY,
    };
    let close = choices & 16 != 0;
    let (mut out, mut rest) = (BytesMut::new(), bytes);
    while let Ok(Some((head, length))) = answer::parse(rest, &request, close, &mut out) {
        rest = &rest[length..];
        match head {
            Head::Interim => {}
            Head::Switched => return judge_switch(&out, &request),
            Head::Final(answer) => {
                let mut inbox = rest.into();
                let content = relay(answer.body, answer.frame, &mut inbox, &mut out);
                return judge_answer(&out, &request, answer, content.as_deref());
            }
        }
    }
}

/// Takes interim heads off the front; none may stand there for a client of HTTP/1.0.
fn after_interim<'a>(mut wire: &'a [u8], request: &Request) -> (strict::Head<'a>, &'a [u8]) {
    loop {
        let (head, rest) = strict::head(wire).expect("what is written is strictly a head");
        let status = head.status().expect("a status line");
        if !(100..200).contains(&status) || status == 101 {
            return (head, rest);
        }
        assert!(!request.is_old, "an interim answer for HTTP/1.0");
        assert_eq!(
            head.framing(),
            Framing::None,
            "an interim answer with a body"
        );
        wire = rest;
    }
}

fn judge_switch(wire: &[u8], request: &Request) {
    let (head, rest) = after_interim(wire, request);
    assert!(request.is_websocket && rest.is_empty());
    assert_eq!(head.status(), Some(101));
    assert_eq!(head.framing(), Framing::None);
}

/// What a client makes of `wire` is what the upstream sent; `content` is `None` where it was cut off.
fn judge_answer(wire: &[u8], request: &Request, answer: Answer, content: Option<&[u8]>) {
    let (head, body) = after_interim(wire, request);
    assert_eq!(head.status(), Some(answer.status));
    assert_ne!(head.framing(), Framing::Wrong);
    let says_close = head.all("connection") == [&b"close"[..]];
    assert_eq!(
        says_close, answer.client_closes,
        "what the client is told of its connection"
    );
    assert!(
        !(request.is_old && head.framing() == Framing::Chunked),
        "chunks for HTTP/1.0"
    );
    let Some(content) = content else { return };
    let has_no_body = request.is_head || matches!(answer.status, 204 | 304);
    let (read, after) = match head.framing() {
        _ if has_no_body => (Vec::new(), body),
        Framing::Chunked => strict::chunked(body).expect("strictly chunks"),
        Framing::Length(length) => {
            let (read, after) = body.split_at(usize::try_from(length).expect("it was all there"));
            (read.to_vec(), after)
        }
        Framing::None | Framing::Wrong => {
            assert!(says_close, "only the end of the connection ends it");
            (body.to_vec(), &b""[..])
        }
    };
    assert_eq!(read, content, "another content than was sent");
    assert!(
        after.is_empty(),
        "a second answer: {}",
        after.escape_ascii()
    );
    assert!(
        answer.status != 204 || head.framing() == Framing::None,
        "a length in a 204"
    );
}

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[cfg(test)]
mod tests {
    use super::{replay::replay, *};

    #[test]
    fn the_corpus_of_requests_is_passed_on_as_promised() {
        let corpus = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../fuzz/corpus/http_request_head"
        );
        replay(corpus, http_request_head);
    }

    #[test]
    fn the_corpus_of_answers_is_passed_on_as_promised() {
        let corpus = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../fuzz/corpus/http_answer_head"
        );
        replay(corpus, http_answer_head);
    }
}
