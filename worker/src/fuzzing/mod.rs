//! What the fuzz targets of HTTP messages call: bytes in, a panic where something is not as promised. It is built
//! for fuzzing and for tests alone.
//!
//! What the worker writes is judged by a reader of its own (`strict`) that shares nothing with the worker's.

mod strict;

use bytes::BytesMut;

use crate::{
    gateway::head,
    http1::answer::{Answer, Head},
    http1::body::{Body, Frame, Piece},
    http1::request::{self, Request},
    http1::write::{self, Host, Seal, Stamp},
    message::head::Head as RequestHead,
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
    let lines = write::client_lines(CLIENT, false).into_bytes();
    let stamp = Stamp {
        client: CLIENT,
        client_lines: &lines,
        trust_forwarded: choices & 1 != 0,
        passes_authorization: false,
        replaces: None,
        is_secure: false,
        host: Host::Client { or: AUTHORITY },
        request_id: None,
        trace: None,
    };
    let (mut head, mut out) = (RequestHead::default(), BytesMut::new());
    let Ok(Some((request, length))) = request::read(bytes, &mut head) else {
        return;
    };
    write::request(&head, &request, stamp, TOKEN_LINE, &mut out);
    judge_request_head(&bytes[..length], &out, request, stamp);
    judge_reread(&head, &out, request);
    let mut rest = bytes[length..].into();
    if let Some(content) = relay(request.body, request.frame(), &mut rest, &mut out) {
        judge_request(&out, &content);
    }
}

/// The head that was read, in the second reader's view, against the one that was written.
fn judge_request_head(read: &[u8], written: &[u8], request: Request, stamp: Stamp<'_>) {
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
    let (asked, authority) = target(read.start[0], read.start[1]);
    assert_eq!(head.start[1], asked, "the target");
    assert_eq!(head.all("authorization"), [&b"Bearer a-token"[..]]);
    let host = authority.or_else(|| read.all("host").first().copied());
    assert_eq!(head.all("host"), [host.unwrap_or(AUTHORITY.as_bytes())]);
    judge_claims(&head, host, stamp);
    judge_frame(&read, &head, request);
    judge_hop_fields(&head, request);
}

/// What the written head says of where the request comes from.
fn judge_claims(head: &strict::Head<'_>, host: Option<&[u8]>, stamp: Stamp<'_>) {
    assert!(!head.all("x-forwarded-proto").is_empty());
    let via = head.all("via");
    assert!(
        via.last().is_some_and(|hop| hop.ends_with(b" tpp")),
        "{via:?}"
    );
    for name in [
        "forwarded",
        "x-real-ip",
        "x-forwarded-port",
        "true-client-ip",
    ] {
        assert!(
            stamp.trust_forwarded || head.all(name).is_empty(),
            "{name} passed on"
        );
    }
    for (name, _) in &head.fields {
        let sound = name.replace('_', "-");
        assert!(
            sound == *name
                || !sound.starts_with("x-forwarded-")
                    && sound != "content-length"
                    && sound != "transfer-encoding",
            "{name} passed on"
        );
    }
    if !stamp.trust_forwarded {
        let told = head.all("x-forwarded-host");
        assert_eq!(told, host.into_iter().collect::<Vec<_>>());
    }
    let forwarded = head.all("x-forwarded-for");
    assert!(forwarded.len() == 1 && forwarded[0].ends_with(CLIENT.as_bytes()));
    assert!(
        stamp.trust_forwarded || forwarded[0] == CLIENT.as_bytes(),
        "a claim believed"
    );
}

/// Where the body ends, by the head that was read and by the one that was written.
fn judge_frame(read: &strict::Head<'_>, head: &strict::Head<'_>, request: Request) {
    let is_framed_as_said = match (head.framing(), request.body) {
        (Framing::None, body) => body == Body::EMPTY,
        (Framing::Length(said), body) => body == Body::Length(said),
        (Framing::Chunked, body) => matches!(body, Body::Chunked(_)),
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
}

/// What is for one hop alone.
fn judge_hop_fields(head: &strict::Head<'_>, request: Request) {
    for name in [
        "te",
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

/// What a target asks for, and whom, by a second reader's lights.
fn target<'a>(method: &[u8], target: &'a [u8]) -> (Vec<u8>, Option<&'a [u8]>) {
    if target[0] == b'/' || target == b"*" {
        return (target.to_vec(), None);
    }
    let rest = &target[b"http://".len()..];
    let end = rest.iter().position(|byte| b"/?".contains(byte));
    let (authority, path) = rest.split_at(end.unwrap_or(rest.len()));
    let path = match path {
        [] if method == b"OPTIONS" => b"*".to_vec(),
        [b'/', ..] => path.to_vec(),
        _ => [b"/", path].concat(),
    };
    (path, Some(authority))
}

/// What is written is read as the same request.
fn judge_reread(head: &RequestHead, written: &[u8], request: Request) {
    let mut again = RequestHead::default();
    let (reread, length) = request::read(written, &mut again)
        .ok()
        .flatten()
        .expect("what is written can be read");
    assert_eq!(length, written.len());
    assert_eq!((again.method(), again.path()), (head.method(), head.path()));
    assert_eq!(
        again.authority(),
        head.authority().or(Some(AUTHORITY.as_bytes()))
    );
    assert_eq!(again.hops, head.hops + 1);
    assert_eq!(reread.is_websocket, request.is_websocket);
    assert_eq!(reread.frame(), request.frame());
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
    mut frame: Frame,
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
            Piece::Trailer(bytes) => {
                frame.put_trailer(&inbox.split_to(bytes), out);
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
        is_safe: true,
        is_old: choices & 2 != 0,
        keep_alive: choices & 4 != 0,
        expects_continue: false,
        is_websocket: choices & 3 == 0 && choices & 8 != 0,
        body: Body::EMPTY,
    };
    let seal = Seal {
        close: choices & 16 != 0,
        keep_alive: None,
        date: b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
        fields: b"",
        hsts: b"",
        request_id: b"",
    };
    let (mut out, mut rest) = (BytesMut::new(), bytes);
    while let Ok(Some((head, length))) = head::pass(rest, &request, seal, &mut out) {
        rest = &rest[length..];
        match head {
            Head::Interim { .. } => {}
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
    assert!(!head.all("date").is_empty(), "no date");
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
