//! The accept loop of the supervisor's own small servers.

use std::{io, pin::pin, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::Semaphore,
    task::JoinSet,
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

/// Runs `exchange` for each connection, at most `limit` at once, until `stop`. Connections beyond the
/// limit wait in the backlog. `server` names the server in the log.
pub(crate) async fn accept<L, E>(
    server: &'static str,
    listener: &L,
    limit: usize,
    exchange: impl Fn(L::Stream) -> E,
    stop: impl Future<Output = ()>,
) where
    L: Accept,
    E: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(limit));
    let mut open = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let next = async {
            let place = Arc::clone(&places)
                .acquire_owned()
                .await
                .expect("nobody closes the semaphore");
            (place, listener.next().await)
        };
        let (place, accepted) = tokio::select! {
            () = &mut stop => break,
            next = next => next,
        };
        match accepted {
            Ok(stream) => {
                let exchange = exchange(stream);
                open.spawn(async move {
                    exchange.await;
                    drop(place);
                });
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
    }
    // What is not done by then is dropped with `open`.
    let _ = timeout(GRACE, async { while open.join_next().await.is_some() {} }).await;
}
