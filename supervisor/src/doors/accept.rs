//! The accept loop of the supervisor's own small servers.

use std::{collections::VecDeque, io, pin::pin, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::Semaphore,
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout},
};

/// How long to pause when nothing can be accepted, as when file descriptors have run out.
const PAUSE: Duration = Duration::from_millis(500);

/// How long exchanges under way may take to end once the server stops.
const GRACE: Duration = Duration::from_secs(1);

/// Something that takes connections.
pub(crate) trait Accept: Sync {
    /// A connection.
    type Stream: Send;

    /// The next connection.
    fn next(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<TcpStream> {
        Ok(self.accept().await?.0)
    }
}

impl Accept for UnixListener {
    type Stream = UnixStream;

    async fn next(&self) -> io::Result<UnixStream> {
        Ok(self.accept().await?.0)
    }
}

/// Who gives way when there are as many exchanges as there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// The one who comes: it waits in the backlog.
    NewcomerWaits,
    /// The one that has been there longest: a crowd that says nothing keeps nobody out.
    OldestEnds,
}

/// Runs `exchange` for each connection, at most `limit` at once, until `stop`; beyond the limit, as `full` says.
/// `server` names the server in the log.
pub(crate) async fn accept<L, E>(
    server: &'static str,
    listener: &L,
    (limit, full): (usize, Full),
    exchange: impl Fn(L::Stream) -> E,
    stop: impl Future<Output = ()>,
) where
    L: Accept,
    E: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(limit));
    let mut open = JoinSet::new();
    let mut oldest_first = VecDeque::<AbortHandle>::new();
    let mut stop = pin!(stop);
    loop {
        let free_place = async || {
            let place = Arc::clone(&places).acquire_owned().await;
            place.expect("nobody closes the semaphore")
        };
        let next = async {
            match full {
                Full::NewcomerWaits => {
                    let place = free_place().await;
                    (place, listener.next().await)
                }
                Full::OldestEnds => {
                    let accepted = listener.next().await;
                    if places.available_permits() == 0
                        && let Some(oldest) = oldest_first.front()
                    {
                        oldest.abort();
                    }
                    (free_place().await, accepted)
                }
            }
        };
        let (place, accepted) = tokio::select! {
            () = &mut stop => break,
            next = next => next,
        };
        match accepted {
            Ok(stream) => {
                let exchange = exchange(stream);
                let running = open.spawn(async move {
                    exchange.await;
                    drop(place);
                });
                oldest_first.push_back(running);
            }
            // The client gave up before it was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(server, %error, "cannot accept");
                tokio::select! {
                    () = &mut stop => break,
                    () = sleep(PAUSE) => {}
                }
            }
        }
        while open.try_join_next().is_some() {}
        oldest_first.retain(|running| !running.is_finished());
    }
    // What is not done by then is dropped with `open`.
    let _ = timeout(GRACE, async { while open.join_next().await.is_some() {} }).await;
}
