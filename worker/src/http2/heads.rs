//! Heads, from HTTP/2 to the text of HTTP/1.1 and back (RFC 9113, 8.2 and 8.3).
//!
//! What the text says is read by the codec of HTTP/1.1 afterwards, with all its strictness; only what would be lost on the way there
//! is looked at here.

use bytes::BytesMut;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
    header::{CONTENT_LENGTH, TE},
    response,
};

use crate::{
    http1::write::{put, put_length},
    message::field::Field,
    message::head::Head,
};

/// Room for a head of the usual size.
pub(super) const HEAD_CAPACITY: usize = 1024;

/// A head that HTTP/2 cannot carry.
#[derive(Debug, thiserror::Error)]
#[error("a head that HTTP/2 cannot carry")]
pub(super) struct Unfit;

/// Whether a body that goes with these fields is written in chunks.
pub(super) fn is_chunked(fields: &HeaderMap, is_over: bool) -> bool {
    !is_over && !fields.contains_key(CONTENT_LENGTH)
}

fn put_end(is_chunked: bool, out: &mut BytesMut) {
    if is_chunked {
        put(out, &[b"Transfer-Encoding: chunked\r\n"]);
    }
    put(out, &[b"\r\n"]);
}

/// Appends a trailer, with the last chunk before it.
pub(super) fn put_trailer(fields: &HeaderMap, out: &mut BytesMut) {
    put(out, &[b"0\r\n"]);
    put_fields(fields, out);
    put(out, &[b"\r\n"]);
}

/// Whether a field says something of one connection alone, which HTTP/2 says by other means.
fn is_for_one_hop(field: Field) -> bool {
    matches!(
        field,
        Field::Connection
            | Field::HopByHop
            | Field::KeepAlive
            | Field::Te
            | Field::TransferEncoding
            | Field::Upgrade
    )
}

/// A request's head, for a server that speaks `scheme`.
///
/// # Errors
/// If its method, its target or a field has no place in HTTP/2.
pub(super) fn request(head: &Head, scheme: &str) -> Result<Request<()>, Unfit> {
    let uri = Uri::builder()
        .scheme(scheme)
        .authority(head.authority().unwrap_or_default())
        .path_and_query(head.path())
        .build();
    let mut request = Request::new(());
    *request.uri_mut() = uri.map_err(|_| Unfit)?;
    *request.method_mut() = Method::from_bytes(head.method()).map_err(|_| Unfit)?;
    *request.version_mut() = Version::HTTP_2;
    let fields = request.headers_mut();
    for line in head.lines() {
        if !is_for_one_hop(line.field) && line.field != Field::Host {
            add(head.text(line.name), head.text(line.value), fields)?;
        }
    }
    // Trailers pass, and servers of gRPC ask for this word of it.
    fields.insert(TE, HeaderValue::from_static("trailers"));
    Ok(request)
}

/// Adds a field.
///
/// # Errors
/// If it has no place in HTTP/2.
pub(super) fn add(name: &[u8], value: &[u8], fields: &mut HeaderMap) -> Result<(), Unfit> {
    let name = HeaderName::from_bytes(name).map_err(|_| Unfit)?;
    let mut value = HeaderValue::from_bytes(value).map_err(|_| Unfit)?;
    // In no table of a peer's, from which it could be guessed (RFC 7541, 7.1).
    value.set_sensitive(is_secret(name.as_str()));
    fields.try_append(name, value).map_err(|_| Unfit)?;
    Ok(())
}

/// Whether a field by that name holds what others are not to know. A token may be in a field of any name; most have one like these.
fn is_secret(name: &str) -> bool {
    matches!(name, "authorization" | "cookie" | "set-cookie")
        || name.ends_with("key")
        || name.ends_with("token")
}

/// Appends the head of an answer before the final one.
pub(super) fn put_interim(head: &Response<()>, out: &mut BytesMut) {
    put_status(head.status(), out);
    put_fields(head.headers(), out);
    put(out, &[b"\r\n"]);
}

/// Appends an answer's head, for a request by HEAD or not; `is_over`: no body follows. Returns whether what follows is in chunks.
pub(super) fn put_answer(
    head: &response::Parts,
    is_head: bool,
    is_over: bool,
    out: &mut BytesMut,
) -> bool {
    put_status(head.status, out);
    put_fields(&head.headers, out);
    let has_no_body = is_head
        || matches!(
            head.status,
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        );
    let is_chunked = !has_no_body && is_chunked(&head.headers, is_over);
    if is_over && !has_no_body && !head.headers.contains_key(CONTENT_LENGTH) {
        put_length(out, 0);
    }
    // The next request is another stream's.
    put(out, &[b"Connection: close\r\n"]);
    put_end(is_chunked, out);
    is_chunked
}

fn put_status(status: StatusCode, out: &mut BytesMut) {
    put(out, &[b"HTTP/1.1 ", status.as_str().as_bytes(), b" \r\n"]);
}

fn put_fields(fields: &HeaderMap, out: &mut BytesMut) {
    for (name, value) in fields {
        put(
            out,
            &[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"],
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::request as http1;

    fn read(text: &str) -> Head {
        let mut head = Head::default();
        http1::read(text.as_bytes(), &mut head).unwrap().unwrap();
        head
    }

    #[test]
    fn what_others_are_not_to_know_is_in_no_table_of_the_peer() {
        let head = read(
            "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\nx-api-key: y\r\nCookie: z\r\nAccept: */*\r\n\r\n",
        );
        let request = request(&head, "http").unwrap();
        for (name, is_secret) in [
            ("authorization", true),
            ("x-api-key", true),
            ("cookie", true),
            ("accept", false),
        ] {
            assert_eq!(request.headers()[name].is_sensitive(), is_secret, "{name}");
        }
    }

    #[test]
    fn what_concerns_one_hop_alone_stays_there() {
        let head = read(
            "OPTIONS * HTTP/1.1\r\nHost: a:81\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: 1\r\nTE: gzip\r\n\
             Transfer-Encoding: chunked\r\nX-Own: 2\r\n\r\n",
        );
        let request = request(&head, "https").unwrap();
        assert_eq!(request.uri().path(), "*");
        assert_eq!(request.uri().authority().unwrap(), "a:81");
        let fields: Vec<_> = request.headers().iter().collect();
        assert_eq!(
            fields,
            [
                (
                    &HeaderName::from_static("x-own"),
                    &HeaderValue::from_static("2")
                ),
                (&TE, &HeaderValue::from_static("trailers"))
            ]
        );
    }

    #[test]
    fn an_answer_says_how_it_ends() {
        let written = |answer: Response<()>, is_head, is_over| {
            let (head, ()) = answer.into_parts();
            let mut out = BytesMut::new();
            put_answer(&head, is_head, is_over, &mut out);
            String::from_utf8(out.to_vec()).unwrap()
        };
        let plain = || Response::new(());
        let close = "Connection: close\r\n\r\n";
        assert_eq!(
            written(plain(), false, true),
            format!("HTTP/1.1 200 \r\nContent-Length: 0\r\n{close}")
        );
        assert_eq!(
            written(plain(), true, true),
            format!("HTTP/1.1 200 \r\n{close}")
        );
        assert_eq!(
            written(plain(), false, false),
            "HTTP/1.1 200 \r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        let measured = Response::builder().header("content-length", "3").body(());
        assert_eq!(
            written(measured.unwrap(), false, false),
            format!("HTTP/1.1 200 \r\ncontent-length: 3\r\n{close}")
        );
        let empty = Response::builder().status(204).body(()).unwrap();
        assert_eq!(
            written(empty, false, true),
            format!("HTTP/1.1 204 \r\n{close}")
        );
    }
}
