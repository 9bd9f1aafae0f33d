//! A connection from accept to close: Pingora's proxy runs inside, and what it cannot do goes on around it.

use std::{
    future::poll_fn,
    ops::Deref,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use async_trait::async_trait;
use pingora_core::{apps::ServerApp, protocols::Stream, server::ShutdownWatch};
use pingora_proxy::HttpProxy;
use tokio::time::timeout;
use tracing::{debug, error};

use crate::{
    client_stream::ClientStream,
    connection::{Connection, Cut},
    proxy::Proxy,
    worker::Worker,
};

/// How long the end of a connection waits for the client to take what was said last.
const LINGER_LIMIT: Duration = Duration::from_secs(2);

/// Serves connections.
pub(crate) struct Relay {
    worker: Arc<Worker>,
    proxy: Arc<HttpProxy<Proxy>>,
}

impl Relay {
    pub(crate) fn new(worker: Arc<Worker>, proxy: HttpProxy<Proxy>) -> Self {
        Self { worker, proxy: Arc::new(proxy) }
    }
}

#[async_trait]
impl ServerApp for Relay {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        // A connection is one task for all its life, so its waker stays good.
        let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
        let connection = Open::new(&self.worker, Connection::new(&self.worker, stream, waker));
        let stream = match ClientStream::new(&connection) {
            Ok(stream) => Box::new(stream),
            Err(error) => {
                error!(%error, "connection dropped");
                return None;
            }
        };
        let cut = {
            let mut serving = self.proxy.process_new(stream, shutdown);
            poll_fn(|cx| match connection.cut() {
                Some(cut) => Poll::Ready(Some(cut)),
                None => serving.as_mut().poll(cx).map(|_| None),
            })
            .await
            // The exchange, if one was under way, is dropped here, and its connection to the upstream with it.
        };
        connection.release();
        if let Some(cut) = cut {
            self.end(&connection, cut).await;
        }
        if connection.client().was_refused() {
            self.worker.counters().requests.add(1);
            self.worker.counters().request_errors.add(1);
        }
        if connection.client().must_linger() {
            // Closing on bytes that nobody read would reset the connection, and take the reply from the client.
            let _ = timeout(LINGER_LIMIT, poll_fn(|cx| connection.client().poll_discard(cx))).await;
        }
        None
    }

    // `cleanup` stays empty: Pingora's own would drop the idle connections of a draining worker at once.
}

impl Relay {
    /// Tells the client why, if it can be told, and ends the connection.
    async fn end(&self, connection: &Connection, cut: Cut) {
        let counters = self.worker.counters();
        if cut == Cut::Drain {
            counters.drain_cut.add(1);
        }
        debug!(worker = self.worker.seat(), client = %connection.address(), reason = ?cut, "connection cut");
        let Some(reply) = cut.reply().filter(|_| connection.client().can_be_answered()) else {
            return;
        };
        counters.request_errors.add(1);
        let mut bytes = reply.to_bytes(connection.client().is_head());
        connection.client().linger();
        // A client that does not take it has to do without.
        let _ = timeout(LINGER_LIMIT, poll_fn(|cx| connection.client().poll_say(cx, &mut bytes))).await;
    }
}

/// A connection that is counted; however it ends, its lease is given back.
struct Open {
    worker: Arc<Worker>,
    connection: Arc<Connection>,
}

impl Open {
    fn new(worker: &Arc<Worker>, connection: Connection) -> Self {
        let connection = Arc::new(connection);
        worker.enter(&connection);
        Self { worker: Arc::clone(worker), connection }
    }

    fn release(&self) {
        let held = self.connection.held().take();
        // Outside the lock: giving a slot back may wake others.
        drop(held);
    }
}

impl Deref for Open {
    type Target = Arc<Connection>;

    fn deref(&self) -> &Arc<Connection> {
        &self.connection
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.release();
        self.worker.leave(self.connection.age());
    }
}
