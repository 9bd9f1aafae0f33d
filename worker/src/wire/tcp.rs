//! A TCP connection, bare: neither a buffer nor a clock of its own lies between a wire and the system.

use std::{
    io::{self, IoSlice},
    os::fd::AsRawFd as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use async_trait::async_trait;
use pingora_core::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType, raw_connect::ProxyDigest,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::TcpStream,
};

use crate::admission::limit::Place;

/// A TCP connection that Pingora takes for a stream.
#[derive(Debug)]
pub(crate) struct Tcp {
    tcp: TcpStream,
    digest: Arc<SocketDigest>,
    /// A client's. After the connection itself: it is closed before its place is another's.
    _place: Option<Place>,
}

impl Tcp {
    /// A client's, which takes this place.
    pub(crate) fn of_client(tcp: TcpStream, digest: SocketDigest, place: Place) -> Self {
        Self {
            tcp,
            digest: Arc::new(digest),
            _place: Some(place),
        }
    }

    /// One to an upstream.
    pub(crate) fn to_upstream(tcp: TcpStream) -> Self {
        let digest = SocketDigest::from_raw_fd(tcp.as_raw_fd());
        Self {
            tcp,
            digest: Arc::new(digest),
            _place: None,
        }
    }

    /// Whether the peer broke the connection off. Costs a system call. Reading does not tell any more once the peer
    /// has ended its side.
    pub(crate) fn is_broken(&self) -> bool {
        !matches!(self.tcp.take_error(), Ok(None))
    }

    /// Reads what has come, if the runtime has heard of any. Nobody is woken for what comes later.
    pub(crate) fn read_at_once(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.tcp.try_read(buffer)
    }

    /// The next close is a reset: the peer sees that something is missing.
    pub(crate) fn reset_at_close(&self) {
        // If it cannot be set the connection is gone already.
        let _ = self.tcp.set_zero_linger();
    }
}

impl AsyncRead for Tcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, parts)
    }

    /// TLS sends its records together.
    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

#[async_trait]
impl Shutdown for Tcp {
    async fn shutdown(&mut self) {
        // It is closed next in any case.
        let _ = self.tcp.shutdown().await;
    }
}

impl UniqueID for Tcp {
    fn id(&self) -> UniqueIDType {
        self.tcp.as_raw_fd()
    }
}

impl GetTimingDigest for Tcp {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Tcp {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Tcp {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(Arc::clone(&self.digest))
    }
}

impl Ssl for Tcp {}
impl Peek for Tcp {}
