//! A client's request head: read strictly, and written anew for the upstream.
//!
//! Whatever could be understood in two ways is refused here, before a byte of it reaches the upstream.

use std::mem::MaybeUninit;

use bytes::BytesMut;
use httparse::{Header, ParserConfig, Status};
use memchr::memchr_iter;

use crate::{
    http1::body::{Body, Frame},
    message::headers::{FIELD_LIMIT, Field, HEAD_LIMIT, Options, content_length, is_host, list},
};

/// What the rest of the exchange has to know about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Request {
    /// `HEAD`: the answer has no body.
    pub(crate) is_head: bool,
    /// May be sent twice without harm (RFC 9110, 9.2.2).
    pub(crate) is_idempotent: bool,
    /// HTTP/1.0.
    pub(crate) is_old: bool,
    /// The client will send another request on the connection.
    pub(crate) keep_alive: bool,
    /// It asks for a WebSocket.
    pub(crate) is_websocket: bool,
    /// The client waits to be told to go on before it sends the body.
    pub(crate) expects_continue: bool,
    /// Its body.
    pub(crate) body: Body,
}

impl Request {
    /// How its body is written to the upstream.
    pub(crate) fn frame(&self) -> Frame {
        match self.body {
            Body::Chunked(_) => Frame::Chunked,
            Body::Length(_) | Body::UntilClose => Frame::Plain,
        }
    }
}

/// What is written into a request besides its own fields.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    /// The client's address.
    pub(crate) client: &'a str,
    /// Believe and keep the client's own `X-Forwarded-*`.
    pub(crate) trust_forwarded: bool,
    /// For a request of HTTP/1.0 that came without `Host`.
    pub(crate) upstream_authority: &'a str,
}

/// A head that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed {
    pub(crate) status: u16,
    pub(crate) details: &'static str,
}

fn bad(details: &'static str) -> Malformed {
    Malformed {
        status: 400,
        details,
    }
}

/// Reads the head at the front of `bytes`; `None`: it has not ended yet. Over `out` is written the head for the
/// upstream, but for the `Authorization` line and the empty line that ends it. Also returns the length of the head.
pub(crate) fn parse(
    bytes: &[u8],
    origin: Origin<'_>,
    out: &mut BytesMut,
) -> Result<Option<(Request, usize)>, Malformed> {
    let mut fields = [const { MaybeUninit::uninit() }; FIELD_LIMIT];
    let mut parsed = httparse::Request::new(&mut []);
    let status =
        ParserConfig::default().parse_request_with_uninit_headers(&mut parsed, bytes, &mut fields);
    let length = match status {
        Ok(Status::Complete(length)) if length <= HEAD_LIMIT => length,
        Ok(Status::Partial) if bytes.len() < HEAD_LIMIT => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => {
            return Err(Malformed {
                status: 431,
                details: "the request head is too large",
            });
        }
        Err(error) => return Err(bad(describe(error))),
    };
    if memchr_iter(b'\n', &bytes[..length]).any(|at| at == 0 || bytes[at - 1] != b'\r') {
        return Err(bad("a line of the request head does not end with CR LF"));
    }
    let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(bad("the request line is incomplete"));
    };
    // A tunnel would leave the pool's rules behind, and TRACE would show the client its token.
    if matches!(method, "CONNECT" | "TRACE") {
        return Err(Malformed {
            status: 405,
            details: "the method is not allowed here",
        });
    }
    let line = Line {
        method,
        target,
        is_old: version == 0,
    };
    let facts = Facts::gather(parsed.headers, line.is_old)?;
    let target = line.target(facts.host)?;
    let request = facts.request(line);
    write(
        line.method,
        target,
        parsed.headers,
        &facts,
        &request,
        origin,
        out,
    );
    Ok(Some((request, length)))
}

fn describe(error: httparse::Error) -> &'static str {
    match error {
        httparse::Error::HeaderName => "a field name holds a forbidden byte",
        httparse::Error::HeaderValue => "a field value holds a forbidden byte",
        httparse::Error::NewLine => "a line end is malformed",
        httparse::Error::Token => "the request line holds a forbidden byte",
        httparse::Error::Version => "the HTTP version is not 1.0 or 1.1",
        _ => "the request head is malformed",
    }
}

/// The request line.
#[derive(Debug, Clone, Copy)]
struct Line<'a> {
    method: &'a str,
    target: &'a str,
    is_old: bool,
}

impl<'a> Line<'a> {
    /// The target as the upstream gets it: without scheme and authority.
    fn target(self, host: Option<&[u8]>) -> Result<&'a str, Malformed> {
        if self.target.contains('#') {
            return Err(bad("the request target holds a fragment"));
        }
        if self.target.starts_with('/') || self.target == "*" && self.method == "OPTIONS" {
            return Ok(self.target);
        }
        let after_scheme = self
            .target
            .split_at_checked("http://".len())
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("http://"))
            .map(|(_, rest)| rest)
            .ok_or(bad("the request target is neither a path nor an http URI"))?;
        let end = after_scheme.find(['/', '?']).unwrap_or(after_scheme.len());
        let (authority, path) = after_scheme.split_at(end);
        if !host.is_none_or(|host| host.eq_ignore_ascii_case(authority.as_bytes()))
            || !is_host(authority.as_bytes())
        {
            return Err(bad(
                "the request target names another host than the Host field",
            ));
        }
        match path {
            "" => Ok("/"),
            path if path.starts_with('/') => Ok(path),
            _ => Err(bad("the request target has no path")),
        }
    }
}

/// What the fields say, taken together.
struct Facts<'a> {
    options: Options<'a>,
    host: Option<&'a [u8]>,
    body: Body,
    /// The value of `Upgrade` is `websocket`.
    upgrade_websocket: bool,
    expects_continue: bool,
}

impl<'a> Facts<'a> {
    fn gather(fields: &[Header<'a>], is_old: bool) -> Result<Self, Malformed> {
        let mut facts = Self {
            options: Options::default(),
            host: None,
            body: Body::EMPTY,
            upgrade_websocket: false,
            expects_continue: false,
        };
        let (mut length, mut coding) = (None, None);
        for field in fields {
            match Field::of(field.name) {
                Field::Connection => facts.options.add(field.value),
                Field::Host if facts.host.replace(field.value).is_some() => {
                    return Err(bad("more than one Host field"));
                }
                Field::ContentLength if length.replace(field.value).is_some() => {
                    return Err(bad("more than one Content-Length field"));
                }
                Field::TransferEncoding if coding.replace(field.value).is_some() => {
                    return Err(bad("more than one Transfer-Encoding field"));
                }
                Field::Expect if !field.value.eq_ignore_ascii_case(b"100-continue") => {
                    return Err(Malformed {
                        status: 417,
                        details: "the only expectation that can be met is 100-continue",
                    });
                }
                Field::Expect => facts.expects_continue = true,
                Field::Upgrade => {
                    facts.upgrade_websocket = list(field.value)
                        .any(|protocol| protocol.eq_ignore_ascii_case(b"websocket"));
                }
                _ => {}
            }
        }
        match facts.host {
            None if !is_old => return Err(bad("the Host field is missing")),
            Some(host) if !is_host(host) => return Err(bad("the Host field is not a host")),
            _ => {}
        }
        facts.body = framing(length, coding, is_old)?;
        Ok(facts)
    }

    fn request(&self, line: Line<'_>) -> Request {
        Request {
            is_head: line.method == "HEAD",
            is_idempotent: matches!(line.method, "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE"),
            is_old: line.is_old,
            keep_alive: !self.options.close && (!line.is_old || self.options.keep_alive),
            is_websocket: self.upgrade_websocket
                && self.options.upgrade
                && !line.is_old
                && line.method == "GET"
                && self.body.is_over(),
            // HTTP/1.0 knows no such thing.
            expects_continue: self.expects_continue && !line.is_old,
            body: self.body,
        }
    }
}

fn framing(length: Option<&[u8]>, coding: Option<&[u8]>, is_old: bool) -> Result<Body, Malformed> {
    match (length, coding) {
        (None, None) => Ok(Body::EMPTY),
        (Some(length), None) => content_length(length)
            .map(Body::Length)
            .ok_or(bad("the Content-Length is not a number")),
        (Some(_), Some(_)) => Err(bad("both Content-Length and Transfer-Encoding")),
        (None, Some(_)) if is_old => Err(bad("Transfer-Encoding in a request of HTTP/1.0")),
        (None, Some(coding)) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Body::CHUNKED),
        (None, Some(_)) => Err(bad("a Transfer-Encoding other than chunked")),
    }
}

fn write(
    method: &str,
    target: &str,
    fields: &[Header<'_>],
    facts: &Facts<'_>,
    request: &Request,
    origin: Origin<'_>,
    out: &mut BytesMut,
) {
    out.clear();
    put(
        out,
        &[method.as_bytes(), b" ", target.as_bytes(), b" HTTP/1.1\r\n"],
    );
    if facts.host.is_none() {
        put(
            out,
            &[b"Host: ", origin.upstream_authority.as_bytes(), b"\r\n"],
        );
    }
    let mut proto_is_set = false;
    for field in fields {
        let pass = match Field::of(field.name) {
            Field::Host | Field::Expect => true,
            Field::ForwardedProto => {
                proto_is_set |= origin.trust_forwarded;
                origin.trust_forwarded
            }
            Field::Other => !facts.options.nominate(field.name),
            _ => false,
        };
        if pass {
            put(out, &[field.name.as_bytes(), b": ", field.value, b"\r\n"]);
        }
    }
    match request.body {
        Body::Length(length) if length > 0 || has_length(fields) => {
            put_length(out, length);
        }
        Body::Chunked(_) => put(out, &[b"Transfer-Encoding: chunked\r\n"]),
        Body::Length(_) | Body::UntilClose => {}
    }
    if request.is_websocket {
        put(out, &[b"Connection: Upgrade\r\nUpgrade: websocket\r\n"]);
    }
    put(out, &[b"X-Forwarded-For: "]);
    if origin.trust_forwarded {
        for field in fields
            .iter()
            .filter(|field| Field::of(field.name) == Field::ForwardedFor)
        {
            put(out, &[field.value, b", "]);
        }
    }
    put(out, &[origin.client.as_bytes(), b"\r\n"]);
    if !proto_is_set {
        put(out, &[b"X-Forwarded-Proto: http\r\n"]);
    }
}

fn has_length(fields: &[Header<'_>]) -> bool {
    fields
        .iter()
        .any(|field| Field::of(field.name) == Field::ContentLength)
}

/// Appends `parts`.
pub(crate) fn put(out: &mut BytesMut, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// Appends a `Content-Length` line.
pub(crate) fn put_length(out: &mut BytesMut, length: u64) {
    use std::fmt::Write as _;
    // Writing to a buffer that grows cannot fail.
    let _ = write!(out, "Content-Length: {length}\r\n");
}

#[cfg(test)]
mod tests;
