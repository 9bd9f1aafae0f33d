//! Lines of a head that pass as they came: those that stand together are copied as one.

use std::ops::Range;

use bytes::BytesMut;

use super::put;
use crate::message::head::{Span, plain_line};

/// Lines on their way out.
pub(super) struct Lines<'a> {
    /// The head that they stand in.
    head: &'a [u8],
    /// Those that are not written yet.
    run: Range<usize>,
}

impl<'a> Lines<'a> {
    /// Of `head`, the first ones of which, `run`, pass in any case.
    pub(super) fn of(head: &'a [u8], run: Range<usize>) -> Self {
        Self { head, run }
    }

    /// Passes on the line of this name and value.
    pub(super) fn pass(&mut self, name: Span, value: Span, out: &mut BytesMut) {
        let (name, value) = (name.range(), value.range());
        let plain = plain_line(self.head, &name, &value);
        if let Some(next) = plain.as_ref().filter(|next| next.start == self.run.end) {
            self.run.end = next.end;
            return;
        }
        if !self.run.is_empty() {
            put(out, &[&self.head[self.run.clone()]]);
        }
        self.run = plain.unwrap_or_else(|| {
            put(out, &[&self.head[name], b": ", &self.head[value], b"\r\n"]);
            0..0
        });
    }

    /// Writes what is left.
    pub(super) fn end(self, out: &mut BytesMut) {
        if !self.run.is_empty() {
            put(out, &[&self.head[self.run]]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_written_plainly_however_they_came_and_in_their_order() {
        let head = b"a: 1\r\nb:2\r\nc: 3\r\nd: 4\r\ne: 5 \r\nf: \r\n";
        let mut lines = Lines::of(head, 0..0);
        let mut out = BytesMut::new();
        for (name, value) in [
            (&head[0..1], &head[3..4]),
            (&head[6..7], &head[8..9]),
            (&head[11..12], &head[14..15]),
            // The line between them does not pass.
            (&head[23..24], &head[26..27]),
            (&head[30..31], &head[33..33]),
        ] {
            lines.pass(Span::of(name, head), Span::of(value, head), &mut out);
        }
        lines.end(&mut out);
        assert_eq!(&out[..], b"a: 1\r\nb: 2\r\nc: 3\r\ne: 5\r\nf: \r\n");
    }
}
