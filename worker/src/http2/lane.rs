//! A client's stream as the gateway sees it: a connection that speaks HTTP/1.1.
//!
//! A lane is one stream, or one after another where a lease is the whole connection's. What the gateway reads is each request as text; what it
//! writes is taken for the answer's. A lane that ends before its answer does resets the stream: a cut answer never looks like a whole one. All is done by one task, so what a
//! write changes needs to wake no reader.

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use async_trait::async_trait;
use bytes::{Buf, Bytes, BytesMut};
use h2::{Reason, RecvStream, SendStream, server::SendResponse};
use pingora_core::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType, raw_connect::ProxyDigest,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::mpsc,
};

use super::{broken, heads, heads::HEAD_CAPACITY, pack::Pack, resets::Resets, unpack};
use crate::{http1::answer, http1::body::Body, http1::request::Request, secured::Secured};

/// A stream that a client opened.
pub(crate) type Arrival = (http::Request<RecvStream>, SendResponse<Bytes>);

/// Where a client comes from, and how.
#[derive(Debug, Clone)]
pub(crate) struct Whence {
    pub(crate) digest: Arc<SocketDigest>,
    /// What came of its handshake; `None`: it came without TLS.
    pub(crate) secured: Option<Arc<Secured>>,
}

/// A client's stream, or one after another.
pub(crate) struct Lane {
    exchange: Option<Exchange>,
    /// Where the next streams come from.
    next: Option<mpsc::Receiver<Arrival>>,
    has_ended: bool,
    whence: Whence,
    resets: Arc<Resets>,
}

/// A request and its answer.
struct Exchange {
    resets: Arc<Resets>,
    request: Pack,
    is_head: bool,
    respond: SendResponse<Bytes>,
    /// Of the answer's text what is not yet sent.
    text: BytesMut,
    /// Of the answer, once its head is sent.
    body: Body,
    out: Option<SendStream<Bytes>>,
    is_over: bool,
}

impl Lane {
    /// One that begins with the stream `first`, on a connection from `whence`. `next` brings those that follow. Those that are taken back
    /// are counted among `resets`.
    pub(crate) fn new(
        first: Arrival,
        next: Option<mpsc::Receiver<Arrival>>,
        whence: Whence,
        resets: Arc<Resets>,
    ) -> Self {
        Self {
            exchange: Some(Exchange::new(first, &resets)),
            next,
            has_ended: false,
            whence,
            resets,
        }
    }

    /// Where its client comes from.
    pub(crate) fn whence(&self) -> &Whence {
        &self.whence
    }

    /// The next stream. Ready with false: none will come.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let next = match &mut self.next {
            Some(next) => ready!(next.poll_recv(cx)),
            None => None,
        };
        self.exchange = next.map(|next| Exchange::new(next, &self.resets));
        Poll::Ready(self.exchange.is_some())
    }
}

impl Exchange {
    fn new((request, respond): Arrival, resets: &Arc<Resets>) -> Self {
        let (head, body) = request.into_parts();
        let is_chunked = heads::is_chunked(&head.headers, body.is_end_stream());
        let mut text = BytesMut::with_capacity(HEAD_CAPACITY);
        heads::put_request(&head, is_chunked, &mut text);
        Self {
            resets: Arc::clone(resets),
            request: Pack::new(text, body, is_chunked),
            is_head: head.method == http::Method::HEAD,
            respond,
            text: BytesMut::new(),
            body: Body::EMPTY,
            out: None,
            is_over: false,
        }
    }

    /// Sends what there is of the answer, as far as the client takes it.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.is_over {
            let Some(out) = &mut self.out else {
                if self.begin()? {
                    continue;
                }
                return Poll::Ready(Ok(()));
            };
            self.is_over = ready!(unpack::poll_send(&mut self.body, &mut self.text, out, cx))?;
            if !self.is_over {
                return Poll::Ready(Ok(()));
            }
        }
        if self.text.is_empty() {
            Poll::Ready(Ok(()))
        } else {
            // Whatever it is, it is no part of the answer.
            Poll::Ready(Err(io::ErrorKind::InvalidData.into()))
        }
    }

    /// Reads a head, if there is a whole one, and sends it. Whether it did.
    // The room for its fields is not to lie in the frame of whoever polls a body.
    #[inline(never)]
    fn begin(&mut self) -> io::Result<bool> {
        let mut room = answer::Room::new();
        let read = answer::read(&self.text, &mut room);
        let read = read.map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        let Some((head, length)) = read else {
            return Ok(false);
        };
        let response = heads::answer(&head).map_err(io::Error::other)?;
        if response.status().is_informational() {
            let sent = self.respond.send_informational(response);
            sent.map_err(broken)?;
        } else {
            let asked = Request {
                is_head: self.is_head,
                ..Request::GET
            };
            self.body = head.answer(&asked, false).body;
            self.is_over = self.body.is_over();
            let sent = self.respond.send_response(response, self.is_over);
            self.out = Some(sent.map_err(broken)?);
        }
        self.text.advance(length);
        Ok(true)
    }

    /// Resolves when the client wants no answer any more.
    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let reset = match &mut self.out {
            Some(out) => out.poll_reset(cx),
            None => self.respond.poll_reset(cx),
        };
        reset.map(|reset| broken(reset.map_or_else(|error| error, h2::Error::from)))
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.is_over {
            if self
                .poll_reset(&mut Context::from_waker(Waker::noop()))
                .is_ready()
            {
                return self.resets.note();
            }
            match &mut self.out {
                Some(out) => out.send_reset(Reason::INTERNAL_ERROR),
                None => self.respond.send_reset(Reason::INTERNAL_ERROR),
            }
        }
    }
}

impl AsyncRead for Lane {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let lane = &mut *self;
        while !lane.has_ended {
            if let Some(exchange) = &mut lane.exchange {
                if ready!(exchange.request.poll_read(cx, buffer))? {
                    return Poll::Ready(Ok(()));
                }
                if !exchange.is_over {
                    return exchange.poll_reset(cx).map(Err);
                }
            }
            lane.exchange = None;
            lane.has_ended = !ready!(lane.poll_next(cx));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Lane {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Some(exchange) = &mut self.exchange else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        // Nothing is taken on top of what the client does not take.
        ready!(exchange.poll_send(cx))?;
        exchange.text.extend_from_slice(bytes);
        // What it does not take of this is sent when it is flushed.
        if let Poll::Ready(Err(error)) = exchange.poll_send(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.exchange {
            Some(exchange) => exchange.poll_send(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        self.has_ended = true;
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its text holds what people say to servers.
        f.debug_struct("Lane")
            .field("has_ended", &self.has_ended)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Shutdown for Lane {
    async fn shutdown(&mut self) {
        self.has_ended = true;
    }
}

impl UniqueID for Lane {
    fn id(&self) -> UniqueIDType {
        // It has no descriptor of its own.
        -1
    }
}

impl GetTimingDigest for Lane {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Lane {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Lane {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(Arc::clone(&self.whence.digest))
    }
}

impl Ssl for Lane {}
impl Peek for Lane {}
