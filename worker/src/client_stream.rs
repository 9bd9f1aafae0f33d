//! The client's stream as Pingora gets it: a view of the connection's own, so that the connection keeps hold of it.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use async_trait::async_trait;
use http::StatusCode;
use pingora_core::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType, raw_connect::ProxyDigest,
};
use pingora_http::ResponseHeader;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::connection::Connection;

/// The stream that Pingora reads requests from and writes answers to.
#[derive(Debug)]
pub(crate) struct ClientStream {
    connection: Arc<Connection>,
    /// Carries the connection to the phases of each request.
    digest: Arc<ProxyDigest>,
}

impl ClientStream {
    pub(crate) fn new(connection: &Arc<Connection>) -> pingora_error::Result<Self> {
        let response = Box::new(ResponseHeader::build(StatusCode::OK, Some(0))?);
        let digest = ProxyDigest::new(response, Some(Box::new(Arc::clone(connection))));
        Ok(Self { connection: Arc::clone(connection), digest: Arc::new(digest) })
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let now = self.connection.now();
        self.connection.client().poll_read(cx, buf, now)
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let now = self.connection.now();
        self.connection.client().poll_write(cx, bytes, now)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let now = self.connection.now();
        self.connection.client().poll_flush(cx, now)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let now = self.connection.now();
        self.connection.client().poll_shutdown(cx, now)
    }
}

#[async_trait]
impl Shutdown for ClientStream {
    async fn shutdown(&mut self) {
        // The client may be gone already: then there is nothing to end.
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

impl UniqueID for ClientStream {
    fn id(&self) -> UniqueIDType {
        self.connection.descriptor()
    }
}

impl Ssl for ClientStream {}

impl GetTimingDigest for ClientStream {
    /// None: Pingora asks at each request, and nobody reads it.
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for ClientStream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        Some(Arc::clone(&self.digest))
    }
}

impl GetSocketDigest for ClientStream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}

impl Peek for ClientStream {}
