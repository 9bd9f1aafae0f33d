//! Requests as the clients send them, answers as they get them.

use std::fmt::Write as _;

use serde_json::Value;

use super::{http::Head, upstream::ConnId};

/// A request to be put on the wire.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(super) method: String,
    pub(super) target: String,
    fields: Vec<(String, String)>,
    body: Body,
}

#[derive(Debug, Clone)]
enum Body {
    None,
    Sized(Vec<u8>),
    Chunks(Vec<Vec<u8>>),
}

/// An answer, read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

// === impl Request ===

impl Request {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.into(),
            target: target.into(),
            fields: Vec::new(),
            body: Body::None,
        }
    }

    pub(crate) fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    pub(crate) fn post(target: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: Body::Sized(body.into()),
            ..Self::new("POST", target)
        }
    }

    /// A POST whose body goes out in chunks.
    pub(crate) fn post_chunks(target: &str, chunks: &[&[u8]]) -> Self {
        let chunks = chunks.iter().map(|chunk| chunk.to_vec()).collect();
        Self {
            body: Body::Chunks(chunks),
            ..Self::new("POST", target)
        }
    }

    /// The same with a body.
    pub(crate) fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Body::Sized(body.into());
        self
    }

    pub(crate) fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// The bytes of the head, for connection `conn`'s request number `seq`.
    pub(super) fn head(&self, conn: ConnId, seq: u64) -> String {
        let Self {
            method,
            target,
            fields,
            body,
        } = self;
        let mut head = format!(
            "{method} {target} HTTP/1.1\r\nHost: tpp.test\r\nX-Conn: {conn}\r\nX-Seq: {seq}\r\n"
        );
        for (name, value) in fields {
            write!(head, "{name}: {value}\r\n").expect("a String takes it");
        }
        match body {
            Body::None => {}
            Body::Sized(bytes) => {
                write!(head, "Content-Length: {}\r\n", bytes.len()).expect("a String takes it")
            }
            Body::Chunks(_) => head.push_str("Transfer-Encoding: chunked\r\n"),
        }
        head + "\r\n"
    }

    pub(super) fn body(&self) -> Vec<u8> {
        match &self.body {
            Body::None => Vec::new(),
            Body::Sized(bytes) => bytes.clone(),
            Body::Chunks(chunks) => {
                let mut all = Vec::new();
                for chunk in chunks.iter().chain([&Vec::new()]) {
                    all.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    all.extend_from_slice(chunk);
                    all.extend_from_slice(b"\r\n");
                }
                all
            }
        }
    }
}

// === impl Answer ===

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {:?}", self.text()))
    }

    /// The answer, if its status is 200.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.status, 200, "{:?} {}", self.head, self.text());
        self
    }

    /// Whoever sent it means to close the connection now.
    pub(crate) fn closes(&self) -> bool {
        self.head.lists("connection", "close")
    }
}
