//! Which protocol a client speaks that need not say so beforehand: HTTP/2 begins with words of its own (RFC 9113, 3.4).

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Buf, BytesMut};
use pingora_core::protocols::Stream;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use tpp::config::Http2;

use crate::{
    door::{connection, http2},
    http2::lane::Whence,
    wire::tls::Tls,
    worker::Worker,
};

/// What a client of HTTP/2 says first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Serves a client that may speak HTTP/2 on `terms`: over TLS it was agreed on, or not; without, what it says first tells.
pub(crate) async fn serve(worker: &Arc<Worker>, stream: Stream, terms: Http2) {
    let secured = stream.as_any().downcast_ref::<Tls>();
    let secured = secured.map(|tls| Arc::clone(tls.secured()));
    let digest = stream.get_socket_digest();
    let spoken = match &secured {
        Some(secured) if secured.is_http2 => Some(Spoken::Http2(Rewound::new(stream))),
        Some(_) => Some(Spoken::Http1(stream, BytesMut::new())),
        None => listen(worker, stream).await,
    };
    match (spoken, digest) {
        (Some(Spoken::Http1(stream, said)), _) => connection::serve(worker, stream, said).await,
        (Some(Spoken::Http2(stream)), Some(digest)) => {
            http2::serve(worker, stream, Whence { digest, secured }, terms).await;
        }
        _ => {}
    }
}

/// What a client speaks, and what it has said so far.
enum Spoken {
    Http1(Stream, BytesMut),
    Http2(Rewound),
}

/// Listens until it is clear what the client speaks, as long as a head may take; `None`: it says nothing, or has left.
async fn listen(worker: &Arc<Worker>, mut stream: Stream) -> Option<Spoken> {
    let timer = worker.timers.add_here().await;
    let limit = worker.view().settings.client.head_timeout;
    let mut said = BytesMut::new();
    let heard = hear(&mut stream, &mut said);
    let heard = timer.within(&worker.clock, limit, heard).await;
    match heard? {
        Ok(true) => Some(Spoken::Http2(Rewound { said, stream })),
        Ok(false) => Some(Spoken::Http1(stream, said)),
        Err(_) => None,
    }
}

/// Reads until it is clear whether that is HTTP/2.
async fn hear(stream: &mut Stream, said: &mut BytesMut) -> io::Result<bool> {
    while said.len() < PREFACE.len() {
        if !PREFACE.starts_with(said) {
            return Ok(false);
        }
        if stream.read_buf(said).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(said.starts_with(PREFACE))
}

/// A stream of which something was read already.
#[derive(Debug)]
struct Rewound {
    said: BytesMut,
    stream: Stream,
}

impl Rewound {
    /// One of which nothing was read.
    fn new(stream: Stream) -> Self {
        Self {
            said: BytesMut::new(),
            stream,
        }
    }
}

impl AsyncRead for Rewound {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.said.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let length = self.said.len().min(buffer.remaining());
        buffer.put_slice(&self.said[..length]);
        self.said.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
