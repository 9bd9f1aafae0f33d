//! One side of an exchange: a stream, with the bytes read from it that nobody has used yet and the bytes
//! that are still to be sent on it.
//!
//! What was written is unsent as long as it was not flushed: TLS, and any buffer below, takes bytes without having sent
//! them. So whoever waits asks [`Wire::has_unsent`], never the outbox alone.
//!
//! An idle connection owns no buffer: reads land in one scratch buffer of the thread and only what arrived is kept.

pub(crate) mod attend;
pub(crate) mod spare;
pub(crate) mod tcp;
pub(crate) mod tls;

use std::{
    cell::RefCell,
    fmt,
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    task::{Context, Poll, Waker, ready},
};

use bytes::BytesMut;
use pingora_core::protocols::Stream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::coop::unconstrained,
};
use tpp::spans::Version;

use self::{tcp::Tcp, tls::Tls};
use crate::{http2::branch::Branch, rarely::seldom};

/// Bytes that may wait to be sent before no more are read.
pub(crate) const HIGH_WATER: usize = 64 * 1024;
/// Most that one read takes.
const READ_SIZE: usize = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_SIZE].into_boxed_slice());
}

/// A connection to one peer.
pub(crate) struct Wire {
    stream: Stream,
    /// Read and not yet used.
    pub(crate) inbox: BytesMut,
    /// Not yet written.
    pub(crate) outbox: BytesMut,
    /// Something was written since the last flush.
    unflushed: bool,
    /// The peer has ended its side.
    ended: bool,
    /// Bytes read and sent since the begin.
    read: u64,
    sent: u64,
}

/// How much has passed on a wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// Bytes of the peer's that were used.
    pub(crate) taken: u64,
    /// Bytes that the peer was sent.
    pub(crate) sent: u64,
}

impl Wire {
    pub(crate) fn new(stream: Stream) -> Self {
        Self {
            stream,
            inbox: BytesMut::new(),
            outbox: BytesMut::new(),
            unflushed: false,
            ended: false,
            read: 0,
            sent: 0,
        }
    }

    /// How much has passed so far.
    pub(crate) fn traffic(&self) -> Traffic {
        Traffic {
            taken: self.read.saturating_sub(self.inbox.len() as u64),
            sent: self.sent,
        }
    }

    /// Reads once and appends to the inbox. Ready with 0: the peer has ended its side.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.ended {
            return Poll::Ready(Ok(0));
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            self.keep(buffer.filled());
            Poll::Ready(Ok(buffer.filled().len()))
        })
    }

    /// Reads from a bare stream what has come, if the runtime has heard of any, and leaves nobody to be woken for more; `None`: it is
    /// no bare one.
    fn read_at_once(&mut self) -> Option<io::Result<usize>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let tcp = self.stream.as_any().downcast_ref::<Tcp>()?;
            let read = tcp.read_at_once(scratch);
            if let Ok(length) = read {
                self.keep(&scratch[..length]);
            }
            Some(read)
        })
    }

    /// Keeps what was read; nothing: the peer has ended its side.
    fn keep(&mut self, came: &[u8]) {
        if came.is_empty() {
            self.ended = true;
            return;
        }
        spare::provide(&mut self.inbox);
        self.inbox.extend_from_slice(came);
        self.read += came.len() as u64;
    }

    /// Whether the peer was seen to end its side.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether something that was put into the outbox, or written, may not have been sent yet.
    pub(crate) fn has_unsent(&self) -> bool {
        self.unflushed || !self.outbox.is_empty()
    }

    /// Sends all that is unsent.
    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outbox.is_empty() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.outbox))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unflushed = true;
            self.sent += sent as u64;
            spare::consume(&mut self.outbox, sent);
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes from `bytes` without a copy, as many as the peer takes. The outbox must be empty. They may be unsent
    /// afterwards.
    pub(crate) fn poll_send_directly(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        debug_assert!(self.outbox.is_empty(), "bytes must not overtake others");
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.sent += written as u64;
        self.unflushed = true;
        Poll::Ready(Ok(written))
    }

    /// Ends our side, in order: the peer reads all that was sent, then the end.
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    /// As [`Self::poll_end`].
    pub(crate) async fn end(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_end(cx)).await
    }

    /// Whether closing it now takes nothing from the peer: all is sent, no more has come, and the bare stream's close is an orderly
    /// end. Costs no system call unless something happened.
    pub(crate) fn may_close_at_once(&mut self) -> bool {
        let is_bare = self.stream.as_any().is::<Tcp>();
        is_bare && !self.has_unsent() && (self.is_quiet() || self.ended && self.inbox.is_empty())
    }

    /// Whether the peer, having ended its side, broke the connection off altogether. Costs a system call.
    pub(crate) fn is_broken(&self) -> bool {
        self.tcp().is_some_and(Tcp::is_broken)
    }

    /// The close that follows is a reset, where the stream knows such a thing.
    pub(crate) fn reset_at_close(&self) {
        if let Some(tcp) = self.tcp() {
            tcp.reset_at_close();
        }
    }

    fn tcp(&self) -> Option<&Tcp> {
        let stream = self.stream.as_any();
        let under_tls = || Some(stream.downcast_ref::<Tls>()?.tcp());
        stream.downcast_ref().or_else(under_tls)
    }

    /// Which HTTP is spoken on it to an upstream.
    pub(crate) fn version(&self) -> Version {
        match self.stream.as_any().is::<Branch>() {
            true => Version::Http2,
            false => Version::Http11,
        }
    }

    /// Room for a message head, so that it is not built by many small growths.
    pub(crate) fn reserve_outbox(&mut self) {
        spare::provide(&mut self.outbox);
    }

    /// Gives the memory of empty buffers back.
    pub(crate) fn forget_buffers(&mut self) {
        for buffer in [&mut self.inbox, &mut self.outbox] {
            // Most were given back when what was in them was used up.
            if seldom(buffer.capacity() > 0) {
                spare::take_back(buffer);
            }
        }
    }

    /// Whether the peer has neither ended nor sent anything unasked, as far as the runtime has heard by its last look at the system.
    /// Costs no system call unless something happened.
    pub(crate) fn is_quiet(&mut self) -> bool {
        if !self.inbox.is_empty() || self.ended {
            return false;
        }
        if let Some(read) = self.read_at_once() {
            return read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        }
        // A task that has done much in this turn is told "pending" whatever there is: that says nothing of the peer.
        let asked = poll_fn(|cx| Poll::Ready(self.poll_fill(cx).is_pending()));
        let mut cx = Context::from_waker(Waker::noop());
        let asked = pin!(unconstrained(asked)).poll(&mut cx);
        asked == Poll::Ready(true)
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The buffers hold tokens.
        f.debug_struct("Wire")
            .field("inbox", &self.inbox.len())
            .field("outbox", &self.outbox.len())
            .field("unflushed", &self.unflushed)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
