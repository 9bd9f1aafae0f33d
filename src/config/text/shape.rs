//! What a text must look like to stand for a host, a path, a filter.
//!
//! These look at the text alone. Whether a host exists or a filter matches anything is found out later.

use std::net::{IpAddr, Ipv6Addr};

/// A host name or an address literal, IPv6 without brackets, neither scheme nor port.
pub(in crate::config) fn host(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok() || host_name(text)
}

fn host_name(text: &str) -> bool {
    let labels = || text.split('.');
    // All digits in the last label: an IPv4 address mistyped, as in 10.0.0.256.
    let digits_last = labels()
        .next_back()
        .is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    text.len() <= 253 && labels().all(label) && !digits_last
}

/// Underscores are not in the standard, but in the names of containers.
fn label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// A path as it stands in a request line.
pub(in crate::config) fn request_path(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic() && b != b'#')
}

/// A regular expression that says something: one that matches empty text would match every text.
pub(in crate::config) fn pattern(text: &str) -> bool {
    regex::Regex::new(text).is_ok_and(|pattern| !pattern.is_match(""))
}

/// An `http` or `https` URL with a host.
pub(in crate::config) fn http_url(text: &str) -> bool {
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    rest.is_some_and(|rest| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        !authority.is_empty()
            && !authority.starts_with(':')
            && rest.bytes().all(|b| b.is_ascii_graphic())
    })
}

/// A path of the file system.
pub(in crate::config) fn file_path(text: &str) -> bool {
    !text.is_empty() && !text.contains('\0')
}

/// A user name: short, visible, not empty.
pub(in crate::config) fn user_name(text: &str) -> bool {
    (1..=256).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// A `tracing` filter: directives between commas, each a level, `target=level` or
/// `target[span{field=value}]=level`. A target alone, which would mean all its levels, is refused:
/// it is how a mistyped level looks.
pub(in crate::config) fn log_filter(text: &str) -> bool {
    directives(text).is_some_and(|list| list.iter().all(|one| directive(one.trim())))
}

/// Splits at the commas that stand outside brackets; `None` when the brackets do not match.
fn directives(text: &str) -> Option<Vec<&str>> {
    let (mut depth, mut start, mut list) = (0_usize, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.checked_sub(1)?,
            ',' if depth == 0 => {
                list.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    list.push(&text[start..]);
    (depth == 0).then_some(list)
}

fn directive(text: &str) -> bool {
    if let Some((name, rest)) = text.split_once('[') {
        let Some((_, after)) = rest.rsplit_once(']') else {
            return false;
        };
        return (name.is_empty() || target(name))
            && (after.is_empty() || after.strip_prefix('=').is_some_and(level));
    }
    match text.split_once('=') {
        Some((name, end)) => target(name) && level(end),
        None => level(text),
    }
}

fn target(text: &str) -> bool {
    let inner = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | ':' | '.' | '/');
    !text.is_empty() && text.chars().all(inner)
}

fn level(text: &str) -> bool {
    ["off", "error", "warn", "info", "debug", "trace"]
        .iter()
        .any(|name| text.eq_ignore_ascii_case(name))
}

/// What [`name`] takes, for a message.
pub(in crate::config) const NAME: &str = "a name of 1 to 100 letters, digits and any of . _ -";

/// A name that people give to something of theirs: it stands in paths, labels and lists.
pub(in crate::config) fn name(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=100).contains(&text.len()) && text.bytes().all(inner) && !matches!(text, "." | "..")
}

/// The same in lower case alone.
pub(in crate::config) fn id(text: &str) -> bool {
    name(text) && !text.bytes().any(|b| b.is_ascii_uppercase())
}

/// The name of a header or a cookie.
pub(in crate::config) fn token(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    (1..=256).contains(&text.len()) && text.bytes().all(inner)
}

/// The name in `header:NAME`, in lower case.
pub(in crate::config) fn header_of(text: &str) -> Option<String> {
    let name = text.strip_prefix("header:")?;
    token(name).then(|| name.to_ascii_lowercase())
}

/// The name in `cookie:NAME`.
pub(in crate::config) fn cookie_of(text: &str) -> Option<String> {
    let name = text.strip_prefix("cookie:")?;
    token(name).then(|| name.to_owned())
}

/// Host and port of `host:port`, an IPv6 literal in brackets, which are not part of the host.
pub(in crate::config) fn host_and_port(text: &str) -> Option<(&str, u16)> {
    let (host_part, port) = text.rsplit_once(':')?;
    let digits = port.bytes().all(|b| b.is_ascii_digit());
    let port = port.parse().ok().filter(|port| digits && *port > 0)?;
    Some((bare_host(host_part)?, port))
}

/// A host without the brackets that an IPv6 literal, and nothing else, must have.
fn bare_host(text: &str) -> Option<&str> {
    let inner = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match inner {
        Some(inner) => inner.parse::<Ipv6Addr>().ok().map(|_| inner),
        None => (host(text) && !text.contains(':')).then_some(text),
    }
}

/// What stands in a `Host` header: a host, with or without a port.
pub(in crate::config) fn authority(text: &str) -> bool {
    host_and_port(text).is_some() || bare_host(text).is_some()
}

/// What a browser sends as `Origin`: scheme and authority, nothing behind them.
pub(in crate::config) fn web_origin(text: &str) -> bool {
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    rest.is_some_and(authority)
}

/// What a virtual host answers to: a host, `*.` and a name, or `default`.
pub(in crate::config) fn domain(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    match name.strip_prefix("*.") {
        Some(suffix) => host_name(suffix),
        None => bare_host(name).is_some(),
    }
}

/// A JSON pointer (RFC 6901) to something within a document.
pub(in crate::config) fn json_pointer(text: &str) -> bool {
    let escaped = |part: &str| part.starts_with('0') || part.starts_with('1');
    text.starts_with('/') && text.split('~').skip(1).all(escaped)
}

/// The name of a header that may bear a token: none that frames a message or belongs to the connection.
pub(in crate::config) fn header_for_token(text: &str) -> bool {
    let framing = [
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    token(text) && !framing.iter().any(|name| text.eq_ignore_ascii_case(name))
}

/// What may stand before a token in a header's value.
pub(in crate::config) fn header_prefix(text: &str) -> bool {
    text.len() <= 100 && text.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
}
