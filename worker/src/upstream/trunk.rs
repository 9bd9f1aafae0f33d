//! Connections to an upstream that speaks HTTP/2: each is shared by as many requests as its server lets have streams.
//!
//! No pings go out: servers of gRPC take those of an idle client for abuse, and that a host is gone TCP notices by itself.

use std::{
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use h2::client::SendRequest;
use parking_lot::Mutex;
use pingora_core::protocols::{ALPN, SocketDigest, Stream};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tracing::debug;

use super::transport::Unreachable;
use crate::http2::{bounds, branch::Branch};

/// Those of one upstream.
#[derive(Default)]
pub(super) struct Trunks {
    open: Mutex<Vec<Trunk>>,
    /// Held by whoever makes the next one: those that come meanwhile share it.
    pub(super) turn: tokio::sync::Mutex<()>,
    failed: Mutex<Failed>,
}

/// What became of the last attempt that brought none.
#[derive(Default)]
struct Failed {
    times: u64,
    is_slow: bool,
    cause: String,
}

struct Trunk {
    address: SocketAddr,
    is_tls: bool,
    streams: SendRequest<Bytes>,
    digest: Option<Arc<SocketDigest>>,
    /// Each stream holds it.
    count: Arc<()>,
    /// Since when it has none, milliseconds of the worker's clock, as far as was looked.
    idle_since: Option<u64>,
}

impl Trunk {
    /// Whether streams can be begun. One whose server has said GOAWAY, or that broke, is none any more.
    fn lives(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        !matches!(self.streams.poll_ready(&mut cx), Poll::Ready(Err(_)))
    }

    fn in_use(&self) -> usize {
        Arc::strong_count(&self.count) - 1
    }

    fn branch(&mut self) -> Branch {
        self.idle_since = None;
        let (digest, count) = (self.digest.clone(), Arc::clone(&self.count));
        Branch::new(self.streams.clone(), self.is_tls, digest, count)
    }
}

impl Trunks {
    /// A stream of a connection to an address that `fits`, if there is one with room.
    pub(super) fn share(&self, fits: impl Fn(SocketAddr) -> bool) -> Option<(Branch, SocketAddr)> {
        let mut open = self.open.lock();
        open.retain_mut(Trunk::lives);
        let has_room = |trunk: &&mut Trunk| {
            fits(trunk.address) && trunk.in_use() < trunk.streams.current_max_send_streams()
        };
        let trunk = open.iter_mut().find(has_room)?;
        Some((trunk.branch(), trunk.address))
    }

    /// Begins to speak HTTP/2 on `stream`, and returns the first stream of it.
    ///
    /// # Errors
    /// If the server does not in time.
    pub(super) async fn begin(
        &self,
        stream: Stream,
        address: SocketAddr,
        limit: Duration,
    ) -> Result<Branch, Unreachable> {
        let is_tls = stream.selected_alpn_proto().is_some();
        let digest = stream.get_socket_digest();
        let handshake = bounds::of_upstreams().handshake(stream);
        let (streams, connection) = timeout(limit, handshake)
            .await
            .map_err(|_| Unreachable::Slow)?
            .map_err(|error| Unreachable::Http2(error.to_string()))?;
        tokio::spawn(carry(connection, address));
        let mut trunk = Trunk {
            address,
            is_tls,
            streams,
            digest,
            count: Arc::default(),
            idle_since: None,
        };
        let first = trunk.branch();
        self.open.lock().push(trunk);
        Ok(first)
    }

    /// How often none could be made.
    pub(super) fn failures(&self) -> u64 {
        self.failed.lock().times
    }

    /// An attempt has brought none.
    pub(super) fn note_failure(&self, cause: &Unreachable) {
        let mut failed = self.failed.lock();
        failed.times += 1;
        failed.is_slow = cause.is_slow();
        failed.cause = cause.to_string();
    }

    /// What became of the last attempt, if it is newer than those `seen` and brought none.
    pub(super) fn failure_since(&self, seen: u64) -> Option<Unreachable> {
        let failed = self.failed.lock();
        (failed.times > seen).then(|| {
            if failed.is_slow {
                Unreachable::Slow
            } else {
                Unreachable::Http2(failed.cause.clone())
            }
        })
    }

    /// Closes those that have had no stream for longer than `limit` milliseconds.
    pub(super) fn tend(&self, now: u64, limit: u64) {
        self.open.lock().retain_mut(|trunk| {
            if trunk.in_use() > 0 {
                trunk.idle_since = None;
                return true;
            }
            let since = *trunk.idle_since.get_or_insert(now);
            trunk.lives() && now < since.saturating_add(limit)
        });
    }

    /// Begins no more streams on those to addresses that do not fit. What is open goes on.
    pub(super) fn leave(&self, fits: impl Fn(SocketAddr) -> bool) {
        self.open.lock().retain(|trunk| fits(trunk.address));
    }
}

/// Whether HTTP/2 was agreed on in the handshake of TLS.
pub(super) fn is_agreed_on(stream: &Stream) -> bool {
    stream.selected_alpn_proto() == Some(ALPN::H2)
}

/// Carries a connection until its last stream has ended and no more will be begun.
async fn carry<T>(connection: h2::client::Connection<T, Bytes>, address: SocketAddr)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    if let Err(error) = connection.await {
        debug!(%address, %error, "HTTP/2 connection to the upstream broke");
    }
}
