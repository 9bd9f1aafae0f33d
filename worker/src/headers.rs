//! What the fields of a message head mean to a proxy: which requests are refused, which fields end here.

use http::{HeaderMap, HeaderName, Method, StatusCode, Version, header};
use pingora_error::Result;
use pingora_http::{RequestHeader, ResponseHeader};

use crate::{authority::is_host, reply::Reply};

/// Longest head, bytes.
const HEAD_LIMIT: usize = 64 * 1024;

/// Refuses what could be understood in two ways, before a byte of it reaches the upstream. `raw` is the head as it
/// came: Pingora normalizes line ends, and drops a `Content-Length` that stands beside a `Transfer-Encoding`.
pub(crate) fn check(request: &RequestHeader, raw: &[u8]) -> Result<(), Reply> {
    if raw.len() > HEAD_LIMIT {
        return Err(Reply::head_too_large());
    }
    if has_bare_line_feed(raw) {
        return Err(Reply::bad_request("a line of the request head does not end with CR LF"));
    }
    if request.method == Method::TRACE {
        return Err(Reply::method_not_allowed());
    }
    check_framing(&request.headers, raw)?;
    check_host(request)
}

fn has_bare_line_feed(raw: &[u8]) -> bool {
    let mut before = 0;
    raw.iter().any(|&byte| {
        let bare = byte == b'\n' && before != b'\r';
        before = byte;
        bare
    })
}

fn check_framing(fields: &HeaderMap, raw: &[u8]) -> Result<(), Reply> {
    let mut lengths = fields.get_all(header::CONTENT_LENGTH).iter();
    if let Some(length) = lengths.next() {
        if lengths.next().is_some() {
            return Err(Reply::bad_request("more than one Content-Length field"));
        }
        if length.is_empty() || !length.as_bytes().iter().all(u8::is_ascii_digit) {
            return Err(Reply::bad_request("the Content-Length is not a number"));
        }
    }
    let mut codings = fields.get_all(header::TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else {
        return Ok(());
    };
    if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
        return Err(Reply::bad_request("a Transfer-Encoding other than chunked"));
    }
    if names_length(raw) {
        return Err(Reply::bad_request("both Content-Length and Transfer-Encoding"));
    }
    Ok(())
}

/// Whether a line of `raw` begins with `Content-Length:`.
fn names_length(raw: &[u8]) -> bool {
    raw.split(|&byte| byte == b'\n').any(|line| {
        line.split(|&byte| byte == b':').next().is_some_and(|name| name.trim_ascii().eq_ignore_ascii_case(b"content-length"))
    })
}

fn check_host(request: &RequestHeader) -> Result<(), Reply> {
    let mut hosts = request.headers.get_all(header::HOST).iter();
    match hosts.next() {
        None if request.version == Version::HTTP_10 => Ok(()),
        None => Err(Reply::bad_request("the Host field is missing")),
        Some(_) if hosts.next().is_some() => Err(Reply::bad_request("more than one Host field")),
        Some(host) if !is_host(host.as_bytes()) => Err(Reply::bad_request("the Host field is not a host")),
        Some(_) => Ok(()),
    }
}

/// Removes from an answer what concerned the upstream's connection only (RFC 9110, 7.6.1). Pingora writes its own
/// `Connection`, except with 101, whose `Connection` and `Upgrade` belong to the new protocol.
pub(crate) fn strip_hop_by_hop(answer: &mut ResponseHeader) {
    let is_upgrade = answer.status == StatusCode::SWITCHING_PROTOCOLS;
    // Few answers have any of these: one look over the names settles it without a search for each.
    while let Some(name) = answer.headers.keys().find(|name| ends_here(name.as_str(), is_upgrade)).cloned() {
        answer.remove_header(&name);
    }
    if is_upgrade || !answer.headers.contains_key(header::CONNECTION) {
        return;
    }
    let nominated: Vec<HeaderName> = (answer.headers.get_all(header::CONNECTION).iter())
        .flat_map(|options| options.as_bytes().split(|&byte| byte == b','))
        .filter_map(|option| HeaderName::from_bytes(option.trim_ascii()).ok())
        .filter(|name| !is_framing(name))
        .collect();
    nominated.iter().chain([&header::CONNECTION]).for_each(|name| drop(answer.remove_header(name)));
}

fn ends_here(name: &str, is_upgrade: bool) -> bool {
    match name.len() {
        2 => name == "te",
        7 => name == "trailer" || name == "upgrade" && !is_upgrade,
        10 => name == "keep-alive",
        _ => name.starts_with("proxy-") && matches!(name, "proxy-authenticate" | "proxy-authentication-info" | "proxy-connection"),
    }
}

/// Fields that say where the answer ends stay, whatever `Connection` names.
fn is_framing(name: &HeaderName) -> bool {
    *name == header::CONTENT_LENGTH || *name == header::TRANSFER_ENCODING
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `raw` as Pingora would, as far as the rules here can tell.
    fn verdict(raw: &str) -> Result<(), u16> {
        let mut lines = raw.split("\r\n");
        let mut line = lines.next().unwrap().split(' ');
        let method = line.next().unwrap();
        let mut request = RequestHeader::build(method, line.next().unwrap().as_bytes(), None).unwrap();
        if line.next() == Some("HTTP/1.0") {
            request.set_version(Version::HTTP_10);
        }
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            request.append_header(name.to_owned(), value.trim()).unwrap();
        }
        check(&request, raw.as_bytes()).map_err(|reply| reply.status())
    }

    #[test]
    fn an_ordinary_request_passes() {
        assert_eq!(verdict("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), Ok(()));
        assert_eq!(verdict("POST / HTTP/1.1\r\nHost: a:80\r\nContent-Length: 3\r\n\r\n"), Ok(()));
        assert_eq!(verdict("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"), Ok(()));
        assert_eq!(verdict("GET / HTTP/1.0\r\n\r\n"), Ok(()));
    }

    #[test]
    fn a_request_with_two_readings_is_refused() {
        for fields in [
            "Content-Length: 3\r\nContent-Length: 3",
            "Content-Length: 3, 3",
            "Content-Length: +3",
            "Transfer-Encoding: chunked\r\nContent-Length: 3",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "X: a\nY: b",
        ] {
            assert_eq!(verdict(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n")), Err(400), "{fields}");
        }
    }

    #[test]
    fn a_request_without_a_sound_host_is_refused() {
        for fields in ["X: a", "Host:", "Host: a b", "Host: a\r\nHost: a"] {
            assert_eq!(verdict(&format!("GET / HTTP/1.1\r\n{fields}\r\n\r\n")), Err(400), "{fields}");
        }
        assert_eq!(verdict("GET / HTTP/1.0\r\nHost: a b\r\n\r\n"), Err(400));
    }

    #[test]
    fn a_head_beyond_the_limit_is_refused() {
        let long = "x".repeat(HEAD_LIMIT);
        assert_eq!(verdict(&format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n")), Err(431));
    }

    #[test]
    fn a_method_that_would_show_the_token_is_refused() {
        assert_eq!(verdict("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n"), Err(405));
    }

    fn stripped(status: u16, fields: &[(&'static str, &str)]) -> Vec<String> {
        let mut answer = ResponseHeader::build(status, None).unwrap();
        for (name, value) in fields {
            answer.append_header(*name, *value).unwrap();
        }
        strip_hop_by_hop(&mut answer);
        answer.headers.keys().map(ToString::to_string).collect()
    }

    #[test]
    fn what_concerned_the_upstreams_connection_ends_here() {
        let fields = [
            ("Connection", "close, X-Hop"),
            ("Connection", "X-Other, Content-Length"),
            ("X-Hop", "1"),
            ("x-other", "1"),
            ("Keep-Alive", "timeout=5"),
            ("Proxy-Authenticate", "Basic"),
            ("Trailer", "X"),
            ("Upgrade", "h2c"),
            ("Content-Length", "0"),
            ("X-End", "1"),
        ];
        assert_eq!(stripped(200, &fields), ["content-length", "x-end"]);
    }

    #[test]
    fn an_upgrade_keeps_its_own_fields() {
        let fields = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Keep-Alive", "timeout=5")];
        assert_eq!(stripped(101, &fields), ["connection", "upgrade"]);
    }
}
