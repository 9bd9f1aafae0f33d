//! The frame of a chunked body: taken off here, put on again by whoever writes.
//!
//! A client's must be as the grammar has it, to the byte: who reads it in another way than the next reader lets a second
//! request in. An upstream's may have what old servers add, as long as it can be read in one way only.

use bytes::{Buf, BytesMut};
use memchr::memchr;

use crate::{http1::line::is_token, message::headers::FIELD_LIMIT};

/// Longest line that announces a chunk, its extensions included, in a request and in an answer.
const LINE_LIMITS: [usize; 2] = [1024, 16 * 1024];
/// Most bytes of a trailer, in a request and in an answer.
const TRAILER_LIMITS: [usize; 2] = [8 * 1024, 64 * 1024];

/// Place within a chunked body, and how it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunks {
    place: Place,
    reader: Reader,
    /// Its trailer is handed out, not dropped.
    has_trailer: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A line that announces a chunk comes next.
    Line,
    /// So many bytes of a chunk.
    Data(u64),
    /// The line end after a chunk.
    DataEnd,
    /// A trailer, of which so many bytes are whole lines.
    Trailer(usize),
    /// Nothing.
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    Strict,
    Lenient,
}

/// What stands at the front of the inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece {
    /// So many bytes of content; say `took` for those that were used.
    Content(usize),
    /// So many bytes of a whole and sound trailer, the empty line at its end included; to be taken as one.
    Trailer(usize),
    /// Too little to tell.
    More,
    /// The body has ended.
    End,
}

/// A chunk's frame is not what it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadFrame;

impl Chunks {
    /// Of a request, at its start.
    pub(super) const STRICT: Self = Self {
        place: Place::Line,
        reader: Reader::Strict,
        has_trailer: true,
    };
    /// Of an answer, at its start.
    pub(super) const LENIENT: Self = Self {
        reader: Reader::Lenient,
        ..Self::STRICT
    };

    /// The same, its trailer dropped.
    pub(super) const fn without_trailer(self) -> Self {
        Self {
            has_trailer: false,
            ..self
        }
    }

    pub(super) fn is_over(self) -> bool {
        self.place == Place::Done
    }

    /// Looks at the front of `inbox`; takes frame bytes off it, never content nor a trailer that is handed out.
    pub(super) fn next(&mut self, inbox: &mut BytesMut) -> Result<Piece, BadFrame> {
        loop {
            match self.place {
                Place::Data(left) => return Ok(content(left, inbox)),
                Place::Done => return Ok(Piece::End),
                Place::DataEnd => {
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
                    self.place = Place::Line;
                }
                Place::Line => {
                    let Some(length) = line(inbox, self.reader.limit(LINE_LIMITS))? else {
                        return Ok(Piece::More);
                    };
                    let size = self.reader.size(&inbox[..length])?;
                    inbox.advance(length + 2);
                    self.place = if size == 0 {
                        Place::Trailer(0)
                    } else {
                        Place::Data(size)
                    };
                }
                Place::Trailer(whole) => {
                    let limit = self.reader.limit(TRAILER_LIMITS) - whole;
                    let Some(length) = line(&inbox[whole..], limit)? else {
                        return Ok(Piece::More);
                    };
                    self.place = Place::Trailer(whole + length + 2);
                    if length == 0
                        && let Some(piece) = self.trailer(whole, inbox)?
                    {
                        return Ok(piece);
                    }
                }
            }
        }
    }

    /// The trailer has ended, with an empty line behind `lines` bytes. Hands it out if there is something to hand out.
    fn trailer(&mut self, lines: usize, inbox: &mut BytesMut) -> Result<Option<Piece>, BadFrame> {
        let length = lines + 2;
        let is_sound = fields(&inbox[..length], |_, _| {}).is_ok();
        if !is_sound && self.reader == Reader::Strict {
            return Err(BadFrame);
        }
        if lines > 0 && is_sound && self.has_trailer {
            return Ok(Some(Piece::Trailer(length)));
        }
        inbox.advance(length);
        self.place = Place::Done;
        Ok(None)
    }

    /// `bytes` of what was handed out were used.
    // Apart from the way of answers that are not chunked.
    #[inline(never)]
    pub(super) fn took(&mut self, bytes: u64) {
        self.place = match self.place {
            Place::Data(left) if left == bytes => Place::DataEnd,
            Place::Data(left) => Place::Data(left - bytes),
            Place::Trailer(_) => Place::Done,
            place => place,
        };
    }
}

/// So many bytes of content are still to come.
pub(super) fn content(left: u64, inbox: &BytesMut) -> Piece {
    match usize::try_from(left).map_or(inbox.len(), |left| left.min(inbox.len())) {
        0 => Piece::More,
        bytes => Piece::Content(bytes),
    }
}

/// Calls `each` with name and value of each field of a trailer.
// Its array is not to lie in the frame of whoever polls a body: a frame of several pages costs at each poll, trailer or not.
#[inline(never)]
pub(crate) fn fields(trailer: &[u8], mut each: impl FnMut(&[u8], &[u8])) -> Result<(), BadFrame> {
    let mut fields = [httparse::EMPTY_HEADER; FIELD_LIMIT];
    match httparse::parse_headers(trailer, &mut fields) {
        Ok(httparse::Status::Complete((length, fields))) if length == trailer.len() => {
            fields
                .iter()
                .for_each(|field| each(field.name.as_bytes(), field.value));
            Ok(())
        }
        _ => Err(BadFrame),
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

impl Reader {
    const fn limit(self, limits: [usize; 2]) -> usize {
        match self {
            Self::Strict => limits[0],
            Self::Lenient => limits[1],
        }
    }

    /// The size that a chunk line announces: hexadecimal digits, then nothing or extensions.
    fn size(self, line: &[u8]) -> Result<u64, BadFrame> {
        // Old servers write the size into a field of fixed width.
        let line = match self {
            Self::Strict => line,
            Self::Lenient => trim_blanks(trim_end_blanks(line)),
        };
        let is_digit = u8::is_ascii_hexdigit;
        let (digits, rest) = line.split_at(line.iter().take_while(|byte| is_digit(byte)).count());
        let is_sound = match self {
            Self::Strict => are_extensions(rest),
            Self::Lenient => {
                let rest = trim_blanks(rest);
                matches!(rest, [] | [b';', ..]) && rest.iter().copied().all(is_text)
            }
        };
        let zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
        // Fifteen digits are an exabyte; more only serve to overflow somebody.
        if digits.is_empty() || digits.len() - zeros > 15 || !is_sound {
            return Err(BadFrame);
        }
        digits.iter().try_fold(0, |size, &digit| {
            let digit = char::from(digit).to_digit(16).ok_or(BadFrame)?;
            Ok(size << 4 | u64::from(digit))
        })
    }
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || byte >= b' ' && byte != 0x7f
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn trim_blanks(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.iter().take_while(|byte| is_blank(byte)).count()..]
}

fn trim_end_blanks(bytes: &[u8]) -> &[u8] {
    let blanks = bytes.iter().rev().take_while(|byte| is_blank(byte)).count();
    &bytes[..bytes.len() - blanks]
}

/// Whether what follows a size is extensions as RFC 9112, 7.1.1, has them.
fn are_extensions(mut rest: &[u8]) -> bool {
    while !rest.is_empty() {
        let Some(after) = trim_blanks(rest)
            .strip_prefix(b";")
            .map(trim_blanks)
            .and_then(token)
        else {
            return false;
        };
        rest = match trim_blanks(after).strip_prefix(b"=").map(trim_blanks) {
            None => after,
            Some(value) => {
                let after = match value.strip_prefix(b"\"") {
                    Some(quoted) => end_of_quote(quoted),
                    None => token(value),
                };
                let Some(after) = after else { return false };
                after
            }
        };
    }
    true
}

/// What follows the token at the front.
fn token(bytes: &[u8]) -> Option<&[u8]> {
    let length = bytes.iter().take_while(|&&byte| is_token(byte)).count();
    (length > 0).then(|| &bytes[length..])
}

/// What follows a quoted string of which the first quote is gone.
fn end_of_quote(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        bytes = match bytes {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', escaped, rest @ ..] if is_text(*escaped) => rest,
            [byte, rest @ ..] if *byte != b'\\' && is_text(*byte) => rest,
            _ => return None,
        };
    }
}
