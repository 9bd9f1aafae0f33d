//! Whether a client is in the midst of a head: the `h2` crate shows heads that have ended alone, so its frames are followed beside it.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed}, // One thread writes and reads; the atomic only makes the type shareable.
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes of the preface, which come before the first frame (RFC 9113, 3.4).
const PREFACE: usize = 24;
/// Of a frame's head (RFC 9113, 4.1).
const FRAME_HEAD: usize = 9;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// A stream, whose frames are followed as they are read.
#[derive(Debug)]
pub(crate) struct Watched<T> {
    inner: T,
    frames: Frames,
    begun: Begun,
}

/// The head that is under way, shared with whoever bounds it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Begun(Arc<AtomicU64>);

impl Begun {
    /// The number of the head that has begun and not ended; another one has another number.
    pub(crate) fn head(&self) -> Option<u64> {
        let number = self.0.load(Relaxed);
        (number > 0).then_some(number)
    }
}

/// Where in its frames a side is.
#[derive(Debug, Default)]
struct Frames {
    /// What of the preface is to come still.
    preface: usize,
    head: [u8; FRAME_HEAD],
    /// Bytes of it that are there.
    filled: usize,
    /// Bytes of the frame's content to come still.
    content: usize,
    /// A head's fields go on in the next frame.
    goes_on: bool,
    /// Heads that have ended.
    ended: u64,
}

impl Frames {
    fn follow(&mut self, mut bytes: &[u8]) {
        let preface = self.preface.min(bytes.len());
        self.preface -= preface;
        bytes = &bytes[preface..];
        while !bytes.is_empty() {
            if self.content > 0 {
                let content = self.content.min(bytes.len());
                self.content -= content;
                bytes = &bytes[content..];
            } else {
                let more = (FRAME_HEAD - self.filled).min(bytes.len());
                self.head[self.filled..][..more].copy_from_slice(&bytes[..more]);
                self.filled += more;
                bytes = &bytes[more..];
                if self.filled < FRAME_HEAD {
                    return;
                }
                let [a, b, c, ..] = self.head;
                self.content = u32::from_be_bytes([0, a, b, c]) as usize;
            }
            if self.content == 0 {
                self.end_frame();
            }
        }
    }

    fn end_frame(&mut self) {
        let [.., kind, flags, _, _, _, _] = self.head;
        self.filled = 0;
        if matches!(kind, HEADERS | CONTINUATION) {
            self.goes_on = flags & END_HEADERS == 0;
            self.ended += u64::from(!self.goes_on);
        }
    }

    /// A frame of a head is under way, or one that may become it, or the next of its frames is to come.
    fn is_amid_head(&self) -> bool {
        let is_of_head = match self.filled {
            0 => false,
            FRAME_HEAD => matches!(self.head[3], HEADERS | CONTINUATION),
            _ => true,
        };
        self.goes_on || is_of_head
    }
}

impl<T> Watched<T> {
    /// A connection that begins with its preface.
    pub(crate) fn new(inner: T) -> Self {
        Self {
            inner,
            frames: Frames {
                preface: PREFACE,
                ..Frames::default()
            },
            begun: Begun::default(),
        }
    }

    /// What is known of its heads.
    pub(crate) fn begun(&self) -> Begun {
        self.begun.clone()
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        self.frames.follow(&buffer.filled()[before..]);
        let number = match self.frames.is_amid_head() {
            true => self.frames.ended + 1,
            false => 0,
        };
        self.begun.0.store(number, Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DATA: u8 = 0;

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let size = u32::try_from(length).unwrap().to_be_bytes();
        let mut frame = size[1..].to_vec();
        frame.extend([kind, flags, 0, 0, 0, 1]);
        frame.resize(FRAME_HEAD + length, 0);
        frame
    }

    fn amid_after(bytes: &[u8]) -> bool {
        let mut frames = Frames::default();
        frames.follow(bytes);
        frames.is_amid_head()
    }

    #[test]
    fn a_head_is_under_way_from_its_first_byte_to_the_end_of_its_last_frame() {
        let whole = frame(HEADERS, END_HEADERS, 5);
        assert!(!amid_after(&whole));
        for at in 1..whole.len() {
            assert!(amid_after(&whole[..at]), "after {at} bytes");
        }
        let open = frame(HEADERS, 0, 5);
        assert!(amid_after(&open));
        let still = [open, frame(CONTINUATION, 0, 0)].concat();
        assert!(amid_after(&still));
        assert!(!amid_after(
            &[still, frame(CONTINUATION, END_HEADERS, 3)].concat()
        ));
        assert!(
            !amid_after(&frame(DATA, 0, 100)[..50]),
            "a body has bounds of its own"
        );
    }

    proptest! {
        #[test]
        fn in_whatever_pieces_frames_come_they_are_told_apart(
            frames in prop::collection::vec((0_u8..10, any::<u8>(), 0_usize..40), 0..20),
            piece in 1_usize..30,
        ) {
            let bytes: Vec<u8> = frames.iter().flat_map(|&(kind, flags, length)| frame(kind, flags, length)).collect();
            let mut in_pieces = Frames { preface: PREFACE, ..Frames::default() };
            let all = [&[0; PREFACE][..], &bytes].concat();
            all.chunks(piece).for_each(|piece| in_pieces.follow(piece));
            let mut of_heads = frames.iter().filter(|(kind, ..)| matches!(*kind, HEADERS | CONTINUATION));
            let ended = of_heads.clone().filter(|(_, flags, _)| flags & END_HEADERS != 0).count();
            prop_assert_eq!(in_pieces.ended, ended as u64);
            let goes_on = of_heads.next_back().is_some_and(|(_, flags, _)| flags & END_HEADERS == 0);
            prop_assert_eq!(in_pieces.is_amid_head(), goes_on);
        }
    }
}
