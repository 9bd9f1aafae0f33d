//! A request's head for the upstream.

use std::ops::Range;

use bytes::BytesMut;

use super::{lines::Lines, put, put_length};
use crate::{
    http1::body::Body, http1::request::Request, message::field::Field, message::field::sounds_like,
    message::head::Head,
};

/// What the gateway says in a request besides the client's own fields.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp<'a> {
    /// The client's address.
    pub(crate) client: &'a str,
    /// Its [`client_lines`].
    pub(crate) client_lines: &'a [u8],
    /// Believe and keep what the client says of others before it: `Forwarded`, `X-Forwarded-*` and their like.
    pub(crate) trust_forwarded: bool,
    /// What the client says in `Authorization` is for this server.
    pub(crate) passes_authorization: bool,
    /// A field that the gateway writes in the client's stead, in lower case, besides `Authorization`.
    pub(crate) replaces: Option<&'a [u8]>,
    pub(crate) host: Host<'a>,
    /// Whether the client came by TLS.
    pub(crate) is_secure: bool,
    /// The line that tells the request's id, if the client's own does not.
    pub(crate) request_id: Option<&'a [u8]>,
    /// The request's place in its trace; `None`: what the client says of one passes as it came.
    pub(crate) trace: Option<TraceLine<'a>>,
}

/// What is said of a trace in the client's stead.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TraceLine<'a> {
    /// The whole `traceparent`.
    pub(crate) line: &'a [u8],
    /// The client's `tracestate` belongs to it.
    pub(crate) keeps_state: bool,
}

impl Stamp<'_> {
    /// Whether it says what an ordinary field of the client's says, or denies it.
    fn stands_for(&self, field: Field, name: &[u8]) -> bool {
        let is_told = match field {
            Field::RequestId => self.request_id.is_some(),
            // To a CGI program it is the same (RFC 3875, 4.1.18).
            Field::Other => self.request_id.is_some() && sounds_like(name, b"x-request-id"),
            Field::TraceParent => self.trace.is_some(),
            Field::TraceState => self.trace.is_some_and(|trace| !trace.keeps_state),
            _ => false,
        };
        is_told || self.replaces.is_some_and(|own| sounds_like(name, own))
    }
}

/// Begins the line that tells which host was asked.
const FORWARDED_HOST: &[u8] = b"X-Forwarded-Host: ";

/// What is said of a client at `address` that is not believed what it says of others: the same for all requests of its connection, up to
/// the host that one asks.
pub(crate) fn client_lines(address: &str, is_secure: bool) -> String {
    let proto = proto(is_secure);
    format!("X-Forwarded-For: {address}\r\nX-Forwarded-Proto: {proto}\r\nX-Forwarded-Host: ")
}

fn proto(is_secure: bool) -> &'static str {
    if is_secure { "https" } else { "http" }
}

/// The `Host` that the upstream gets.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Host<'a> {
    /// The one that the client asks; this one, if it did not say (HTTP/1.0).
    Client { or: &'a str },
    /// The upstream's own.
    Upstream(&'a str),
}

/// Appends a request's head to `out`, up to and with `end`: its last fields and the empty line.
pub(crate) fn request(
    head: &Head,
    request: &Request,
    stamp: Stamp<'_>,
    end: &[u8],
    out: &mut BytesMut,
) {
    let first = put_first(head, stamp.host, out);
    put_fields(head, first, request, stamp, out);
    match request.body {
        Body::Length(length) if length > 0 || head.has(Field::ContentLength) => {
            put_length(out, length);
        }
        Body::Chunked(_) => put(out, &[b"Transfer-Encoding: chunked\r\n"]),
        Body::Length(_) | Body::UntilClose => {}
    }
    if request.is_websocket {
        put(out, &[b"Connection: Upgrade\r\nUpgrade: websocket\r\n"]);
    }
    let told = [stamp.request_id, stamp.trace.map(|trace| trace.line)];
    told.into_iter()
        .flatten()
        .for_each(|line| put(out, &[line]));
    put_way(head, stamp, end, out);
}

/// The first line and `Host`: where they stand, if they came as they would be written, which is left to do then.
fn put_first(head: &Head, host: Host<'_>, out: &mut BytesMut) -> Range<usize> {
    let host = match host {
        Host::Client { or } => {
            if let Some(end) = head.end_of_plain_first() {
                return 0..end;
            }
            head.authority().unwrap_or(or.as_bytes())
        }
        Host::Upstream(own) => own.as_bytes(),
    };
    let (method, path) = (head.method(), head.path());
    put(
        out,
        &[method, b" ", path, b" HTTP/1.1\r\nHost: ", host, b"\r\n"],
    );
    0..0
}

/// The client's own fields, behind those of its bytes that pass as they are.
fn put_fields(
    head: &Head,
    first: Range<usize>,
    request: &Request,
    stamp: Stamp<'_>,
    out: &mut BytesMut,
) {
    let mut lines = Lines::of(head.bytes(), first);
    for line in head.lines() {
        let passes = match line.field {
            Field::Other | Field::RequestId | Field::TraceParent | Field::TraceState => {
                !stamp.stands_for(line.field, head.text(line.name))
            }
            Field::Date | Field::GrpcStatus | Field::Via => true,
            // HTTP/1.0 knows no expectations (RFC 9110, 10.1.1).
            Field::Expect => !head.is_old,
            Field::Trailer => matches!(request.body, Body::Chunked(_)),
            Field::Forwarded | Field::ForwardedHost | Field::ForwardedProto => {
                stamp.trust_forwarded
            }
            Field::Authorization => stamp.passes_authorization,
            Field::Connection
            | Field::ContentLength
            | Field::ForwardedFor
            | Field::HopByHop
            | Field::Host
            | Field::KeepAlive
            | Field::Misleading
            | Field::Te
            | Field::TransferEncoding
            | Field::Upgrade => false,
        };
        if passes {
            lines.pass(line.name, line.value, out);
        }
    }
    lines.end(out);
}

/// Who asks and how, behind those that the client says.
#[inline(never)]
fn put_believed(head: &Head, stamp: Stamp<'_>, out: &mut BytesMut) {
    put(out, &[b"X-Forwarded-For: "]);
    for value in head.values(Field::ForwardedFor) {
        put(out, &[value, b", "]);
    }
    put(out, &[stamp.client.as_bytes(), b"\r\n"]);
    if !head.has(Field::ForwardedProto) {
        let proto = proto(stamp.is_secure).as_bytes();
        put(out, &[b"X-Forwarded-Proto: ", proto, b"\r\n"]);
    }
}

/// Who asks, how, and for what host, and that it came through here; then `end`.
fn put_way(head: &Head, stamp: Stamp<'_>, end: &[u8], out: &mut BytesMut) {
    // With the end of the line before.
    let via: &[u8] = match (head.is_http2, head.is_old) {
        (true, _) => b"\r\nVia: 2.0 tpp\r\n",
        (false, true) => b"\r\nVia: 1.0 tpp\r\n",
        (false, false) => b"\r\nVia: 1.1 tpp\r\n",
    };
    let lines = if stamp.trust_forwarded {
        put_believed(head, stamp, out);
        FORWARDED_HOST
    } else {
        stamp.client_lines
    };
    let is_told = stamp.trust_forwarded && head.has(Field::ForwardedHost);
    match head.authority().filter(|_| !is_told) {
        Some(host) => put(out, &[lines, host, via, end]),
        None => {
            let lines = lines.strip_suffix(FORWARDED_HOST).unwrap_or(lines);
            put(out, &[lines, &via[2..], end]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::request::read;

    #[test]
    fn a_trace_of_ours_takes_the_place_of_the_clients_and_its_state_goes_with_it() {
        let said = "Traceparent: x\r\nTraceState: s=1\r\n";
        let bytes = format!("GET / HTTP/1.1\r\nHost: a\r\n{said}\r\n");
        let written = |trace| {
            let stamp = Stamp {
                client: "192.0.2.7",
                client_lines: FORWARDED_HOST,
                trust_forwarded: false,
                is_secure: false,
                passes_authorization: false,
                replaces: None,
                host: Host::Client { or: "b" },
                request_id: None,
                trace,
            };
            let (mut head, mut out) = (Head::default(), BytesMut::new());
            let read = read(bytes.as_bytes(), &mut head).unwrap().unwrap();
            request(&head, &read.0, stamp, b"", &mut out);
            String::from_utf8(out.to_vec()).unwrap()
        };
        let ours = |keeps_state| {
            let line: &[u8] = b"traceparent: ours\r\n";
            written(Some(TraceLine { line, keeps_state }))
        };
        let untouched = written(None);
        assert!(untouched.contains(said), "{untouched}");
        for (keeps_state, kept) in [(false, ""), (true, "TraceState: s=1\r\n")] {
            let expected = untouched.replace(said, kept).replace(
                "X-Forwarded-Host: ",
                "traceparent: ours\r\nX-Forwarded-Host: ",
            );
            assert_eq!(ours(keeps_state), expected);
        }
    }
}
