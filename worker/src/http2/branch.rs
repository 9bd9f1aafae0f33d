//! A request to an upstream that speaks HTTP/2, as the gateway sees it: a connection of its own that speaks HTTP/1.1, for one request.
//!
//! What the gateway writes is taken for a request's text and sent as a stream; what it reads is the answer as text. One that is dropped
//! before its answer has ended cancels the stream.

use std::{
    fmt,
    future::Future as _,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use async_trait::async_trait;
use bytes::{Buf, Bytes, BytesMut};
use h2::{
    RecvStream, SendStream,
    client::{ResponseFuture, SendRequest},
};
use pingora_core::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType, raw_connect::ProxyDigest,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{broken, heads, heads::HEAD_CAPACITY, pack::Pack, unpack};
use crate::{http1::body::Body, http1::request, message::head::Head};

/// A stream to the upstream, once there is a request.
pub(crate) struct Branch {
    trunk: SendRequest<Bytes>,
    scheme: &'static str,
    /// Of the request's text what is not yet sent.
    text: BytesMut,
    /// Of the request, once its head is sent.
    body: Body,
    out: Option<SendStream<Bytes>>,
    is_sent: bool,
    is_head: bool,
    awaited: Option<ResponseFuture>,
    /// Text of an answer before the final one.
    interim: BytesMut,
    answer: Option<Pack>,
    digest: Option<Arc<SocketDigest>>,
    /// Counts it among the streams of its connection.
    _count: Arc<()>,
}

impl Branch {
    /// The next stream of `trunk`, a connection to where `digest` says, over TLS or not. It holds `count` as long as it lives.
    pub(crate) fn new(
        trunk: SendRequest<Bytes>,
        is_tls: bool,
        digest: Option<Arc<SocketDigest>>,
        count: Arc<()>,
    ) -> Self {
        Self {
            trunk,
            scheme: if is_tls { "https" } else { "http" },
            text: BytesMut::new(),
            body: Body::EMPTY,
            out: None,
            is_sent: false,
            is_head: false,
            awaited: None,
            interim: BytesMut::new(),
            answer: None,
            digest,
            _count: count,
        }
    }

    /// Sends what there is of the request, as far as the upstream takes it.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.is_sent {
            let Some(out) = &mut self.out else {
                if self.begin()? {
                    continue;
                }
                return Poll::Ready(Ok(()));
            };
            self.is_sent = ready!(unpack::poll_send(&mut self.body, &mut self.text, out, cx))?;
            if !self.is_sent {
                return Poll::Ready(Ok(()));
            }
        }
        if self.text.is_empty() {
            Poll::Ready(Ok(()))
        } else {
            // It carries one request.
            Poll::Ready(Err(io::ErrorKind::InvalidData.into()))
        }
    }

    /// Reads the head, if there is a whole one, and sends it. Whether it did.
    fn begin(&mut self) -> io::Result<bool> {
        let mut head = Head::default();
        let read = request::read(&self.text, &mut head);
        let read = read.map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        let Some((asked, length)) = read else {
            return Ok(false);
        };
        if asked.is_websocket {
            let cause = "it speaks HTTP/2, over which no WebSocket goes";
            return Err(io::Error::new(io::ErrorKind::Unsupported, cause));
        }
        let request = heads::request(&head, self.scheme).map_err(io::Error::other)?;
        (self.body, self.is_head) = (asked.body, asked.is_head);
        self.is_sent = asked.body.is_over();
        let sent = self.trunk.send_request(request, self.is_sent);
        let (awaited, out) = sent.map_err(broken)?;
        (self.awaited, self.out) = (Some(awaited), Some(out));
        self.text.advance(length);
        Ok(true)
    }

    /// The answer has begun.
    fn hear(&mut self, answer: http::Response<RecvStream>) {
        let (head, body) = answer.into_parts();
        let mut text = BytesMut::with_capacity(HEAD_CAPACITY);
        let is_chunked = heads::put_answer(&head, self.is_head, body.is_end_stream(), &mut text);
        self.answer = Some(Pack::new(text, body, is_chunked));
        self.awaited = None;
    }
}

impl AsyncRead for Branch {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let branch = &mut *self;
        loop {
            if !branch.interim.is_empty() {
                let length = branch.interim.len().min(buffer.remaining());
                buffer.put_slice(&branch.interim.split_to(length));
                return Poll::Ready(Ok(()));
            }
            if let Some(answer) = &mut branch.answer {
                // Nothing read is its end, as of any connection.
                return answer.poll_read(cx, buffer).map_ok(|_| ());
            }
            let Some(awaited) = &mut branch.awaited else {
                // Nothing was asked; who asks is the one who reads.
                return Poll::Pending;
            };
            if let Poll::Ready(Some(interim)) = awaited.poll_informational(cx) {
                heads::put_interim(&interim.map_err(broken)?, &mut branch.interim);
                continue;
            }
            let answer = ready!(Pin::new(awaited).poll(cx)).map_err(broken)?;
            branch.hear(answer);
        }
    }
}

impl AsyncWrite for Branch {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.out.is_none() {
            // Before a byte is taken: as long as none is, the request can go out on another connection.
            ready!(self.trunk.poll_ready(cx)).map_err(broken)?;
        }
        // Nothing is taken on top of what the upstream does not take.
        ready!(self.poll_send(cx))?;
        self.text.extend_from_slice(bytes);
        // What it does not take of this is sent when it is flushed.
        if let Poll::Ready(Err(error)) = self.poll_send(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_send(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

impl fmt::Debug for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its text holds tokens.
        f.debug_struct("Branch")
            .field("is_sent", &self.is_sent)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Shutdown for Branch {
    async fn shutdown(&mut self) {}
}

impl UniqueID for Branch {
    fn id(&self) -> UniqueIDType {
        // It has no descriptor of its own.
        -1
    }
}

impl GetTimingDigest for Branch {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Branch {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Branch {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.digest.clone()
    }
}

impl Ssl for Branch {}
impl Peek for Branch {}
