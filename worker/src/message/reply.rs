//! What tpp answers itself: JSON, never empty; to an authority that checks on a host, text.

use std::{borrow::Cow, fmt, hint::cold_path};

use tpp::shared::WaitEnd;

/// A request that is refused before it is known what it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed {
    pub(crate) status: u16,
    pub(crate) details: &'static str,
}

impl Malformed {
    /// 400: it breaks the grammar, or could be understood in two ways.
    #[inline]
    pub(crate) const fn bad(details: &'static str) -> Self {
        Self::of(400, details)
    }

    /// By this status.
    #[inline]
    pub(crate) const fn of(status: u16, details: &'static str) -> Self {
        cold_path();
        Self { status, details }
    }
}

/// Status of the one answer that is no error.
const PROOF: u16 = 200;

/// An answer of tpp's own: a pointer, for nearly every step of a request's way can return one and hardly one does.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Reply(Box<Said>);

#[derive(Clone, PartialEq, Eq)]
struct Said {
    status: u16,
    error: &'static str,
    details: Cow<'static, str>,
    retry_after: Option<u64>,
    fields: Cow<'static, str>,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = &*self.0;
        f.debug_struct("Reply")
            .field("status", &said.status)
            .field("error", &said.error)
            .field("details", &said.details)
            .field("retry_after", &said.retry_after)
            .field("fields", &said.fields)
            .finish()
    }
}

impl Reply {
    // Cold: what leads to it lies apart from the way of requests that are passed on.
    #[cold]
    fn new(status: u16, error: &'static str, details: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Said {
            status,
            error,
            details: details.into(),
            retry_after: None,
            fields: Cow::Borrowed(""),
        }))
    }

    /// The same, with word of when it is worth trying again.
    pub(crate) fn after(mut self, seconds: u64) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    /// The same, with these whole lines in its head.
    pub(crate) fn with_fields(mut self, fields: impl Into<Cow<'static, str>>) -> Self {
        self.0.fields = fields.into();
        self
    }

    /// 200: what an authority wants to see that checks on a host, as it is.
    pub(crate) fn proof(text: String) -> Self {
        Self::new(PROOF, "", text)
    }

    /// 504: what was under way was cut, by the bound that `end` names.
    pub(crate) fn cut(end: WaitEnd) -> Self {
        Self::gateway_timeout(match end {
            WaitEnd::Exchange => {
                "the request and its answer took too long together (client.exchange_timeout_seconds)"
            }
            // The token, or the permit, was needed back.
            _ => "what the request held was held for too long (lease.max_hold_seconds)",
        })
    }

    /// 429: more than may be.
    pub(crate) fn too_many_requests(details: impl Into<Cow<'static, str>>) -> Self {
        Self::new(429, "Too Many Requests", details)
    }

    /// 503: it may not be asked now.
    pub(crate) fn unavailable(details: impl Into<Cow<'static, str>>) -> Self {
        Self::new(503, "Service Unavailable", details)
    }

    /// 502: the upstream cannot be reached, or broke off, or does not speak HTTP.
    pub(crate) fn bad_gateway(details: impl Into<Cow<'static, str>>) -> Self {
        Self::new(502, "bad gateway", details)
    }

    /// 503: no slot in time, or too many wait.
    pub(crate) fn no_token(details: impl Into<Cow<'static, str>>) -> Self {
        Self::new(503, "no token available", details)
    }

    /// 503: as many connections are open as may be.
    pub(crate) fn too_many(details: &'static str) -> Self {
        Self::new(503, "too many connections", details)
    }

    /// 308: the same is to be asked there.
    pub(crate) fn moved(location: &str) -> Self {
        Self::new(308, "moved", "this host is served with TLS alone")
            .with_fields(format!("Location: {location}\r\n"))
    }

    /// 421: the certificate that was shown is not for this host.
    pub(crate) fn misdirected() -> Self {
        Self::new(
            421,
            "misdirected request",
            "the certificate of this connection is not for the host that is asked",
        )
    }

    /// 404: nobody here goes by that name.
    pub(crate) fn not_found(details: &'static str) -> Self {
        Self::new(404, "not found", details)
    }

    /// 503: no backend can serve it now.
    pub(crate) fn no_backend(details: impl Into<Cow<'static, str>>) -> Self {
        Self::new(503, "no backend available", details)
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

    /// 508: it went round in a circle.
    pub(crate) fn loop_detected(details: &'static str) -> Self {
        Self::new(508, "loop detected", details)
    }

    pub(crate) fn status(&self) -> u16 {
        self.0.status
    }

    /// Why it is so.
    pub(crate) fn details(&self) -> &str {
        &self.0.details
    }

    /// Seconds after which it is worth trying again, if that is known.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.0.retry_after
    }

    /// Whole lines of its head besides.
    pub(crate) fn fields(&self) -> &str {
        &self.0.fields
    }

    /// Whether it is one that says that something is wrong.
    pub(crate) fn is_error(&self) -> bool {
        self.0.status != PROOF
    }

    /// What its body is.
    pub(crate) fn content_type(&self) -> &'static str {
        if self.is_error() {
            "application/json"
        } else {
            "application/octet-stream"
        }
    }

    /// The body.
    pub(crate) fn body(&self) -> String {
        if !self.is_error() {
            return self.0.details.clone().into_owned();
        }
        let [error, details] =
            [self.0.error, &self.0.details].map(|text| serde_json::Value::from(text).to_string());
        format!("{{\"error\":{error},\"details\":{details}}}")
    }

    /// Status and reason.
    pub(crate) fn status_line(&self) -> &'static str {
        match self.0.status {
            PROOF => "200 OK",
            308 => "308 Permanent Redirect",
            400 => "400 Bad Request",
            403 => "403 Forbidden",
            404 => "404 Not Found",
            405 => "405 Method Not Allowed",
            408 => "408 Request Timeout",
            414 => "414 URI Too Long",
            417 => "417 Expectation Failed",
            421 => "421 Misdirected Request",
            429 => "429 Too Many Requests",
            431 => "431 Request Header Fields Too Large",
            501 => "501 Not Implemented",
            503 => "503 Service Unavailable",
            504 => "504 Gateway Timeout",
            505 => "505 HTTP Version Not Supported",
            508 => "508 Loop Detected",
            _ => "502 Bad Gateway",
        }
    }
}

impl From<Malformed> for Reply {
    fn from(malformed: Malformed) -> Self {
        let error = match malformed.status {
            405 => "method not allowed",
            414 => "request target too long",
            417 => "expectation failed",
            431 => "request header fields too large",
            501 => "not implemented",
            505 => "HTTP version not supported",
            _ => "bad request",
        };
        Self::new(malformed.status, error, malformed.details)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_each_reply_bears_its_status() {
        let all = [
            Reply::too_many_requests(""),
            Reply::unavailable(""),
            Reply::bad_gateway(""),
            Reply::no_token(""),
            Reply::too_many(""),
            Reply::moved("https://a.test/"),
            Reply::misdirected(),
            Reply::not_found(""),
            Reply::no_backend(""),
            Reply::forbidden(""),
            Reply::gateway_timeout(""),
            Reply::cut(WaitEnd::Hold),
            Reply::request_timeout(""),
            Reply::bad_body(),
            Reply::loop_detected(""),
            Reply::proof(String::new()),
        ];
        let refused = [400, 405, 408, 414, 417, 431, 501, 505].map(|status| {
            Reply::from(Malformed {
                status,
                details: "",
            })
        });
        for reply in all.into_iter().chain(refused) {
            let line = reply.status_line();
            assert!(
                line.starts_with(&reply.status().to_string()),
                "{reply:?}: {line}"
            );
        }
    }

    #[test]
    fn a_body_is_json_whatever_it_says() {
        let reply = Reply::bad_gateway("\"quoted\"\n\u{e9}");
        let body: serde_json::Value = serde_json::from_str(&reply.body()).unwrap();
        assert_eq!(body["details"], "\"quoted\"\n\u{e9}");
        assert_eq!(reply.content_type(), "application/json");
    }

    #[test]
    fn an_authority_sees_what_it_wants_to_see_and_nothing_around_it() {
        let proof = Reply::proof("token.key".to_owned());
        assert!(!proof.is_error());
        assert_eq!(proof.body(), "token.key");
        assert_eq!(proof.content_type(), "application/octet-stream");
    }
}
