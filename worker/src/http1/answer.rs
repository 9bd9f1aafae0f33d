//! The upstream's answer head: read, and written anew for the client.

use std::mem::MaybeUninit;

use bytes::BytesMut;
use httparse::{Header, ParserConfig, Status};

use crate::{
    http1::body::{Body, Frame},
    http1::request::{Request, put, put_length},
    message::headers::{FIELD_LIMIT, Field, HEAD_LIMIT, Options, content_length},
};

/// What the rest of the exchange has to know about an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Its body, as the upstream sends it.
    pub(crate) body: Body,
    /// How the body is written to the client.
    pub(crate) frame: Frame,
    /// The upstream will take another request on the connection.
    pub(crate) upstream_stays: bool,
    /// The client was told, or knows by its version or the framing, that its connection ends with the answer.
    pub(crate) client_closes: bool,
}

/// A head that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Head {
    /// 1xx: another head follows.
    Interim,
    /// 101: from here on the connection is a WebSocket.
    Switched,
    /// The answer.
    Final(Answer),
}

/// The upstream does not speak HTTP/1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nonsense(pub(crate) &'static str);

/// Reads the head at the front of `bytes`; `None`: it has not ended yet. The head for the client is appended to `out`,
/// announcing the end of the connection if `close`. Also returns the length of the head that was read.
pub(crate) fn parse(
    bytes: &[u8],
    request: &Request,
    close: bool,
    out: &mut BytesMut,
) -> Result<Option<(Head, usize)>, Nonsense> {
    let mut fields = [const { MaybeUninit::uninit() }; FIELD_LIMIT];
    let mut parsed = httparse::Response::new(&mut []);
    let mut parser = ParserConfig::default();
    // No harm: the line is written anew.
    parser.allow_spaces_after_header_name_in_responses(true);
    let length = match parser.parse_response_with_uninit_headers(&mut parsed, bytes, &mut fields) {
        Ok(Status::Complete(length)) if length <= HEAD_LIMIT => length,
        Ok(Status::Partial) if bytes.len() < HEAD_LIMIT => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => {
            return Err(Nonsense("the head of the answer is too large"));
        }
        Err(_) => return Err(Nonsense("the head of the answer is malformed")),
    };
    let (Some(status), Some(version)) = (parsed.code, parsed.version) else {
        return Err(Nonsense("the head of the answer is incomplete"));
    };
    let line = Line {
        status,
        reason: parsed.reason.unwrap_or(""),
        is_old: version == 0,
    };
    let facts = Facts::gather(parsed.headers)?;
    let head = match status {
        101 if request.is_websocket => {
            line.put(out);
            facts.put_fields(parsed.headers, out);
            put(out, &[b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"]);
            Head::Switched
        }
        101 => return Err(Nonsense("it switched protocols unasked")),
        100..200 => {
            // HTTP/1.0 knows none of these.
            if !request.is_old {
                line.put(out);
                facts.put_fields(parsed.headers, out);
                put(out, &[b"\r\n"]);
            }
            Head::Interim
        }
        200.. => {
            let answer = facts.answer(line, request, close);
            line.put(out);
            facts.put_fields(parsed.headers, out);
            facts.put_framing(answer, request, out);
            Head::Final(answer)
        }
        _ => return Err(Nonsense("its status is below 100")),
    };
    Ok(Some((head, length)))
}

/// The status line.
#[derive(Debug, Clone, Copy)]
struct Line<'a> {
    status: u16,
    reason: &'a str,
    is_old: bool,
}

impl Line<'_> {
    fn put(self, out: &mut BytesMut) {
        // The parser took three digits.
        let digits =
            [100, 10, 1].map(|place| b'0' + u8::try_from(self.status / place % 10).unwrap_or(0));
        put(
            out,
            &[b"HTTP/1.1 ", &digits, b" ", self.reason.as_bytes(), b"\r\n"],
        );
    }
}

/// What the fields say, taken together.
struct Facts<'a> {
    options: Options<'a>,
    length: Option<u64>,
    is_chunked: bool,
}

impl<'a> Facts<'a> {
    fn gather(fields: &[Header<'a>]) -> Result<Self, Nonsense> {
        let mut facts = Self {
            options: Options::default(),
            length: None,
            is_chunked: false,
        };
        for field in fields {
            match Field::of(field.name) {
                Field::Connection => facts.options.add(field.value),
                Field::ContentLength => {
                    let length = content_length(field.value)
                        .ok_or(Nonsense("its Content-Length is not a number"))?;
                    if facts
                        .length
                        .replace(length)
                        .is_some_and(|other| other != length)
                    {
                        return Err(Nonsense("it has two different Content-Lengths"));
                    }
                }
                Field::TransferEncoding
                    if facts.is_chunked || !field.value.eq_ignore_ascii_case(b"chunked") =>
                {
                    return Err(Nonsense("it has a Transfer-Encoding other than chunked"));
                }
                Field::TransferEncoding => facts.is_chunked = true,
                _ => {}
            }
        }
        Ok(facts)
    }

    fn answer(&self, line: Line<'_>, request: &Request, close: bool) -> Answer {
        let body = if request.is_head || matches!(line.status, 204 | 304) {
            Body::EMPTY
        } else if self.is_chunked {
            Body::CHUNKED
        } else {
            self.length.map_or(Body::UntilClose, Body::Length)
        };
        let is_measured = matches!(body, Body::Length(_));
        Answer {
            status: line.status,
            body,
            frame: if is_measured || request.is_old {
                Frame::Plain
            } else {
                Frame::Chunked
            },
            upstream_stays: !self.options.close
                && (!line.is_old || self.options.keep_alive)
                && body != Body::UntilClose
                // Two lengths: what follows the body is anybody's guess (RFC 9112, 6.3).
                && !(self.is_chunked && self.length.is_some()),
            // Without chunks only the connection's end can end a body of unknown length.
            client_closes: close || !request.keep_alive || request.is_old && !is_measured,
        }
    }

    /// The fields that concern the client.
    fn put_fields(&self, fields: &[Header<'_>], out: &mut BytesMut) {
        for field in fields {
            let pass = match Field::of(field.name) {
                Field::Other => !self.options.nominate(field.name),
                Field::Authorization
                | Field::Expect
                | Field::ForwardedFor
                | Field::ForwardedProto
                | Field::Host => true,
                Field::Connection
                | Field::ContentLength
                | Field::HopByHop
                | Field::TransferEncoding
                | Field::Upgrade => false,
            };
            if pass {
                put(out, &[field.name.as_bytes(), b": ", field.value, b"\r\n"]);
            }
        }
    }

    /// The fields that frame the body and end the connection, and the end of the head.
    fn put_framing(&self, answer: Answer, request: &Request, out: &mut BytesMut) {
        match self.length {
            // To HEAD, and in a 304, it tells the length that a body would have; a 204 has none.
            Some(length) if !self.is_chunked && answer.status != 204 => put_length(out, length),
            _ if answer.frame == Frame::Chunked => put(out, &[b"Transfer-Encoding: chunked\r\n"]),
            _ => {}
        }
        if answer.client_closes {
            put(out, &[b"Connection: close\r\n"]);
        } else if request.is_old {
            put(out, &[b"Connection: keep-alive\r\n"]);
        }
        put(out, &[b"\r\n"]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GET: Request = Request {
        is_head: false,
        is_idempotent: true,
        is_old: false,
        keep_alive: true,
        is_websocket: false,
        expects_continue: false,
        body: Body::EMPTY,
    };

    fn read(head: &str, request: Request) -> Result<Option<(Head, String)>, Nonsense> {
        let mut out = BytesMut::new();
        let parsed = parse(head.as_bytes(), &request, false, &mut out)?;
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
    fn a_body_of_unknown_length_is_chunked_for_a_client_that_knows_chunks() {
        let head = "HTTP/1.0 200 OK\r\n\r\n";
        let (modern, out) = answer(head, GET);
        assert_eq!(out, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
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
        assert_eq!(out, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
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
            matches!(read("HTTP/1.1 100 Continue\r\n\r\n", GET), Ok(Some((Head::Interim, out))) if out == "HTTP/1.1 100 Continue\r\n\r\n")
        );
        let old = Request {
            is_old: true,
            ..GET
        };
        assert!(
            matches!(read("HTTP/1.1 103 Early Hints\r\n\r\n", old), Ok(Some((Head::Interim, out))) if out.is_empty())
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
    fn two_lengths_end_the_upstream_connection() {
        let (answer, out) = answer(
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            GET,
        );
        assert_eq!(answer.body, Body::CHUNKED);
        assert!(
            !answer.upstream_stays && !out.contains("Content-Length"),
            "{out}"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes, &GET, false, &mut BytesMut::new());
        }
    }
}
