//! Where a message body ends: read strictly, written anew.
//!
//! A chunked body is never passed on as it came: its frame is taken off, chunk extensions and trailers with it,
//! and put on again, so what the next reader sees has one meaning.

use std::fmt::Write as _;

use bytes::{Buf, BytesMut};
use memchr::memchr;

/// Longest line that announces a chunk, its extensions included.
const CHUNK_LINE_LIMIT: usize = 1024;
/// Most bytes of trailer lines.
const TRAILER_LIMIT: usize = 8 * 1024;

/// What is still to come of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked(Chunk),
    /// All until the peer closes.
    UntilClose,
}

/// Place within a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chunk {
    /// A line that announces a chunk comes next.
    Line,
    /// So many bytes of a chunk.
    Data(u64),
    /// The line end after a chunk.
    DataEnd,
    /// Trailer lines, of which so many bytes went by.
    Trailer(usize),
    /// Nothing.
    Done,
}

/// What stands at the front of the inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece {
    /// So many bytes of content; say [`Body::took`] for those that were used.
    Content(usize),
    /// Too little to tell.
    More,
    /// The body has ended.
    End,
}

/// A chunk's frame is not what it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadFrame;

impl Body {
    /// No body.
    pub(crate) const EMPTY: Self = Self::Length(0);
    /// A chunked body, at its start.
    pub(crate) const CHUNKED: Self = Self::Chunked(Chunk::Line);

    /// Whether nothing is to come.
    pub(crate) fn is_over(self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunk::Done))
    }

    /// Looks at the front of `inbox`; takes frame bytes off it, never content.
    pub(crate) fn next(&mut self, inbox: &mut BytesMut) -> Result<Piece, BadFrame> {
        match self {
            Self::Length(0) => Ok(Piece::End),
            Self::Length(left) => Ok(content(*left, inbox)),
            Self::UntilClose => Ok(content(u64::MAX, inbox)),
            Self::Chunked(chunk) => chunk.next(inbox),
        }
    }

    /// `bytes` of the content were used.
    pub(crate) fn took(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        match self {
            Self::Length(left) => *left -= bytes,
            Self::Chunked(chunk @ Chunk::Data(_)) => {
                if let Chunk::Data(left) = *chunk {
                    *chunk = if left == bytes {
                        Chunk::DataEnd
                    } else {
                        Chunk::Data(left - bytes)
                    };
                }
            }
            Self::Chunked(_) | Self::UntilClose => {}
        }
    }
}

fn content(left: u64, inbox: &BytesMut) -> Piece {
    match usize::try_from(left).map_or(inbox.len(), |left| left.min(inbox.len())) {
        0 => Piece::More,
        bytes => Piece::Content(bytes),
    }
}

impl Chunk {
    fn next(&mut self, inbox: &mut BytesMut) -> Result<Piece, BadFrame> {
        loop {
            match self {
                Self::Data(left) => return Ok(content(*left, inbox)),
                Self::Done => return Ok(Piece::End),
                Self::DataEnd => {
                    if inbox.len() < 2 {
                        // A first byte that is wrong already need not wait for a second.
                        return if inbox.first().is_some_and(|&byte| byte != b'\r') {
                            Err(BadFrame)
                        } else {
                            Ok(Piece::More)
                        };
                    }
                    if !inbox.starts_with(b"\r\n") {
                        return Err(BadFrame);
                    }
                    inbox.advance(2);
                    *self = Self::Line;
                }
                Self::Line => {
                    let Some(line) = line(inbox, CHUNK_LINE_LIMIT)? else {
                        return Ok(Piece::More);
                    };
                    let size = chunk_size(&inbox[..line])?;
                    inbox.advance(line + 2);
                    *self = if size == 0 {
                        Self::Trailer(0)
                    } else {
                        Self::Data(size)
                    };
                }
                Self::Trailer(seen) => {
                    let Some(line) = line(inbox, TRAILER_LIMIT - *seen)? else {
                        return Ok(Piece::More);
                    };
                    inbox.advance(line + 2);
                    *self = if line == 0 {
                        Self::Done
                    } else {
                        Self::Trailer(*seen + line + 2)
                    };
                }
            }
        }
    }
}

/// Length of the first line without its end; `None`: it has not ended yet.
fn line(inbox: &[u8], limit: usize) -> Result<Option<usize>, BadFrame> {
    let window = &inbox[..inbox.len().min(limit)];
    match memchr(b'\n', window) {
        Some(end) if end > 0 && window[end - 1] == b'\r' => Ok(Some(end - 1)),
        Some(_) => Err(BadFrame),
        None if inbox.len() >= limit => Err(BadFrame),
        None => Ok(None),
    }
}

/// The size a chunk line announces: hexadecimal digits, then nothing or an extension.
fn chunk_size(line: &[u8]) -> Result<u64, BadFrame> {
    let digits = line
        .iter()
        .position(|byte| !byte.is_ascii_hexdigit())
        .unwrap_or(line.len());
    let (digits, extension) = line.split_at(digits);
    let extension_is_sound = extension.is_empty()
        || extension[0] == b';'
            && extension
                .iter()
                .all(|&byte| byte == b'\t' || byte >= b' ' && byte != 0x7f);
    // Fifteen digits are an exabyte; more only serve to overflow somebody.
    if digits.is_empty() || digits.len() > 15 || !extension_is_sound {
        return Err(BadFrame);
    }
    let digits = std::str::from_utf8(digits).map_err(|_| BadFrame)?;
    u64::from_str_radix(digits, 16).map_err(|_| BadFrame)
}

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frame {
    /// As it is: its length is announced, or the connection's end ends it.
    Plain,
    /// In chunks.
    Chunked,
}

impl Frame {
    /// Writes content; not an empty piece, which would end a chunked body.
    pub(crate) fn put(self, content: &[u8], out: &mut BytesMut) {
        match self {
            Self::Plain => out.extend_from_slice(content),
            Self::Chunked if content.is_empty() => {}
            Self::Chunked => {
                // Writing to a buffer that grows cannot fail.
                let _ = write!(out, "{:x}\r\n", content.len());
                out.extend_from_slice(content);
                out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Writes the end.
    pub(crate) fn end(self, out: &mut BytesMut) {
        if self == Self::Chunked {
            out.extend_from_slice(b"0\r\n\r\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a whole body from `wire`, `step` bytes at a time. `None`: it has not ended.
    fn read(
        mut body: Body,
        wire: &[u8],
        step: usize,
    ) -> Result<Option<(Vec<u8>, usize)>, BadFrame> {
        let mut content = Vec::new();
        let mut inbox = BytesMut::new();
        let mut fed = 0;
        for piece in wire.chunks(step) {
            inbox.extend_from_slice(piece);
            fed += piece.len();
            loop {
                match body.next(&mut inbox)? {
                    Piece::Content(bytes) => {
                        content.extend_from_slice(&inbox.split_to(bytes));
                        body.took(bytes);
                    }
                    Piece::More => break,
                    Piece::End => return Ok(Some((content, fed - inbox.len()))),
                }
            }
        }
        Ok(None)
    }

    fn chunked(wire: &[u8]) -> Result<Option<(Vec<u8>, usize)>, BadFrame> {
        let whole = read(Body::CHUNKED, wire, wire.len().max(1));
        assert_eq!(
            whole.is_ok(),
            read(Body::CHUNKED, wire, 1).is_ok(),
            "split bytes read alike"
        );
        whole
    }

    #[test]
    fn chunks_are_joined_and_extensions_and_trailers_dropped() {
        let wire = b"3\r\nabc\r\n2;x=\"y\"\r\nde\r\n0\r\nTrailer: x\r\n\r\nnext";
        assert_eq!(chunked(wire), Ok(Some((b"abcde".to_vec(), wire.len() - 4))));
    }

    #[test]
    fn chunk_frames_with_two_meanings_are_refused() {
        for wire in [
            &b"0x3\r\nabc\r\n0\r\n\r\n"[..],
            b"3\nabc\r\n0\r\n\r\n",
            b"3\r\nabc\n0\r\n\r\n",
            b"3\r\nabcd\r\n0\r\n\r\n",
            b"3 \r\nabc\r\n0\r\n\r\n",
            b"+3\r\nabc\r\n0\r\n\r\n",
            b"-1\r\n",
            b"\r\n",
            b";x\r\n",
            b"3;\x01\r\nabc\r\n",
            b"ffffffffffffffff\r\n",
            b"0\r\nx: y\n\r\n",
        ] {
            assert_eq!(chunked(wire), Err(BadFrame), "{}", wire.escape_ascii());
        }
    }

    #[test]
    fn lines_and_trailers_without_an_end_are_refused() {
        assert_eq!(chunked(&[b'0'; CHUNK_LINE_LIMIT]), Err(BadFrame));
        let endless = [&b"0\r\n"[..], &b"a: b\r\n".repeat(TRAILER_LIMIT / 6 + 1)].concat();
        assert_eq!(chunked(&endless), Err(BadFrame));
    }

    #[test]
    fn a_length_takes_no_byte_more() {
        assert_eq!(
            read(Body::Length(3), b"abcdef", 2),
            Ok(Some((b"abc".to_vec(), 3)))
        );
        assert_eq!(read(Body::Length(7), b"abcdef", 6), Ok(None));
    }

    proptest! {
        #[test]
        fn what_is_framed_is_read_back(pieces in proptest::collection::vec(".{0,40}", 0..8), step in 1_usize..64) {
            let mut wire = BytesMut::new();
            for piece in &pieces {
                Frame::Chunked.put(piece.as_bytes(), &mut wire);
            }
            Frame::Chunked.end(&mut wire);
            let read = read(Body::CHUNKED, &wire, step).unwrap().unwrap();
            prop_assert_eq!(read, (pieces.concat().into_bytes(), wire.len()));
        }

        #[test]
        fn any_bytes_are_read_without_panic(wire in proptest::collection::vec(any::<u8>(), 0..200), step in 1_usize..20) {
            let _ = read(Body::CHUNKED, &wire, step);
        }
    }
}
