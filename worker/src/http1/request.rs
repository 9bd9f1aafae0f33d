//! A client's request head, read strictly.
//!
//! Whatever could be understood in two ways is refused here, before a byte of it reaches the upstream.

use std::hint::cold_path;

use httparse::{EMPTY_HEADER, Header, Status};

use crate::{
    http1::body::{Body, Frame},
    http1::line::{self, Line, Path, Target, is_token},
    message::field::Field,
    message::head::{self, Head, Span},
    message::headers::{FIELD_LIMIT, HEAD_LIMIT, Options, content_length, list, own_hops},
    message::host::is_host,
    message::reply::Malformed,
    rarely::{Likely as _, seldom},
};

/// Fields that a head of the usual size has at most. A place for each is prepared for every head; one that has more is read twice.
const USUAL_FIELDS: usize = 16;

/// What the rest of the exchange has to know about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Request {
    /// `HEAD`: the answer has no body.
    pub(crate) is_head: bool,
    /// Asks for nothing to be changed (RFC 9110, 9.2.1), so that a server that sees it twice has done no harm.
    pub(crate) is_safe: bool,
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
    /// The plainest one.
    pub(crate) const GET: Self = Self {
        is_head: false,
        is_safe: true,
        is_old: false,
        keep_alive: true,
        is_websocket: false,
        expects_continue: false,
        body: Body::EMPTY,
    };

    /// How its body is written to the upstream.
    pub(crate) fn frame(&self) -> Frame {
        match self.body {
            Body::Chunked(_) => Frame::Chunked,
            Body::Length(_) | Body::UntilClose => Frame::Plain,
        }
    }
}

/// Reads the head at the front of `bytes` into `head`; `None`: it has not ended yet. Also returns its length, with any empty
/// lines before it.
// Its arrays are not to lie in the frame of whoever polls a connection, which costs at each poll.
#[inline(never)]
pub(crate) fn read(bytes: &[u8], head: &mut Head) -> Result<Option<(Request, usize)>, Malformed> {
    let blank = line::blank(bytes);
    let bytes = &bytes[blank..];
    let Some(line) = line::read(bytes).likely()?.likely() else {
        return Ok(None);
    };
    // Few have many, and what is not used need not be prepared.
    let (mut few, mut many);
    let rest = &bytes[line.length..];
    few = [EMPTY_HEADER; USUAL_FIELDS];
    let mut status = httparse::parse_headers(rest, &mut few);
    if seldom(status == Err(httparse::Error::TooManyHeaders)) {
        many = [EMPTY_HEADER; FIELD_LIMIT];
        status = httparse::parse_headers(rest, &mut many);
    }
    let (length, fields) = match status {
        Ok(Status::Complete((length, fields))) if line.length + length <= HEAD_LIMIT => {
            (line.length + length, fields)
        }
        Ok(Status::Partial) if bytes.len() < HEAD_LIMIT => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => {
            return Err(Malformed::of(431, "the request head is too large"));
        }
        Err(error) => return Err(Malformed::bad(describe(error))),
    };
    let bytes = &bytes[..length];
    if !fields.iter().all(|field| ends_its_line(field.value, bytes)) || !bytes.ends_with(b"\r\n") {
        return Err(Malformed::bad(
            "a line of the request head does not end with CR LF",
        ));
    }
    let request = gather(&line, fields, bytes, head).likely()?;
    Ok(Some((request, blank + length)))
}

/// Whether the line of a field with this `value` ends with CR LF. The parser takes LF for it, but neither has a value such a byte, nor
/// does anything else stand between two lines.
fn ends_its_line(value: &[u8], head: &[u8]) -> bool {
    let rest = &head[Span::of(value, head).range().end..];
    let blank = |byte: &&u8| matches!(byte, b' ' | b'\t');
    let blanks = rest.iter().take_while(blank).count();
    rest[blanks..].starts_with(b"\r\n")
}

fn describe(error: httparse::Error) -> &'static str {
    match error {
        httparse::Error::HeaderName => "a field name holds a forbidden byte",
        httparse::Error::HeaderValue => "a field value holds a forbidden byte",
        httparse::Error::NewLine => "a line end is malformed",
        _ => "the request head is malformed",
    }
}

/// Fills `head`, and takes together what the fields say of the connection and the body.
fn gather(
    line: &Line<'_>,
    fields: &[Header<'_>],
    bytes: &[u8],
    head: &mut Head,
) -> Result<Request, Malformed> {
    head.begin(bytes, line.method, fields.len());
    head.is_old = line.is_old;
    let mut facts = Facts::default();
    for field in fields {
        let known = Field::of(field.name.as_bytes());
        facts.add(known, field.value).likely()?;
        head.push(head::Line {
            field: known,
            name: Span::of(field.name.as_bytes(), bytes),
            value: Span::of(field.value, bytes),
        });
    }
    head.hops = facts.hops;
    if seldom(facts.options.nominates()) {
        head.keep_back(|name| facts.options.nominate(name));
    }
    let target = line.target().likely()?;
    if let Some(authority) = facts.authority(line, &target).likely()? {
        head.set_authority(Span::of(authority, bytes));
    }
    match target.path {
        Path::From(start) => head.set_path(Span::of(&line.target[start..], bytes)),
        Path::SlashFrom(start) => {
            cold_path();
            head.make_path(&[b"/", &line.target[start..]]);
        }
        Path::Asterisk => {
            cold_path();
            head.make_path(&[b"*"]);
        }
    }
    facts.request(line)
}

/// What the fields say, taken together.
#[derive(Default)]
struct Facts<'a> {
    options: Options<'a>,
    host: Option<&'a [u8]>,
    length: Option<&'a [u8]>,
    coding: Option<&'a [u8]>,
    /// The value of `Upgrade` is `websocket`.
    upgrade_websocket: bool,
    expects_continue: bool,
    /// Times that it went through a tpp.
    hops: usize,
}

impl<'a> Facts<'a> {
    fn add(&mut self, field: Field, value: &'a [u8]) -> Result<(), Malformed> {
        match field {
            Field::Connection => self.options.add(value),
            Field::Host if self.host.replace(value).is_some() => {
                return Err(Malformed::bad("more than one Host field"));
            }
            Field::ContentLength if self.length.replace(value).is_some() => {
                return Err(Malformed::bad("more than one Content-Length field"));
            }
            Field::TransferEncoding if self.coding.replace(value).is_some() => {
                return Err(Malformed::bad("more than one Transfer-Encoding field"));
            }
            Field::Expect if !value.eq_ignore_ascii_case(b"100-continue") => {
                return Err(Malformed::of(
                    417,
                    "the only expectation that can be met is 100-continue",
                ));
            }
            Field::Expect => self.expects_continue = true,
            Field::Upgrade => {
                self.upgrade_websocket =
                    list(value).any(|protocol| protocol.eq_ignore_ascii_case(b"websocket"));
            }
            Field::Via => self.hops += own_hops(value),
            _ => {}
        }
        Ok(())
    }

    /// Who is asked. In a URI it is said once and for all: `Host` must be there and sound, but does not count (RFC 9112, 3.2.2).
    fn authority(&self, line: &Line<'a>, target: &Target) -> Result<Option<&'a [u8]>, Malformed> {
        let named = target.authority.clone().map(|place| &line.target[place]);
        match self.host {
            None if !line.is_old => Err(Malformed::bad("the Host field is missing")),
            Some(host) if !(is_host(host) || host.is_empty() && named.is_some()) => {
                Err(Malformed::bad("the Host field is not a host"))
            }
            host => Ok(named.or(host)),
        }
    }

    fn request(&self, line: &Line<'_>) -> Result<Request, Malformed> {
        let mut body = match (self.length, self.coding) {
            (None, None) => Body::EMPTY,
            _ => framing(self.length, self.coding, line.is_old).likely()?,
        };
        if seldom(self.options.nominates()) {
            // A field for the next hop only may stand in the trailer, too.
            body = body.without_trailer();
        }
        Ok(Request {
            is_head: line.method == b"HEAD",
            is_safe: matches!(line.method, b"GET" | b"HEAD" | b"OPTIONS"),
            is_old: line.is_old,
            keep_alive: !self.options.close && (!line.is_old || self.options.keep_alive),
            is_websocket: self.upgrade_websocket
                && self.options.upgrade
                && !line.is_old
                && line.method == b"GET"
                && body.is_over(),
            // HTTP/1.0 knows no such thing.
            expects_continue: self.expects_continue && !line.is_old,
            body,
        })
    }
}

// Apart from the way of those without a body.
#[inline(never)]
fn framing(length: Option<&[u8]>, coding: Option<&[u8]>, is_old: bool) -> Result<Body, Malformed> {
    match (length, coding) {
        (None, None) => Ok(Body::EMPTY),
        (Some(length), None) => content_length(length)
            .map(Body::Length)
            .ok_or_else(|| Malformed::bad("the Content-Length is not a number")),
        (Some(_), Some(_)) => Err(Malformed::bad("both Content-Length and Transfer-Encoding")),
        (None, Some(_)) if is_old => {
            Err(Malformed::bad("Transfer-Encoding in a request of HTTP/1.0"))
        }
        (None, Some(coding)) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Body::CHUNKED),
        (None, Some(coding)) if is_known_to_others(coding) => Err(Malformed::of(
            501,
            "the only Transfer-Encoding that is understood is chunked",
        )),
        (None, Some(_)) => Err(Malformed::bad("a Transfer-Encoding other than chunked")),
    }
}

/// Whether a `Transfer-Encoding` would frame the body for somebody who knows its codings: names, of which the last one and no
/// other is `chunked` (RFC 9112, 6.1 and 6.3).
fn is_known_to_others(value: &[u8]) -> bool {
    let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let mut codings = value.rsplit(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    codings.next().is_some_and(is_chunked)
        && codings.all(|coding| {
            !coding.is_empty() && coding.iter().copied().all(is_token) && !is_chunked(coding)
        })
}

#[cfg(test)]
mod line_ends;
#[cfg(test)]
mod tests;
