//! What tpp answers itself: JSON, never empty.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};
use http::{StatusCode, header};
use pingora_error::Result;
use pingora_http::ResponseHeader;

/// Seconds after which a client that got no slot may try again.
const RETRY_AFTER: &str = "1";

/// An answer of tpp's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    status: StatusCode,
    details: Cow<'static, str>,
}

impl Reply {
    fn new(status: StatusCode, details: impl Into<Cow<'static, str>>) -> Self {
        Self { status, details: details.into() }
    }

    /// 400: the request can be understood in two ways, or in none.
    pub(crate) fn bad_request(details: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, details)
    }

    /// 405: the method would leave the pool's rules behind, or show the client its token.
    pub(crate) fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "the method is not allowed here")
    }

    /// 408: the client takes too long.
    pub(crate) fn request_timeout(details: &'static str) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, details)
    }

    /// 431: the head is too long.
    pub(crate) fn head_too_large() -> Self {
        Self::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "the request head is too large")
    }

    /// 502: the upstream cannot be reached, or broke off, or does not speak HTTP.
    pub(crate) fn bad_gateway(details: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, details)
    }

    /// 503: no slot in time, or too many wait.
    pub(crate) fn no_token(details: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, details)
    }

    /// 504: the upstream takes too long.
    pub(crate) fn gateway_timeout(details: &'static str) -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, details)
    }

    /// Its status.
    pub(crate) fn status(&self) -> u16 {
        self.status.as_u16()
    }

    fn error(&self) -> &'static str {
        match self.status {
            StatusCode::BAD_REQUEST => "bad request",
            StatusCode::METHOD_NOT_ALLOWED => "method not allowed",
            StatusCode::REQUEST_TIMEOUT => "request timeout",
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "request header fields too large",
            StatusCode::SERVICE_UNAVAILABLE => "no token available",
            StatusCode::GATEWAY_TIMEOUT => "gateway timeout",
            _ => "bad gateway",
        }
    }

    /// The body.
    pub(crate) fn body(&self) -> Bytes {
        serde_json::json!({ "error": self.error(), "details": self.details }).to_string().into()
    }

    /// The head, but for what Pingora adds: `Date` and `Connection`.
    ///
    /// # Errors
    /// None that can happen: all values are fixed or numbers.
    pub(crate) fn head(&self, body: &Bytes) -> Result<ResponseHeader> {
        let mut head = ResponseHeader::build(self.status, Some(5))?;
        head.insert_header(header::CONTENT_TYPE, "application/json")?;
        head.insert_header(header::CONTENT_LENGTH, body.len())?;
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            head.insert_header("Retry-After", RETRY_AFTER)?;
        }
        Ok(head)
    }

    /// The whole answer, the last one on its connection; without the body if `is_head`.
    pub(crate) fn to_bytes(&self, is_head: bool) -> BytesMut {
        let body = self.body();
        let mut bytes = BytesMut::new();
        bytes.put_slice(format!("HTTP/1.1 {}\r\n", self.status).as_bytes());
        if let Ok(head) = self.head(&body) {
            head.header_to_h1_wire(&mut bytes);
        }
        bytes.put_slice(b"Connection: close\r\n\r\n");
        if !is_head {
            bytes.put_slice(&body);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(reply: &Reply, is_head: bool) -> String {
        String::from_utf8(reply.to_bytes(is_head).to_vec()).unwrap()
    }

    #[test]
    fn a_reply_is_json_of_the_announced_length() {
        let reply = Reply::bad_gateway("it said \"no\"");
        let body = "{\"details\":\"it said \\\"no\\\"\",\"error\":\"bad gateway\"}";
        let head = format!(
            "HTTP/1.1 502 Bad Gateway\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        assert_eq!(written(&reply, false), format!("{head}{body}"));
        assert_eq!(written(&reply, true), head);
    }

    #[test]
    fn who_gets_no_token_is_told_when_to_come_again() {
        assert!(written(&Reply::no_token("x"), false).contains("\r\nRetry-After: 1\r\n"));
        assert!(!written(&Reply::gateway_timeout("x"), false).contains("Retry-After"));
    }
}
