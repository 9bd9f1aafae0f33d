//! What tpp answers itself, as a caller of gRPC reads it.

use bytes::BytesMut;

use crate::message::head::Head;

/// What the answer to a caller of gRPC is said to be; `None`: it is none.
pub(crate) fn content_type(head: &Head) -> Option<&'static str> {
    let asked = head.named(b"content-type")?;
    let is_like = |kind: &[u8]| {
        asked
            .split_at_checked(kind.len())
            .is_some_and(|(front, _)| front.eq_ignore_ascii_case(kind))
    };
    // The first one only looks like the second.
    if is_like(b"application/grpc-web") {
        Some("application/grpc-web")
    } else {
        is_like(b"application/grpc").then_some("application/grpc")
    }
}

/// The status that says what one of HTTP does: as gRPC's own clients read that of a proxy, but for what is to be tried again.
pub(crate) fn status(of_http: u16) -> u8 {
    match of_http {
        // INTERNAL: it broke the rules of HTTP.
        400 | 431 => 13,
        // UNAUTHENTICATED
        401 => 16,
        // PERMISSION_DENIED
        403 => 7,
        // UNIMPLEMENTED: nobody here goes by that name, or has such a method.
        404 | 405 | 501 => 12,
        // DEADLINE_EXCEEDED
        408 | 504 => 4,
        // RESOURCE_EXHAUSTED: told apart from UNAVAILABLE, since to try again at once makes it worse.
        429 => 8,
        // UNAVAILABLE
        502 | 503 => 14,
        // UNKNOWN
        _ => 2,
    }
}

/// Appends a message: what is not printable, and the percent sign, are written by their numbers.
pub(crate) fn put_message(text: &str, out: &mut BytesMut) {
    use std::fmt::Write as _;
    for byte in text.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            out.extend_from_slice(&[byte]);
        } else {
            // Writing to a buffer that grows cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_readable_text_whatever_it_says() {
        let mut out = BytesMut::new();
        put_message("100 % of \"a\"\n\u{e9}", &mut out);
        assert_eq!(&out[..], b"100 %25 of \"a\"%0A%C3%A9");
    }

    #[test]
    fn each_refusal_has_a_status_of_grpc() {
        for (of_http, grpc) in [
            (400, 13),
            (401, 16),
            (403, 7),
            (404, 12),
            (405, 12),
            (408, 4),
            (421, 2),
            (429, 8),
            (502, 14),
            (503, 14),
            (504, 4),
            (508, 2),
        ] {
            assert_eq!(status(of_http), grpc, "{of_http}");
        }
    }
}
