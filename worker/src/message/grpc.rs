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

/// The status of HTTP that says what one of gRPC does, by which an answer that is a trailer alone is judged: one of 200 all the same.
pub(crate) fn status_of_http(of_grpc: &[u8]) -> Option<u16> {
    let status: u8 = std::str::from_utf8(of_grpc).ok()?.trim().parse().ok()?;
    Some(match status {
        4 => 504,
        7 => 403,
        8 => 429,
        12 => 501,
        // UNKNOWN, INTERNAL and DATA_LOSS: it failed, and does not say how.
        2 | 13 | 15 => 500,
        14 => 503,
        16 => 401,
        // OK, or what the caller asked amiss.
        _ => 200,
    })
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
    fn a_status_of_grpc_is_judged_as_one_of_http_is() {
        for (of_grpc, of_http) in [
            ("0", 200),
            ("3", 200),
            ("4", 504),
            ("7", 403),
            ("8", 429),
            ("12", 501),
            ("14", 503),
            ("16", 401),
            (" 13", 500),
        ] {
            assert_eq!(status_of_http(of_grpc.as_bytes()), Some(of_http));
        }
        for nonsense in [&b"x"[..], b"", b"-1", b"\xff"] {
            assert_eq!(status_of_http(nonsense), None);
        }
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
