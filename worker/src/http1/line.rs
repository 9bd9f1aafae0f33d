//! The first line of a request, and what speaks another protocol from its first byte on.

use std::ops::Range;

use memchr::memchr;

use crate::{
    message::{headers::HEAD_LIMIT, host::is_host, reply::Malformed},
    rarely::{Likely as _, seldom},
};

/// The first line of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) method: &'a [u8],
    pub(super) target: &'a [u8],
    pub(super) is_old: bool,
    /// With its end.
    pub(super) length: usize,
}

/// Length of the empty lines at the front of `bytes`: they are no beginning of a request (RFC 9112, 2.2).
pub(crate) fn blank(bytes: &[u8]) -> usize {
    let lines = bytes.chunks(2).take_while(|line| line == b"\r\n");
    lines.count() * 2
}

/// Reads the line at the front of `bytes`, behind any empty ones; `None`: it has not ended yet.
pub(super) fn read(bytes: &[u8]) -> Result<Option<Line<'_>>, Malformed> {
    if seldom(is_begun_stranger(bytes).likely()? || bytes == b"\r") {
        return Ok(None);
    }
    let window = &bytes[..bytes.len().min(HEAD_LIMIT)];
    let Some(end) = memchr(b'\n', window) else {
        // What can become no line is refused before it ends.
        split(window)?;
        return if bytes.len() < HEAD_LIMIT {
            Ok(None)
        } else {
            Err(Malformed::of(414, "the request target is too long"))
        };
    };
    let line = window[..end]
        .strip_suffix(b"\r")
        .ok_or_else(|| Malformed::bad("a line of the request head does not end with CR LF"))?;
    let [method, target, version] = split(line).likely()?;
    let is_old = is_old(version).likely()?;
    if target.is_empty() {
        return Err(Malformed::bad("the request line is incomplete"));
    }
    // A tunnel would leave the pool's rules behind, and TRACE would show the client its token.
    // By length first: of these few are.
    if seldom(matches!(method.len(), 5 | 7)) && matches!(method, b"CONNECT" | b"TRACE") {
        return Err(Malformed::of(405, "the method is not allowed here"));
    }
    Ok(Some(Line {
        method,
        target,
        is_old,
        length: end + 1,
    }))
}

/// Refuses what is known to be another protocol. Whether `bytes` may become such a one yet.
fn is_begun_stranger(bytes: &[u8]) -> Result<bool, Malformed> {
    // What is left of the signature of version 2 without the empty lines with which it begins.
    const PROXY_2: &[u8] = b"\0\r\nQUIT\n";
    if bytes.starts_with(PROXY_2)
        || bytes.starts_with(b"PROXY TCP")
        || bytes.starts_with(b"PROXY UNKNOWN")
    {
        return Err(Malformed::bad(
            "this is the PROXY protocol, which is not spoken here: turn it off in the balancer in front of tpp",
        ));
    }
    if bytes.starts_with(b"\x16\x03") {
        return Err(Malformed::bad("this is TLS, and plain HTTP is spoken here"));
    }
    Ok(!bytes.is_empty() && bytes.len() < PROXY_2.len() && PROXY_2.starts_with(bytes))
}

/// Splits a line, or the beginning of one, into method, target and version, the first two of sound bytes.
fn split(line: &[u8]) -> Result<[&[u8]; 3], Malformed> {
    let (method, rest) = cut(line, |byte| byte == b' ');
    // All that is visible passes, and bytes above ASCII in whatever script they are: it is the upstream that knows them.
    let (target, version) = cut(rest, |byte| byte <= b' ' || byte == 0x7f);
    let is_token = !method.is_empty() && method.iter().copied().all(is_token);
    let has_unfit = rest.get(target.len()).is_some_and(|&byte| byte != b' ');
    if (is_token || line.is_empty()) && !has_unfit && version.len() <= b"HTTP/1.1\r".len() {
        Ok([method, target, version])
    } else {
        Err(Malformed::bad("the request line holds a forbidden byte"))
    }
}

/// What stands before the first byte that `ends` it, and what behind that.
fn cut(line: &[u8], ends: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let end = line.iter().position(|&byte| ends(byte));
    let end = end.unwrap_or(line.len());
    (&line[..end], line.get(end + 1..).unwrap_or_default())
}

/// Whether a name, or a method, may hold `byte` (RFC 9110, 5.6.2).
pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether the version is HTTP/1.0; one above 1.1 is spoken to as 1.1 (RFC 9110, 2.5).
fn is_old(version: &[u8]) -> Result<bool, Malformed> {
    match version {
        b"HTTP/1.0" => Ok(true),
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9'] => Ok(false),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => Err(Malformed::of(
            505,
            "only HTTP/1.1 and HTTP/1.0 are spoken here, not HTTP/2 or any other",
        )),
        _ => Err(Malformed::bad(
            "the request line does not end with a version of HTTP",
        )),
    }
}

/// What a target asks for, and whom; places in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// In a URI.
    pub(super) authority: Option<Range<usize>>,
    pub(super) path: Path,
}

/// Path and query.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Path {
    /// As it stands, from here to the end.
    From(usize),
    /// A slash, and what stands from here to the end: a URI may have a query without a path.
    SlashFrom(usize),
    /// `*`, where a URI has none of it (RFC 9112, 3.2.4).
    Asterisk,
}

impl Line<'_> {
    /// Reads the target: a path, `*` or a URI.
    pub(super) fn target(&self) -> Result<Target, Malformed> {
        let target = self.target;
        if memchr(b'#', target).is_some() {
            return Err(Malformed::bad("the request target holds a fragment"));
        }
        if target[0] == b'/' || target == b"*" && self.method == b"OPTIONS" {
            return Ok(Target {
                authority: None,
                path: Path::From(0),
            });
        }
        let start = b"http://".len();
        let rest = target
            .split_at_checked(start)
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"http://"))
            .map(|(_, rest)| rest)
            .ok_or_else(|| {
                Malformed::bad("the request target is neither a path nor an http URI")
            })?;
        let length = rest
            .iter()
            .position(|byte| b"/?".contains(byte))
            .unwrap_or(rest.len());
        if !is_host(&rest[..length]) {
            return Err(Malformed::bad("the request target names no host"));
        }
        let end = start + length;
        Ok(Target {
            authority: Some(start..end),
            path: match target.get(end) {
                Some(b'/') => Path::From(end),
                None if self.method == b"OPTIONS" => Path::Asterisk,
                _ => Path::SlashFrom(end),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(bytes: &[u8]) -> (u16, &'static str) {
        let malformed = read(bytes).unwrap_err();
        (malformed.status, malformed.details)
    }

    #[test]
    fn a_line_is_refused_as_soon_as_it_can_become_none_and_not_before() {
        let line = b"GET /a HTTP/1.1\r\n";
        for end in 0..line.len() {
            assert_eq!(read(&line[..end]), Ok(None), "{end} bytes");
        }
        for bytes in [&b"G@"[..], b"GET /\x01", b" ", b"GET / HTTP/1.1 x"] {
            assert_eq!(refused(bytes).0, 400, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn other_protocols_are_told_by_name() {
        for bytes in [
            &b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\n"[..],
            b"PROXY UNKNOWN\r\n",
            b"\0\r\nQUIT\n\x21\x11\0\x0c",
        ] {
            let (status, details) = refused(bytes);
            assert_eq!(status, 400);
            assert!(details.contains("PROXY protocol"), "{details}");
        }
        assert_eq!(read(b"\0\r\nQU"), Ok(None));
        assert!(refused(b"\x16\x03\x01").1.contains("TLS"));
        let (status, details) = refused(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        assert!(status == 505 && details.contains("HTTP/2"), "{details}");
    }

    #[test]
    fn versions_of_one_major_number_are_one() {
        let line = |version: &str| {
            read(format!("GET / {version}\r\n").as_bytes()).map(|line| line.map(|line| line.is_old))
        };
        assert_eq!(line("HTTP/1.0"), Ok(Some(true)));
        assert_eq!(line("HTTP/1.1"), Ok(Some(false)));
        assert_eq!(line("HTTP/1.2"), Ok(Some(false)));
        for (version, status) in [
            ("HTTP/2.0", 505),
            ("HTTP/0.9", 505),
            ("HTTP/1.10", 400),
            ("http/1.1", 400),
            ("HTTP/1.x", 400),
            ("", 400),
        ] {
            assert_eq!(line(version).unwrap_err().status, status, "{version}");
        }
    }

    #[test]
    fn empty_lines_begin_nothing() {
        for (bytes, length) in [
            ("", 0),
            ("\r", 0),
            ("\r\n", 2),
            ("\r\n\r\nGET", 4),
            ("\n\r\n", 0),
            ("\r\n\n", 2),
        ] {
            assert_eq!(blank(bytes.as_bytes()), length, "{}", bytes.escape_debug());
        }
    }
}
