//! The client's end of a connection: its stream, and where the exchange on it stands since when.
//!
//! Nothing here sets a timer. Each read and write notes what it waits for; the worker's tick compares that
//! with the bounds, a few words for each connection, and cuts the few that are over theirs.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use pingora_core::protocols::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{connection::Cut, reply::Reply, worker::millis};

/// How long a whole head may take, a body may stand still, and written bytes may go untaken.
const PATIENCE: Duration = Duration::from_secs(60);
/// Most bytes taken from a client ahead of their use. A client that leaves behind more than this, and more than
/// the system's receive buffer, is noticed only when they are used.
const READ_AHEAD: usize = 64 * 1024;
/// Nothing is waited for.
const NOT: u64 = u64::MAX;

/// Where the exchange on a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing of the first request has come.
    Fresh,
    /// A head has begun and not ended.
    Head,
    /// The head is read; the request waits for a slot, or for a new token.
    Waiting,
    /// The request is on its way to the upstream.
    Sending,
    /// All of it is; the head of the answer has not come.
    Awaiting,
    /// An answer is on its way to the client.
    Answering,
    /// The connection carries another protocol.
    Upgraded,
    /// Between two requests.
    Idle,
}

/// The bounds that the administrator sets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) idle: Option<Duration>,
    pub(crate) answer: Option<Duration>,
}

/// The client's stream and what goes on on it.
pub(crate) struct Client {
    stream: Stream,
    /// Read while somebody waited for something else.
    inbox: BytesMut,
    /// What is said in place of Pingora's own refusal of a head.
    refusal: Option<BytesMut>,
    phase: Phase,
    /// When the phase began; while a request is sent, when the client last sent something. Milliseconds.
    since: u64,
    read_waits_since: u64,
    write_waits_since: u64,
    /// The request's body has ended.
    body_is_over: bool,
    is_head: bool,
    /// The last words were tpp's own, so the client may still be sending.
    must_linger: bool,
}

impl Client {
    pub(crate) fn new(stream: Stream, now: u64) -> Self {
        Self {
            stream,
            inbox: BytesMut::new(),
            refusal: None,
            phase: Phase::Fresh,
            since: now,
            read_waits_since: NOT,
            write_waits_since: NOT,
            body_is_over: false,
            is_head: false,
            must_linger: false,
        }
    }

    /// A head has been read.
    pub(crate) fn begin(&mut self, is_head: bool, now: u64) {
        self.is_head = is_head;
        self.body_is_over = false;
        self.enter(Phase::Waiting, now);
    }

    pub(crate) fn enter(&mut self, phase: Phase, now: u64) {
        self.phase = phase;
        self.since = now;
    }

    /// The whole body has been taken from the client.
    pub(crate) fn end_body(&mut self, now: u64) {
        self.body_is_over = true;
        if self.phase == Phase::Sending {
            self.enter(Phase::Awaiting, now);
        }
    }

    /// The request is sent once more; its body, so far as it has come, is in Pingora's buffer.
    pub(crate) fn send(&mut self, now: u64) {
        let phase = if self.body_is_over { Phase::Awaiting } else { Phase::Sending };
        self.enter(phase, now);
    }

    /// Whether an answer of tpp's own would be understood: a request has begun, its answer has not.
    pub(crate) fn can_be_answered(&self) -> bool {
        matches!(self.phase, Phase::Head | Phase::Waiting | Phase::Sending | Phase::Awaiting)
    }

    pub(crate) fn is_head(&self) -> bool {
        self.is_head
    }

    /// The connection will end after words that the client has to be given time to read.
    pub(crate) fn linger(&mut self) {
        self.must_linger = true;
    }

    pub(crate) fn must_linger(&self) -> bool {
        self.must_linger
    }

    /// Whether Pingora refused a head by itself since this was last asked.
    pub(crate) fn was_refused(&self) -> bool {
        self.refusal.is_some()
    }

    /// Which bound is passed at `now`, if one is. `idle_limit` is that of the connection in its present state.
    pub(crate) fn overdue(&self, limits: Limits, now: u64) -> Option<Cut> {
        let passed = |limit: Duration, since: u64| since != NOT && now.saturating_sub(since) > millis(limit);
        if passed(PATIENCE, self.write_waits_since) {
            return Some(Cut::ReaderStalled);
        }
        let stalls = !self.body_is_over && passed(PATIENCE, self.since);
        let client_stalls = stalls && passed(PATIENCE, self.read_waits_since);
        match self.phase {
            Phase::Fresh if passed(PATIENCE, self.since) => Some(Cut::Idle),
            Phase::Head if passed(PATIENCE, self.since) => Some(Cut::HeadLate),
            Phase::Idle if limits.idle.is_some_and(|limit| passed(limit, self.since)) => Some(Cut::Idle),
            Phase::Sending | Phase::Answering if client_stalls => Some(Cut::BodyLate),
            Phase::Sending if stalls => Some(Cut::UpstreamStalled),
            Phase::Awaiting if limits.answer.is_some_and(|limit| passed(limit, self.since)) => Some(Cut::AnswerLate),
            _ => None,
        }
    }

    /// Reads for Pingora.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>, now: u64) -> Poll<io::Result<()>> {
        if !self.inbox.is_empty() {
            let length = self.inbox.len().min(buf.remaining());
            buf.put_slice(&self.inbox[..length]);
            self.inbox.advance(length);
            self.note_read(length, now);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        match read {
            Poll::Pending if self.read_waits_since == NOT => self.read_waits_since = now,
            Poll::Pending => {}
            Poll::Ready(_) => self.note_read(buf.filled().len() - before, now),
        }
        read
    }

    fn note_read(&mut self, length: usize, now: u64) {
        self.read_waits_since = NOT;
        match self.phase {
            Phase::Fresh | Phase::Idle if length > 0 => self.enter(Phase::Head, now),
            Phase::Sending | Phase::Answering => self.since = now,
            _ => {}
        }
    }

    /// Whether the client ended its side or broke off. What it sends meanwhile is kept. A client that ends its
    /// side before it has its answer counts as gone: it cannot be told from one that is.
    pub(crate) fn has_left(&mut self, cx: &mut Context<'_>) -> bool {
        while self.inbox.len() < READ_AHEAD {
            let mut bytes = [0; 4096];
            let mut buf = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buf) {
                Poll::Pending => return false,
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => self.inbox.extend_from_slice(buf.filled()),
                Poll::Ready(_) => return true,
            }
        }
        false
    }

    /// Writes for Pingora. What it says before a request is handed over is its own refusal of a head: an
    /// empty answer, for which tpp's own is given.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8], now: u64) -> Poll<io::Result<usize>> {
        if matches!(self.phase, Phase::Fresh | Phase::Head | Phase::Idle) {
            self.refusal.get_or_insert_with(|| refusal(bytes).to_bytes(false));
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note_write(&written, now);
        written
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>, now: u64) -> Poll<io::Result<()>> {
        while let Some(refusal) = self.refusal.as_mut().filter(|refusal| !refusal.is_empty()) {
            self.must_linger = true;
            let written = Pin::new(&mut self.stream).poll_write(cx, refusal);
            match ready!(written)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                length => refusal.advance(length),
            }
        }
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.note_write(&flushed, now);
        flushed
    }

    fn note_write<T>(&mut self, written: &Poll<T>, now: u64) {
        match written {
            Poll::Pending if self.write_waits_since == NOT => self.write_waits_since = now,
            Poll::Pending => {}
            Poll::Ready(_) => self.write_waits_since = NOT,
        }
    }

    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>, now: u64) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx, now))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    /// Writes `bytes` whatever the phase, and shuts the sending side down.
    pub(crate) fn poll_say(&mut self, cx: &mut Context<'_>, bytes: &mut BytesMut) -> Poll<io::Result<()>> {
        while !bytes.is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                length => bytes.advance(length),
            }
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    /// Reads and forgets until the client ends its side.
    pub(crate) fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.inbox.clear();
        while !self.has_left(cx) {
            if self.inbox.is_empty() {
                return Poll::Pending;
            }
            self.inbox.clear();
        }
        Poll::Ready(())
    }
}

/// In tpp's words what Pingora is about to say.
fn refusal(bytes: &[u8]) -> Reply {
    match bytes.get(b"HTTP/1.1 ".len()..).and_then(|rest| rest.get(..3)) {
        Some(b"405") => Reply::method_not_allowed(),
        _ => Reply::bad_request("the request head is malformed"),
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("phase", &self.phase).field("since", &self.since).finish_non_exhaustive()
    }
}
