//! The head of an upstream's answer for the client.

use std::{ops::Range, time::Duration};

use bytes::BytesMut;

use super::{lines::Lines, put, put_length};
use crate::{
    http1::answer::{Answer, AnswerHead},
    http1::body::{Body, Frame},
    http1::request::Request,
    message::field::Field,
    message::head::Span,
};

/// Tells browsers to come with TLS alone (RFC 6797).
const HSTS: &[u8] = b"Strict-Transport-Security";

/// What the gateway says in an answer besides the upstream's own fields.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seal<'a> {
    /// The client's connection ends with the answer.
    pub(crate) close: bool,
    /// How long it may be idle, if the client is to know.
    pub(crate) keep_alive: Option<Duration>,
    /// A whole `Date` line, for an answer without one (RFC 9110, 6.6.1).
    pub(crate) date: &'a [u8],
    /// Whole lines of the gateway's own.
    pub(crate) fields: &'a [u8],
    /// The line that tells the client to come with TLS alone, instead of the upstream's own; empty: there is none.
    pub(crate) hsts: &'a [u8],
    /// The line that tells the request's id, instead of the upstream's own; empty: it has none.
    pub(crate) request_id: &'a [u8],
}

#[cfg(test)]
impl Seal<'_> {
    /// Nothing special, on a day without a name.
    pub(crate) const PLAIN: Self = Self {
        close: false,
        keep_alive: None,
        date: b"Date: now\r\n",
        fields: b"",
        hsts: b"",
        request_id: b"",
    };
}

/// What becomes of the client's connection. An HTTP/1.0 client takes silence for its end, a newer one for its going on.
#[inline(never)]
pub(super) fn put_connection(is_old: bool, seal: Seal<'_>, out: &mut BytesMut) {
    use std::fmt::Write as _;
    if seal.close {
        put(out, &[b"Connection: close\r\n"]);
    } else if is_old || seal.keep_alive.is_some() {
        put(out, &[b"Connection: keep-alive\r\n"]);
    }
    if let Some(limit) = seal.keep_alive.filter(|_| !seal.close) {
        // Writing to a buffer that grows cannot fail.
        let _ = write!(out, "Keep-Alive: timeout={}\r\n", limit.as_secs());
    }
}

/// Appends a 1xx answer's head.
pub(crate) fn interim(head: &AnswerHead<'_>, out: &mut BytesMut) {
    let line = put_line(head, out);
    put_fields(head, line, (None, None), out);
    put(out, &[b"\r\n"]);
}

/// Appends the head after which the connection is a WebSocket.
pub(crate) fn switch(head: &AnswerHead<'_>, seal: Seal<'_>, out: &mut BytesMut) {
    let line = put_line(head, out);
    put_fields(head, line, (None, Some(seal)), out);
    put(
        out,
        &[
            seal.fields,
            seal.hsts,
            seal.request_id,
            b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        ],
    );
}

/// Appends the head of the answer proper.
pub(crate) fn answer(
    head: &AnswerHead<'_>,
    answer: Answer,
    request: &Request,
    seal: Seal<'_>,
    out: &mut BytesMut,
) {
    let line = put_line(head, out);
    put_fields(head, line, (Some(answer), Some(seal)), out);
    let own = [seal.fields, seal.hsts, seal.request_id];
    // Most have none.
    if own.iter().any(|lines| !lines.is_empty()) {
        put(out, &own);
    }
    if !head.has_date {
        put(out, &[seal.date]);
    }
    match head.length {
        // The line has passed.
        Some(_) if head.is_length_plain && tells_length(head) => {}
        Some(length) if tells_length(head) => put_length(out, length),
        _ if answer.frame == Frame::Chunked => put(out, &[b"Transfer-Encoding: chunked\r\n"]),
        _ => {}
    }
    let close = answer.client_closes;
    // There is nothing to be said of most.
    if close || request.is_old || seal.keep_alive.is_some() {
        put_connection(request.is_old, Seal { close, ..seal }, out);
    }
    put(out, &[b"\r\n"]);
}

/// Whether the length is said. To HEAD, and in a 304, it tells the length that a body would have; a 204 has none.
fn tells_length(head: &AnswerHead<'_>) -> bool {
    !head.is_chunked && head.status != 204
}

/// The first line: where it stands, if it came as it would be written, which is left to do then.
fn put_line(head: &AnswerHead<'_>, out: &mut BytesMut) -> Range<usize> {
    let came = head.bytes.strip_prefix(b"HTTP/1.1 ");
    let reason = came.and_then(|line| line.get(3..)?.strip_prefix(b" "));
    let rest = reason.and_then(|reason| reason.strip_prefix(head.reason.as_bytes()));
    if let Some(rest) = rest.and_then(|rest| rest.strip_prefix(b"\r\n")) {
        return 0..head.bytes.len() - rest.len();
    }
    // The parser took three digits.
    let digits =
        [100, 10, 1].map(|place| b'0' + u8::try_from(head.status / place % 10).unwrap_or(0));
    put(
        out,
        &[b"HTTP/1.1 ", &digits, b" ", head.reason.as_bytes(), b"\r\n"],
    );
    0..0
}

/// The fields that concern the client, behind `line`; not the upstream's own where `seal` tells the same.
fn put_fields(
    head: &AnswerHead<'_>,
    line: Range<usize>,
    (answer, seal): (Option<Answer>, Option<Seal<'_>>),
    out: &mut BytesMut,
) {
    let tells_id = seal.is_some_and(|seal| !seal.request_id.is_empty());
    let tells_hsts = seal.is_some_and(|seal| !seal.hsts.is_empty());
    let is_hsts = |name: &str| name.as_bytes().eq_ignore_ascii_case(HSTS);
    let mut lines = Lines::of(head.bytes, line);
    for (known, field) in head.fields() {
        let passes = match known {
            // Names that mislead a CGI program mislead no client.
            Field::Other
            | Field::Misleading
            | Field::RequestId
            | Field::TraceParent
            | Field::TraceState => {
                let is_told =
                    tells_id && known == Field::RequestId || tells_hsts && is_hsts(field.name);
                !is_told && !head.options.nominate(field.name.as_bytes())
            }
            Field::Authorization
            | Field::Date
            | Field::Expect
            | Field::Forwarded
            | Field::ForwardedFor
            | Field::ForwardedHost
            | Field::ForwardedProto
            | Field::GrpcStatus
            | Field::Host
            | Field::Via => true,
            Field::Trailer => answer.is_some_and(|answer| {
                matches!(answer.body, Body::Chunked(_)) && answer.frame == Frame::Chunked
            }),
            Field::ContentLength => answer.is_some() && head.is_length_plain && tells_length(head),
            Field::Connection
            | Field::HopByHop
            | Field::KeepAlive
            | Field::Te
            | Field::TransferEncoding
            | Field::Upgrade => false,
        };
        if passes {
            let (name, value) = (field.name.as_bytes(), field.value);
            lines.pass(Span::of(name, head.bytes), Span::of(value, head.bytes), out);
        }
    }
    lines.end(out);
}
