//! What reaches the upstream, read without mercy: a request that two servers could read in two ways is a fault of
//! the proxy that let it through.

use std::{io, net::TcpStream, time::Instant};

use super::oracle::ConnId;
use crate::common::http::{Framing, Head, read_body};

/// Reads ahead from an upstream connection.
pub(super) type Reader = io::BufReader<TcpStream>;

/// A request whose head was read, its body perhaps not yet.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) head: Head,
    pub(super) method: String,
    pub(super) target: String,
    pub(super) framing: Framing,
    pub(super) body: Vec<u8>,
}

/// A service request as the tests may ask for it afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    /// The client's `X-Conn`, 0 without one.
    pub(crate) conn: ConnId,
    /// The client's `X-Seq`, 0 without one.
    pub(crate) seq: u64,
    /// Whose token it carried; `None` if the token was never issued.
    pub(crate) user: Option<String>,
    /// The token was still good.
    pub(crate) authorized: bool,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) head: Head,
}

impl Received {
    /// Judges a head.
    pub(super) fn check(raw: &[u8]) -> Result<Self, String> {
        let head = Head::parse(raw)?;
        let parts: Vec<&str> = head.line.split(' ').collect();
        let &[method, target, "HTTP/1.1"] = parts.as_slice() else {
            return Err(format!("request line {:?}", head.line));
        };
        if !target.starts_with('/') && method != "OPTIONS" {
            return Err(format!("request target {target:?}"));
        }
        match head.all("host").as_slice() {
            [host] if !host.is_empty() && !host.contains([' ', '@', ',']) => {}
            hosts => return Err(format!("Host {hosts:?}")),
        }
        let shown = [head.all("authorization"), head.all("x-api-key")].concat();
        if let several @ [_, _, ..] = shown.as_slice() {
            return Err(format!("{} fields with a token", several.len()));
        }
        let framing = head.framing(Framing::Empty)?;
        let (method, target) = (method.to_owned(), target.to_owned());
        Ok(Self {
            head,
            method,
            target,
            framing,
            body: Vec::new(),
        })
    }

    /// The bearer token, as it stands in the field, or a key in a field of its own.
    pub(super) fn token(&self) -> Option<&str> {
        let bearer = self.head.field("authorization");
        let bearer = bearer.and_then(|value| value.strip_prefix("Bearer "));
        bearer.or_else(|| self.head.field("x-api-key"))
    }

    pub(super) fn conn(&self) -> ConnId {
        self.number("x-conn")
    }

    pub(super) fn seq(&self) -> u64 {
        self.number("x-seq")
    }

    fn number(&self, field: &str) -> u64 {
        self.head
            .field(field)
            .and_then(|text| text.parse().ok())
            .unwrap_or_default()
    }

    /// Reads the whole body into [`Self::body`].
    pub(super) fn read_whole_body(&mut self, from: &mut Reader) -> io::Result<()> {
        let body = &mut self.body;
        read_body(from, self.framing, |piece| {
            body.extend_from_slice(piece);
            Ok(())
        })
    }
}
