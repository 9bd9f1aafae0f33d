//! An answer's head for the client: the upstream's, or one of tpp's own.

use std::{ops::Range, time::Duration};

use bytes::BytesMut;

use super::{lines::Lines, put, put_length};
use crate::{
    http1::answer::{Answer, AnswerHead},
    http1::body::{Body, Frame},
    http1::request::Request,
    message::field::Field,
    message::grpc,
    message::head::{Head, Span},
    message::reply::Reply,
};

/// After how many seconds a client may try again that was sent away for a reason that passes at once.
const SOON: u64 = 1;
/// Tells browsers to come with TLS alone (RFC 6797).
const HSTS: &[u8] = b"Strict-Transport-Security";
/// Methods that are known to be passed on; those that are refused are not among them (RFC 9110, 15.5.6).
const ALLOW: &[u8] = b"Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n";

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

/// Appends an answer of tpp's own to `out`. `asked` is what it answers, if that could be read. Returns how long its body is.
pub(crate) fn reply(
    reply: &Reply,
    asked: Option<(&Request, &Head)>,
    seal: Seal<'_>,
    out: &mut BytesMut,
) -> usize {
    let request = asked.map(|(request, _)| request);
    if let Some(content_type) = asked.and_then(|(_, head)| grpc::content_type(head)) {
        put_grpc(reply, content_type, seal, out);
        return 0;
    }
    let body = reply.body();
    put(
        out,
        &[
            b"HTTP/1.1 ",
            reply.status_line().as_bytes(),
            b"\r\nContent-Type: ",
            reply.content_type().as_bytes(),
            b"\r\n",
            seal.date,
        ],
    );
    put_length(out, body.len() as u64);
    if reply.status() == 405 {
        put(out, &[ALLOW]);
    }
    put_retry_after(reply, out);
    put(
        out,
        &[reply.fields().as_bytes(), seal.hsts, seal.request_id],
    );
    put_connection(request.is_some_and(|request| request.is_old), seal, out);
    put(out, &[b"\r\n"]);
    if request.is_some_and(|request| request.is_head) {
        return 0;
    }
    put(out, &[body.as_bytes()]);
    body.len()
}

/// The same for a caller of gRPC, who looks for its own status and not for that of HTTP: a head that is all of the answer.
fn put_grpc(reply: &Reply, content_type: &str, seal: Seal<'_>, out: &mut BytesMut) {
    use std::fmt::Write as _;
    // Writing to a buffer that grows cannot fail.
    let _ = write!(
        out,
        "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\ngrpc-status: {}\r\ngrpc-message: ",
        grpc::status(reply.status()),
    );
    grpc::put_message(reply.details(), out);
    put(out, &[b"\r\n", seal.date]);
    put_length(out, 0);
    put_retry_after(reply, out);
    put(
        out,
        &[reply.fields().as_bytes(), seal.hsts, seal.request_id],
    );
    put_connection(false, seal, out);
    put(out, &[b"\r\n"]);
}

/// When it is worth coming again, for one that was told to wait.
fn put_retry_after(reply: &Reply, out: &mut BytesMut) {
    use std::fmt::Write as _;
    if matches!(reply.status(), 429 | 503) {
        let seconds = reply.retry_after().unwrap_or(SOON);
        // Writing to a buffer that grows cannot fail.
        let _ = write!(out, "Retry-After: {seconds}\r\n");
    }
}

/// What becomes of the client's connection. An HTTP/1.0 client takes silence for its end, a newer one for its going on.
#[inline(never)]
fn put_connection(is_old: bool, seal: Seal<'_>, out: &mut BytesMut) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{http1::request, message::reply::Malformed};

    const SEAL: Seal<'_> = Seal::PLAIN;
    const GET: Request = Request::GET;

    fn written(what: &Reply, request: Option<&Request>, seal: Seal<'_>) -> String {
        let mut out = BytesMut::new();
        let head = Head::default();
        reply(
            what,
            request.map(|request| (request, &head)),
            seal,
            &mut out,
        );
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn a_reply_is_json_of_the_announced_length() {
        let reply = Reply::bad_gateway("it said \"no\"");
        let body = "{\"error\":\"bad gateway\",\"details\":\"it said \\\"no\\\"\"}";
        let head = format!(
            "HTTP/1.1 502 Bad Gateway\r\nContent-Type: application/json\r\nDate: now\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            body.len()
        );
        let close = Seal {
            close: true,
            ..SEAL
        };
        assert_eq!(written(&reply, None, close), format!("{head}{body}"));
        let is_head = Request {
            is_head: true,
            ..GET
        };
        assert_eq!(written(&reply, Some(&is_head), close), head);
    }

    #[test]
    fn who_is_refused_is_told_what_would_do() {
        let busy = written(&Reply::no_token("x"), Some(&GET), SEAL);
        assert!(busy.contains("\r\nRetry-After: 1\r\n"), "{busy}");
        let later = written(&Reply::no_token("x").after(17), Some(&GET), SEAL);
        assert!(later.contains("\r\nRetry-After: 17\r\n"), "{later}");
        let not_allowed = Malformed {
            status: 405,
            details: "x",
        };
        let not_allowed = written(&not_allowed.into(), None, SEAL);
        assert!(not_allowed.contains("\r\nAllow: GET, "), "{not_allowed}");
    }

    #[test]
    fn a_caller_of_grpc_is_told_by_a_status_of_its_own() {
        let mut head = Head::default();
        let text =
            b"POST /a.B/C HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc+proto\r\n\r\n";
        let (request, _) = request::read(text, &mut head).unwrap().unwrap();
        let mut out = BytesMut::new();
        let what = Reply::too_many_requests("too many: 100 %").after(7);
        assert_eq!(reply(&what, Some((&request, &head)), SEAL, &mut out), 0);
        assert_eq!(
            String::from_utf8_lossy(&out),
            "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\ngrpc-status: 8\r\n\
             grpc-message: too many: 100 %25\r\nDate: now\r\nContent-Length: 0\r\nRetry-After: 7\r\n\r\n"
        );
        // The rest is what any client is told.
        out.clear();
        let seal = Seal {
            hsts: b"Strict-Transport-Security: max-age=1\r\n",
            ..SEAL
        };
        reply(
            &Reply::no_token("x"),
            Some((&request, &head)),
            seal,
            &mut out,
        );
        let told = String::from_utf8_lossy(&out);
        assert!(
            told.contains("\r\nRetry-After: 1\r\nStrict-Transport-Security: max-age=1\r\n"),
            "{told}"
        );
    }

    #[test]
    fn a_client_is_told_of_its_connection_what_it_would_not_take_for_granted() {
        let old = Request {
            is_old: true,
            ..GET
        };
        let connection = |request: &Request, seal| {
            let reply = written(&Reply::no_token("x"), Some(request), seal);
            let lines = reply
                .split("\r\n")
                .filter(|line| line.contains("onnection:") || line.starts_with("Keep"));
            lines.collect::<Vec<_>>().join(", ")
        };
        let hint = Seal {
            keep_alive: Some(Duration::from_secs(60)),
            ..SEAL
        };
        assert_eq!(connection(&GET, SEAL), "");
        assert_eq!(connection(&old, SEAL), "Connection: keep-alive");
        assert_eq!(
            connection(&GET, hint),
            "Connection: keep-alive, Keep-Alive: timeout=60"
        );
        assert_eq!(
            connection(
                &GET,
                Seal {
                    close: true,
                    ..hint
                }
            ),
            "Connection: close"
        );
        assert_eq!(
            connection(
                &old,
                Seal {
                    close: true,
                    ..SEAL
                }
            ),
            "Connection: close"
        );
    }
}
