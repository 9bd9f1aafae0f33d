//! A message that comes over HTTP/2, read as the text of HTTP/1.1.

use std::{
    io,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use h2::RecvStream;
use tokio::io::ReadBuf;

use super::{broken, heads};

/// A message on its way in.
pub(super) struct Pack {
    body: RecvStream,
    is_chunked: bool,
    /// Text that comes before the content in hand.
    text: BytesMut,
    /// Content that came, and is not read.
    content: Bytes,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Content,
    /// The line end after a chunk comes next, then more content.
    ChunkEnd,
    Trailer,
    Over,
}

impl Pack {
    /// One that begins with the text `head`.
    pub(super) fn new(head: BytesMut, body: RecvStream, is_chunked: bool) -> Self {
        Self {
            body,
            is_chunked,
            text: head,
            content: Bytes::new(),
            stage: Stage::Content,
        }
    }

    /// Reads some of it. Ready with false: it has ended.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<bool>> {
        let before = buffer.filled().len();
        loop {
            if self.take(buffer)? && buffer.filled().len() > before {
                return Poll::Ready(Ok(true));
            }
            if self.stage == Stage::Over {
                return Poll::Ready(Ok(buffer.filled().len() > before));
            }
            match self.poll_more(cx) {
                Poll::Ready(more) => more?,
                Poll::Pending if buffer.filled().len() > before => return Poll::Ready(Ok(true)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Hands out what is there; whether `buffer` is full with it.
    fn take(&mut self, buffer: &mut ReadBuf<'_>) -> io::Result<bool> {
        let text = self.text.len().min(buffer.remaining());
        buffer.put_slice(&self.text[..text]);
        self.text.advance(text);
        let content = self.content.len().min(buffer.remaining());
        if content > 0 {
            buffer.put_slice(&self.content[..content]);
            self.content.advance(content);
            // What is read makes room for as much: a side that is not read stops the other one.
            let flow = self.body.flow_control();
            flow.release_capacity(content).map_err(broken)?;
            if self.is_chunked && self.content.is_empty() {
                self.stage = Stage::ChunkEnd;
            }
        }
        Ok(buffer.remaining() == 0)
    }

    /// Gets more, once all that there was is read.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.stage {
            Stage::Content => match ready!(self.body.poll_data(cx)) {
                Some(content) => {
                    self.content = content.map_err(broken)?;
                    if self.is_chunked && !self.content.is_empty() {
                        self.put_chunk_line();
                    }
                }
                None if self.is_chunked => self.stage = Stage::Trailer,
                // A length was announced: HTTP/1.1 has no place for a trailer then.
                None => self.stage = Stage::Over,
            },
            Stage::ChunkEnd => {
                self.text.extend_from_slice(b"\r\n");
                self.stage = Stage::Content;
            }
            Stage::Trailer => {
                let trailer = ready!(self.body.poll_trailers(cx)).map_err(broken)?;
                heads::put_trailer(&trailer.unwrap_or_default(), &mut self.text);
                self.stage = Stage::Over;
            }
            Stage::Over => {}
        }
        Poll::Ready(Ok(()))
    }

    fn put_chunk_line(&mut self) {
        use std::fmt::Write as _;
        // Writing to a buffer that grows cannot fail.
        let _ = write!(self.text, "{:x}\r\n", self.content.len());
    }
}
