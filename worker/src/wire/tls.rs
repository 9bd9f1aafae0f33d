//! A client's connection with TLS, over its TCP connection.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use async_trait::async_trait;
use pingora_core::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType, raw_connect::ProxyDigest,
};
use rustls::HandshakeKind;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio_rustls::server::TlsStream;
use tpp::certificate::Certified;

use super::tcp::Tcp;
use crate::secured::Secured;

/// The protocol of HTTP/2 in a handshake.
const H2: &[u8] = b"h2";

/// A connection with TLS that Pingora takes for a stream.
#[derive(Debug)]
pub(crate) struct Tls {
    stream: TlsStream<Tcp>,
    secured: Arc<Secured>,
}

impl Tls {
    /// After the handshake, in which the client was shown `certified`.
    pub(crate) fn new(stream: TlsStream<Tcp>, certified: Arc<Certified>) -> Self {
        let connection = stream.get_ref().1;
        let secured = Secured {
            certified,
            is_http2: connection.alpn_protocol() == Some(H2),
            is_resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        };
        Self {
            stream,
            secured: Arc::new(secured),
        }
    }

    /// What it lies over.
    pub(crate) fn tcp(&self) -> &Tcp {
        self.stream.get_ref().0
    }

    /// What came of its handshake.
    pub(crate) fn secured(&self) -> &Arc<Secured> {
        &self.secured
    }
}

impl AsyncRead for Tls {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Tls {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[async_trait]
impl Shutdown for Tls {
    async fn shutdown(&mut self) {
        // It is closed next in any case.
        let _ = self.stream.shutdown().await;
    }
}

impl UniqueID for Tls {
    fn id(&self) -> UniqueIDType {
        self.tcp().id()
    }
}

impl GetTimingDigest for Tls {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Tls {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Tls {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.tcp().get_socket_digest()
    }
}

impl Ssl for Tls {
    fn selected_alpn_proto(&self) -> Option<ALPN> {
        Some(if self.secured.is_http2 {
            ALPN::H2
        } else {
            ALPN::H1
        })
    }
}

impl Peek for Tls {}
