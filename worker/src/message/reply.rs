//! What tpp answers itself: JSON, never empty.

use std::borrow::Cow;

use bytes::BytesMut;

use crate::http1::request::{Malformed, put, put_length};

/// Seconds after which a client that got no slot may try again.
const RETRY_AFTER: &[u8] = b"Retry-After: 1\r\n";

/// An answer of tpp's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    error: &'static str,
    details: Cow<'static, str>,
}

impl Reply {
    fn new(status: u16, error: &'static str, details: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            error,
            details: details.into(),
        }
    }

    /// 502: the upstream cannot be reached, or broke off, or does not speak HTTP.
    pub(crate) fn bad_gateway(details: impl Into<Cow<'static, str>>) -> Self {
        Self::new(502, "bad gateway", details)
    }

    /// 503: no slot in time, or too many wait.
    pub(crate) fn no_token(details: impl Into<Cow<'static, str>>) -> Self {
        Self::new(503, "no token available", details)
    }

    /// 403: clients may not ask for this.
    pub(crate) fn forbidden(details: &'static str) -> Self {
        Self::new(403, "forbidden", details)
    }

    /// 504: the upstream takes too long.
    pub(crate) fn gateway_timeout(details: &'static str) -> Self {
        Self::new(504, "gateway timeout", details)
    }

    /// 408: the client takes too long.
    pub(crate) fn request_timeout(details: &'static str) -> Self {
        Self::new(408, "request timeout", details)
    }

    /// 400: the body's frame is broken.
    pub(crate) fn bad_body() -> Self {
        Self::new(400, "bad request", "the chunked body is malformed")
    }

    /// Appends the whole answer to `out`; without the body if `is_head`.
    pub(crate) fn write(&self, is_head: bool, close: bool, out: &mut BytesMut) {
        let [error, details] =
            [self.error, &self.details].map(|text| serde_json::Value::from(text).to_string());
        let body = format!("{{\"error\":{error},\"details\":{details}}}");
        put(
            out,
            &[
                b"HTTP/1.1 ",
                self.status_line().as_bytes(),
                b"\r\nContent-Type: application/json\r\n",
            ],
        );
        put_length(out, body.len() as u64);
        if self.status == 503 {
            put(out, &[RETRY_AFTER]);
        }
        if close {
            put(out, &[b"Connection: close\r\n"]);
        }
        put(out, &[b"\r\n"]);
        if !is_head {
            put(out, &[body.as_bytes()]);
        }
    }

    fn status_line(&self) -> &'static str {
        match self.status {
            400 => "400 Bad Request",
            403 => "403 Forbidden",
            405 => "405 Method Not Allowed",
            408 => "408 Request Timeout",
            417 => "417 Expectation Failed",
            431 => "431 Request Header Fields Too Large",
            503 => "503 Service Unavailable",
            504 => "504 Gateway Timeout",
            _ => "502 Bad Gateway",
        }
    }
}

impl From<Malformed> for Reply {
    fn from(malformed: Malformed) -> Self {
        let error = match malformed.status {
            405 => "method not allowed",
            417 => "expectation failed",
            431 => "request header fields too large",
            _ => "bad request",
        };
        Self::new(malformed.status, error, malformed.details)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(reply: &Reply, is_head: bool, close: bool) -> String {
        let mut out = BytesMut::new();
        reply.write(is_head, close, &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn a_reply_is_json_of_the_announced_length() {
        let reply = Reply::bad_gateway("it said \"no\"");
        let body = "{\"error\":\"bad gateway\",\"details\":\"it said \\\"no\\\"\"}";
        let head = format!(
            "HTTP/1.1 502 Bad Gateway\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        assert_eq!(written(&reply, false, true), format!("{head}{body}"));
        assert_eq!(written(&reply, true, true), head);
    }

    #[test]
    fn who_gets_no_token_is_told_when_to_come_again() {
        assert!(written(&Reply::no_token("x"), false, false).contains("\r\nRetry-After: 1\r\n"));
    }
}
