//! Where a message body ends: read, and written anew.
//!
//! A chunked body is never passed on as it came: its frame is taken off, chunk extensions with it, and put on again, so what the
//! next reader sees has one meaning. Of its trailer pass the fields that may stand in one.

use std::fmt::Write as _;

use bytes::BytesMut;

pub(crate) use crate::http1::chunk::{BadFrame, Piece, fields as trailer_fields};
use crate::{
    http1::chunk::{self, Chunks},
    message::field::may_trail,
};

/// What is still to come of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked(Chunks),
    /// All until the peer closes.
    UntilClose,
}

impl Body {
    /// No body.
    pub(crate) const EMPTY: Self = Self::Length(0);
    /// A request's chunked body, at its start.
    pub(crate) const CHUNKED: Self = Self::Chunked(Chunks::STRICT);
    /// An answer's chunked body, at its start.
    pub(crate) const CHUNKED_LENIENT: Self = Self::Chunked(Chunks::LENIENT);

    /// The same body, its trailer dropped.
    pub(crate) const fn without_trailer(self) -> Self {
        match self {
            Self::Chunked(chunks) => Self::Chunked(chunks.without_trailer()),
            other => other,
        }
    }

    /// Whether nothing is to come.
    pub(crate) fn is_over(self) -> bool {
        match self {
            Self::Length(left) => left == 0,
            Self::Chunked(chunks) => chunks.is_over(),
            Self::UntilClose => false,
        }
    }

    /// Looks at the front of `inbox`; takes frame bytes off it, never content or trailers.
    pub(crate) fn next(&mut self, inbox: &mut BytesMut) -> Result<Piece, BadFrame> {
        match self {
            Self::Length(0) => Ok(Piece::End),
            Self::Length(left) => Ok(chunk::content(*left, inbox)),
            Self::UntilClose => Ok(chunk::content(u64::MAX, inbox)),
            Self::Chunked(chunks) => chunks.next(inbox),
        }
    }

    /// `bytes` of the content, or all of the trailer, were used.
    pub(crate) fn took(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        match self {
            Self::Length(left) => *left -= bytes,
            Self::Chunked(chunks) => chunks.took(bytes),
            Self::UntilClose => {}
        }
    }
}

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frame {
    /// As it is: its length is announced, or the connection's end ends it.
    Plain,
    /// In chunks.
    Chunked,
    /// The last chunk is out, and some of the trailer.
    Trailer,
}

impl Frame {
    /// Writes content; not an empty piece, which would end a chunked body.
    pub(crate) fn put(self, content: &[u8], out: &mut BytesMut) {
        match self {
            Self::Plain => out.extend_from_slice(content),
            Self::Chunked if !content.is_empty() => {
                // Writing to a buffer that grows cannot fail.
                let _ = write!(out, "{:x}\r\n", content.len());
                out.extend_from_slice(content);
                out.extend_from_slice(b"\r\n");
            }
            Self::Chunked | Self::Trailer => {}
        }
    }

    /// Writes those fields of a sound trailer that may stand in one; without chunks there is no place for it.
    pub(crate) fn put_trailer(&mut self, trailer: &[u8], out: &mut BytesMut) {
        if *self == Self::Plain {
            return;
        }
        // It was found sound when it was read.
        let _ = chunk::fields(trailer, |name, value| {
            if may_trail(name) {
                if *self == Self::Chunked {
                    out.extend_from_slice(b"0\r\n");
                    *self = Self::Trailer;
                }
                for part in [name, b": ", value, b"\r\n"] {
                    out.extend_from_slice(part);
                }
            }
        });
    }

    /// Writes the end.
    pub(crate) fn end(self, out: &mut BytesMut) {
        match self {
            Self::Plain => {}
            Self::Chunked => out.extend_from_slice(b"0\r\n\r\n"),
            Self::Trailer => out.extend_from_slice(b"\r\n"),
        }
    }
}

#[cfg(test)]
mod tests;
