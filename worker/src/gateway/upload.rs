//! A request body on its way to the upstream.

use bytes::{Buf, BytesMut};

use crate::{
    http1::body::{BadFrame, Body, Frame, Piece},
    http1::request::Request,
    wire::HIGH_WATER,
};

/// Bytes of a request body that are kept, should it have to be sent again.
const KEPT: usize = 64 * 1024;

/// Whether enough of a body is in to ask for a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gathered {
    Enough,
    TooLittle,
}

/// The request body on its way, over all attempts to send the request.
#[derive(Debug)]
pub(crate) struct Upload {
    body: Body,
    first_frame: Frame,
    /// How far its writing is.
    frame: Frame,
    is_over: bool,
    /// All content so far; `None`: it was too much to keep.
    kept: Option<Vec<u8>>,
    /// The trailer, once it is there.
    trailer: Vec<u8>,
}

impl Upload {
    pub(crate) fn new(request: &Request) -> Self {
        let fits = !matches!(request.body, Body::Length(length) if length > KEPT as u64);
        Self {
            body: request.body,
            first_frame: request.frame(),
            frame: request.frame(),
            is_over: request.body.is_over(),
            kept: fits.then(Vec::new),
            trailer: Vec::new(),
        }
    }

    /// What follows the head of a WebSocket: all that comes, as it comes.
    pub(crate) fn tunnel() -> Self {
        Self {
            body: Body::UntilClose,
            first_frame: Frame::Plain,
            frame: Frame::Plain,
            is_over: false,
            kept: None,
            trailer: Vec::new(),
        }
    }

    /// Whether the whole body was taken from the client.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether anything was taken of the body that `request` announced.
    pub(crate) fn has_begun(&self, request: &Request) -> bool {
        self.body != request.body
    }

    /// Whether what went out so far can be sent again.
    pub(crate) fn can_replay(&self) -> bool {
        self.kept.is_some()
    }

    /// Whether it is, or may well become, too long to be sent again.
    pub(crate) fn may_outgrow(&self) -> bool {
        let is_full = |kept: &Vec<u8>| kept.len() >= KEPT && !self.is_over;
        self.kept.as_ref().is_none_or(is_full)
    }

    /// Sees whether the whole body is in, or as much of it as can be kept. A body of known length is left in `inbox`;
    /// what is there of another one is taken.
    pub(crate) fn gather(&mut self, inbox: &mut BytesMut) -> Result<Gathered, BadFrame> {
        if let Body::Length(length) = self.body {
            return Ok(if inbox.len() as u64 >= length.min(KEPT as u64) {
                Gathered::Enough
            } else {
                Gathered::TooLittle
            });
        }
        while let Some(room) = self.room() {
            match self.body.next(inbox)? {
                Piece::Content(length) => {
                    let length = length.min(room);
                    self.keep(&inbox[..length]);
                    self.body.took(length);
                    inbox.advance(length);
                }
                Piece::Trailer(length) => {
                    self.trailer.extend_from_slice(&inbox[..length]);
                    self.body.took(length);
                    inbox.advance(length);
                }
                Piece::End => {
                    self.is_over = true;
                    break;
                }
                Piece::More => return Ok(Gathered::TooLittle),
            }
        }
        Ok(Gathered::Enough)
    }

    /// How many bytes more can be kept; `None`: none.
    fn room(&self) -> Option<usize> {
        self.kept
            .as_ref()
            .map(|kept| KEPT - kept.len())
            .filter(|&room| room > 0)
    }

    /// Writes again what went out so far, and for the first time what was gathered.
    pub(crate) fn replay(&self, out: &mut BytesMut) {
        // Of a request without a body, which most are, there is nothing to be written.
        let has_none = self.kept.as_ref().is_none_or(Vec::is_empty);
        if !(has_none && self.first_frame == Frame::Plain) {
            self.write_again(out);
        }
    }

    #[inline(never)]
    fn write_again(&self, out: &mut BytesMut) {
        let mut frame = self.first_frame;
        if let Some(kept) = self.kept.as_ref().filter(|kept| !kept.is_empty()) {
            frame.put(kept, out);
        }
        if !self.trailer.is_empty() {
            frame.put_trailer(&self.trailer, out);
        }
        if self.is_over {
            frame.end(out);
        }
    }

    /// Moves content from `inbox` to `outbox`, until enough waits there. Whether it needs more to go on.
    pub(crate) fn advance(
        &mut self,
        inbox: &mut BytesMut,
        outbox: &mut BytesMut,
    ) -> Result<bool, BadFrame> {
        while !self.is_over && outbox.len() < HIGH_WATER {
            match self.body.next(inbox)? {
                Piece::Content(length) => {
                    self.frame.put(&inbox[..length], outbox);
                    self.keep(&inbox[..length]);
                    self.body.took(length);
                    inbox.advance(length);
                }
                Piece::Trailer(length) => {
                    self.frame.put_trailer(&inbox[..length], outbox);
                    if self.kept.is_some() {
                        self.trailer.extend_from_slice(&inbox[..length]);
                    }
                    self.body.took(length);
                    inbox.advance(length);
                }
                Piece::End => {
                    self.frame.end(outbox);
                    self.is_over = true;
                }
                Piece::More => return Ok(true),
            }
        }
        Ok(false)
    }

    fn keep(&mut self, content: &[u8]) {
        match &mut self.kept {
            Some(kept) if kept.len() + content.len() <= KEPT => kept.extend_from_slice(content),
            kept => *kept = None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(body: Body) -> Upload {
        Upload::new(&Request {
            is_head: false,
            is_safe: false,
            is_old: false,
            keep_alive: true,
            is_websocket: false,
            expects_continue: false,
            body,
        })
    }

    #[test]
    fn what_went_out_goes_out_again_as_it_was() {
        let mut upload = upload(Body::CHUNKED);
        let (mut inbox, mut outbox) = (BytesMut::from("3\r\nabc\r\n2\r\nd"), BytesMut::new());
        assert_eq!(upload.advance(&mut inbox, &mut outbox), Ok(true));
        assert_eq!(outbox, "3\r\nabc\r\n1\r\nd\r\n");
        let mut again = BytesMut::new();
        upload.replay(&mut again);
        assert_eq!(again, "4\r\nabcd\r\n");
        inbox.extend_from_slice(b"e\r\n0\r\n\r\nnext");
        assert_eq!(upload.advance(&mut inbox, &mut again), Ok(false));
        assert_eq!(again, "4\r\nabcd\r\n1\r\ne\r\n0\r\n\r\n");
        assert!(upload.is_over() && inbox == "next");
    }

    #[test]
    fn what_was_gathered_goes_out_once() {
        let mut upload = upload(Body::CHUNKED);
        let mut inbox = BytesMut::from("3\r\nabc\r\n2\r\nd");
        assert_eq!(upload.gather(&mut inbox), Ok(Gathered::TooLittle));
        inbox.extend_from_slice(b"e\r\n0\r\n\r\nnext");
        assert_eq!(upload.gather(&mut inbox), Ok(Gathered::Enough));
        let mut outbox = BytesMut::new();
        upload.replay(&mut outbox);
        assert_eq!(upload.advance(&mut inbox, &mut outbox), Ok(false));
        assert_eq!(outbox, "5\r\nabcde\r\n0\r\n\r\n");
        assert!(upload.is_over() && inbox == "next");
    }

    #[test]
    fn of_a_long_body_as_much_is_gathered_as_can_be_kept() {
        let mut chunked = upload(Body::CHUNKED);
        let mut inbox = BytesMut::new();
        Frame::Chunked.put(&vec![b'x'; KEPT + 1], &mut inbox);
        assert_eq!(chunked.gather(&mut inbox), Ok(Gathered::Enough));
        assert!(!chunked.is_over() && chunked.can_replay());
        assert!(chunked.may_outgrow());
        let mut long = upload(Body::Length(1 << 40));
        let mut inbox = BytesMut::zeroed(KEPT - 1);
        assert_eq!(long.gather(&mut inbox), Ok(Gathered::TooLittle));
        inbox.extend_from_slice(b"x");
        assert_eq!(long.gather(&mut inbox), Ok(Gathered::Enough));
        assert!(long.may_outgrow());
        assert!(!upload(Body::Length(KEPT as u64)).may_outgrow());
        assert!(!upload(Body::CHUNKED).may_outgrow());
    }

    #[test]
    fn a_trailer_goes_out_again_with_its_body() {
        let wire = "1\r\na\r\n0\r\nX: y\r\nHost: b\r\n\r\n";
        let (mut sent, mut gathered) = (upload(Body::CHUNKED), upload(Body::CHUNKED));
        let (mut once, mut again, mut late) = (BytesMut::new(), BytesMut::new(), BytesMut::new());
        assert_eq!(sent.advance(&mut wire.into(), &mut once), Ok(false));
        assert_eq!(once, "1\r\na\r\n0\r\nX: y\r\n\r\n");
        sent.replay(&mut again);
        assert_eq!(again, once);
        assert_eq!(gathered.gather(&mut wire.into()), Ok(Gathered::Enough));
        gathered.replay(&mut late);
        assert_eq!(late, once);
    }

    #[test]
    fn a_body_is_kept_up_to_its_bound_and_not_beyond() {
        for (length, fits) in [(KEPT, true), (KEPT + 1, false)] {
            let mut upload = upload(Body::CHUNKED);
            let mut outbox = BytesMut::new();
            for piece in vec![b'x'; length].chunks(1000) {
                let mut inbox = BytesMut::new();
                Frame::Chunked.put(piece, &mut inbox);
                outbox.clear();
                assert_eq!(upload.advance(&mut inbox, &mut outbox), Ok(true));
            }
            assert_eq!(upload.can_replay(), fits, "{length} bytes");
        }
        assert!(!upload(Body::Length(KEPT as u64 + 1)).can_replay());
    }
}
