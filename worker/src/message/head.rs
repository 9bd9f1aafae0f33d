//! A request head, whatever protocol it came in: read once, then asked by whoever has to decide, and at last written for the
//! upstream that was chosen.
//!
//! It keeps the bytes as they came and knows where in them everything lies. A connection fills the same one again for each
//! request, so that a field costs no allocation.

use std::{fmt, ops::Range};

use crate::message::field::Field;

/// A part of a head's bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// Where in `whole` its part `part` lies; empty if it is no part of it, or `whole` is not a head's size.
    pub(crate) fn of(part: &[u8], whole: &[u8]) -> Self {
        let start = part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr());
        match (
            u32::try_from(start),
            u32::try_from(start.wrapping_add(part.len())),
        ) {
            (Ok(start), Ok(end)) if end as usize <= whole.len() => Self { start, end },
            _ => Self::default(),
        }
    }

    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A field and where it lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    pub(crate) field: Field,
    pub(crate) name: Span,
    pub(crate) value: Span,
}

/// A request head.
#[derive(Default)]
pub(crate) struct Head {
    bytes: Vec<u8>,
    lines: Vec<Line>,
    /// Which fields are among them, a bit for each.
    said: u32,
    method: Span,
    path: Span,
    authority: Option<Span>,
    /// How often it went through a tpp before.
    pub(crate) hops: usize,
    /// It came as HTTP/1.0.
    pub(crate) is_old: bool,
    /// It came over HTTP/2, as all do on its connection.
    pub(crate) is_http2: bool,
}

impl Head {
    /// An empty one, on a connection of HTTP/2 or not.
    pub(crate) fn of_http2(is_http2: bool) -> Self {
        Self {
            is_http2,
            ..Self::default()
        }
    }

    /// Begins anew with `bytes`, of which the method is a part; so many fields will follow.
    pub(crate) fn begin(&mut self, bytes: &[u8], method: &[u8], fields: usize) {
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes);
        self.lines.clear();
        self.lines.reserve_exact(fields);
        self.said = 0;
        self.method = Span::of(method, bytes);
        self.path = Span::default();
        self.authority = None;
        (self.hops, self.is_old) = (0, false);
    }

    /// Adds a field.
    pub(crate) fn push(&mut self, line: Line) {
        self.said |= bit(line.field);
        self.lines.push(line);
    }

    /// Sets what is asked for, path and query, at its place in the bytes.
    pub(crate) fn set_path(&mut self, path: Span) {
        self.path = path;
    }

    /// Sets what is asked for where no place in the bytes holds it in one piece.
    pub(crate) fn make_path(&mut self, parts: &[&[u8]]) {
        let start = self.bytes.len();
        parts
            .iter()
            .for_each(|part| self.bytes.extend_from_slice(part));
        self.path = Span::of(&self.bytes[start..], &self.bytes);
    }

    /// Sets who is asked.
    pub(crate) fn set_authority(&mut self, authority: Span) {
        self.authority = Some(authority);
    }

    /// Takes the fields for which `is_for_one_hop` out of what is passed on.
    pub(crate) fn keep_back(&mut self, is_for_one_hop: impl Fn(&[u8]) -> bool) {
        for line in &mut self.lines {
            if line.field.is_ordinary() && is_for_one_hop(&self.bytes[line.name.range()]) {
                line.field = Field::HopByHop;
            }
        }
        self.said = self
            .lines
            .iter()
            .fold(0, |said, line| said | bit(line.field));
    }

    pub(crate) fn method(&self) -> &[u8] {
        self.text(self.method)
    }

    /// Path and query, or `*`.
    pub(crate) fn path(&self) -> &[u8] {
        self.text(self.path)
    }

    /// Who is asked: host and perhaps port, as the client has it; `None`: an HTTP/1.0 client did not say.
    pub(crate) fn authority(&self) -> Option<&[u8]> {
        self.authority.map(|authority| self.text(authority))
    }

    /// The end of its first line and of `Host` behind it, if they came as they would be written: method, path and authority of this
    /// head, one space between two parts, HTTP/1.1.
    pub(crate) fn end_of_plain_first(&self) -> Option<usize> {
        let first = self
            .lines
            .first()
            .filter(|line| line.field == Field::Host)?;
        let (method, path) = (self.method.range(), self.path.range());
        let host = plain_line(&self.bytes, &first.name.range(), &first.value.range())?;
        let is_plain = self.authority == Some(first.value)
            && method.start == 0
            && self.bytes.get(method.end..path.start) == Some(b" ")
            && self.bytes.get(path.end..host.start) == Some(b" HTTP/1.1\r\n");
        is_plain.then_some(host.end)
    }

    /// All fields, in the order in which they came.
    pub(crate) fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Whether there is a field of this meaning.
    pub(crate) fn has(&self, field: Field) -> bool {
        self.said & bit(field) != 0
    }

    /// The values of the fields of this meaning.
    pub(crate) fn values(&self, field: Field) -> impl Iterator<Item = &[u8]> {
        // Most are asked for and not there.
        let among = if self.has(field) {
            &self.lines[..]
        } else {
            &[]
        };
        let lines = among.iter().filter(move |line| line.field == field);
        lines.map(|line| self.text(line.value))
    }

    /// A part of it.
    pub(crate) fn text(&self, span: Span) -> &[u8] {
        &self.bytes[span.range()]
    }

    /// All its bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Where the line of this name and value lies in `head`, with its end, if it came as it would be written: `name: value`, with nothing
/// more.
pub(crate) fn plain_line(
    head: &[u8],
    name: &Range<usize>,
    value: &Range<usize>,
) -> Option<Range<usize>> {
    let is_plain = head.get(name.end..value.start) == Some(b": ")
        && head.get(value.end..value.end + 2) == Some(b"\r\n");
    is_plain.then_some(name.start..value.end + 2)
}

const fn bit(field: Field) -> u32 {
    const { assert!((Field::Other as u32) < u32::BITS, "the last one has a bit") };
    1 << field as u32
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The fields may hold secrets of the client's.
        f.debug_struct("Head")
            .field("method", &self.method().escape_ascii().to_string())
            .field("lines", &self.lines.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::request::read;

    #[test]
    fn a_field_is_there_until_it_is_kept_back_or_another_head_begins() {
        let mut head = Head::default();
        let mut said = |fields: &str| {
            let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
            read(text.as_bytes(), &mut head).unwrap().unwrap();
            let ids = head.values(Field::RequestId).count();
            (head.has(Field::RequestId), ids, head.has(Field::Via))
        };
        let twice = "X-Request-Id: 1\r\nx-request-id: 2\r\n";
        assert_eq!(said(twice), (true, 2, false));
        assert_eq!(
            said(&format!("{twice}Connection: X-Request-Id\r\n")),
            (false, 0, false)
        );
        assert_eq!(said("Via: 1.1 x\r\n"), (false, 0, true));
    }
}
