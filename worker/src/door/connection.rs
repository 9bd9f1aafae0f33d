//! A client's connection, from its first byte to its last: the requests one after another, and the lease that
//! spans them.

use std::{
    future::poll_fn,
    net::IpAddr,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use bytes::{Buf, BytesMut};
use pingora_core::protocols::Stream;
use tpp::config::LeaseMode;

use crate::{
    clock::{Timer, millis},
    gateway::exchange::{Failure, Next},
    gateway::held::Held,
    gateway::relay::STALL_LIMIT,
    gateway::upload::Upload,
    http1::request::{self, Origin, Request},
    message::headers::HEAD_LIMIT as HEAD_BYTES,
    message::reply::Reply,
    wire::Wire,
    wire::attend::Interrupt,
    worker::{View, Worker},
};

/// How long the first head, or one that has begun, may take at most.
const HEAD_LIMIT: Duration = Duration::from_secs(60);
/// How long the end of a connection waits for the client to read what was said last.
const LINGER_LIMIT: Duration = Duration::from_secs(2);
/// A client's connection.
pub(crate) struct Connection {
    pub(crate) worker: Arc<Worker>,
    /// What is in force for the request in hand.
    pub(crate) view: Arc<View>,
    pub(crate) client: Wire,
    /// Its address, as it is written into requests.
    address: String,
    pub(crate) timer: Arc<Timer>,
    /// The lease, from the first request on.
    pub(crate) held: Option<Held>,
    /// The head for the upstream, without its end.
    pub(crate) head: BytesMut,
    opened: Instant,
}

/// Serves a connection to its end.
pub(crate) async fn serve(worker: &Arc<Worker>, stream: Stream) {
    let connection = Connection::new(worker, stream).await;
    let timer = Arc::clone(&connection.timer);
    timer.leash.hold(worker, serve_requests(connection)).await;
}

async fn serve_requests(mut connection: Connection) {
    let mut is_first = true;
    while let Some(request) = connection.next_request(is_first).await {
        match connection.answer(&request).await {
            Next::Request => is_first = false,
            Next::End => return connection.end().await,
            Next::Drop => return,
        }
    }
}

impl Connection {
    async fn new(worker: &Arc<Worker>, stream: Stream) -> Self {
        let address = stream
            .get_socket_digest()
            .and_then(|digest| {
                digest
                    .peer_addr()
                    .and_then(|address| address.as_inet().map(|inet| inet.ip()))
            })
            .map_or_else(
                || "unknown".to_owned(),
                |address: IpAddr| address.to_canonical().to_string(),
            );
        // A connection is one task for all its life, so its waker stays good.
        let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
        Self {
            worker: Arc::clone(worker),
            view: worker.view(),
            client: Wire::new(stream),
            address,
            timer: worker.timers.add(waker),
            held: None,
            head: BytesMut::new(),
            opened: Instant::now(),
        }
    }

    /// The next request; `None`: there is none, and whoever sent something else was told.
    async fn next_request(&mut self, is_first: bool) -> Option<Request> {
        self.client.forget_buffers();
        let mut has_begun = !self.client.inbox.is_empty();
        let patience = if is_first || has_begun {
            self.head_limit()
        } else {
            self.idle_limit()
        };
        self.timer.set(&self.worker.clock, patience);
        let mut seen = 0;
        loop {
            if self.may_have_head(seen) {
                match self.read_request() {
                    Ok(Some(request)) => return Some(request),
                    Ok(None) => seen = self.client.inbox.len(),
                    Err(reply) => {
                        self.refuse(&reply).await;
                        return None;
                    }
                }
            }
            match self.more().await {
                Ok(()) if has_begun => {}
                Ok(()) => {
                    has_begun = true;
                    self.timer.set(&self.worker.clock, self.head_limit());
                }
                Err(Interrupt::Late) if has_begun => {
                    self.refuse(&Reply::request_timeout(
                        "the request head did not end in time",
                    ))
                    .await;
                    return None;
                }
                Err(_) => return None,
            }
        }
    }

    /// Whether it is worth reading the inbox as a head: its beginning, or the end of a line, is newer than the first `seen`
    /// bytes. A head that trickles in is not read anew with each byte.
    fn may_have_head(&self, seen: usize) -> bool {
        let inbox = &self.client.inbox;
        let is_new = inbox.len() > seen;
        is_new && (seen == 0 || inbox.len() >= HEAD_BYTES || inbox[seen..].contains(&b'\n'))
    }

    /// How long a head may take from its first byte: a client that may not be idle may not dawdle either.
    fn head_limit(&self) -> Option<Duration> {
        let idle_limit = self.view.settings.lease.idle_timeout.unwrap_or(HEAD_LIMIT);
        Some(idle_limit.min(HEAD_LIMIT))
    }

    /// How long the connection may be idle now.
    fn idle_limit(&self) -> Option<Duration> {
        let settings = &self.view.settings;
        let hold_left = self
            .held
            .as_ref()
            .zip(settings.lease.max_hold)
            .map(|(held, most)| {
                let end = held.since() + millis(most);
                Duration::from_millis(end.saturating_sub(self.worker.clock.now()))
            });
        [settings.lease.idle_timeout, hold_left]
            .into_iter()
            .flatten()
            .min()
    }

    fn read_request(&mut self) -> Result<Option<Request>, Reply> {
        // Now, not when the wait for it began: it may have been long.
        self.worker.renew(&mut self.view);
        let origin = Origin {
            client: &self.address,
            trust_forwarded: self.view.settings.trust_forwarded,
            upstream_authority: self.view.upstream.authority(),
        };
        let Some((request, length)) = request::parse(&self.client.inbox, origin, &mut self.head)?
        else {
            return Ok(None);
        };
        self.client.inbox.advance(length);
        Ok(Some(request))
    }

    /// Waits for more bytes.
    async fn more(&mut self) -> Result<(), Interrupt> {
        let Self {
            client,
            timer,
            worker,
            ..
        } = self;
        poll_fn(|cx| match client.poll_fill(cx) {
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(Err(Interrupt::Gone)),
            Poll::Ready(Ok(_)) => Poll::Ready(Ok(())),
            Poll::Pending if worker.is_cut() => Poll::Ready(Err(Interrupt::Cut)),
            Poll::Pending if timer.is_due(&worker.clock) => Poll::Ready(Err(Interrupt::Late)),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Answers a request: with the upstream's answer, or with one of tpp's own.
    async fn answer(&mut self, request: &Request) -> Next {
        self.worker.counters().requests.add(1);
        let mut upload = Upload::new(request);
        let outcome = match self.acquire().await {
            Ok(()) => self.exchange(request, &mut upload).await,
            Err(failure) => Err(failure),
        };
        if self.view.settings.lease.mode == LeaseMode::Request {
            self.held = None;
        }
        match outcome {
            Ok(next) => next,
            Err(Failure::Silent) => Next::Drop,
            Err(Failure::Reply(reply)) => {
                let stays = upload.is_over() && request.keep_alive && !self.worker.is_draining();
                if self.say(&reply, request.is_head, !stays).await.is_err() {
                    Next::Drop
                } else if stays {
                    Next::Request
                } else {
                    Next::End
                }
            }
        }
    }

    /// Refuses what is no request. The connection ends, for nobody knows where the next one would begin.
    async fn refuse(&mut self, reply: &Reply) {
        if self.say(reply, false, true).await.is_ok() {
            self.end().await;
        }
    }

    /// Sends an answer of tpp's own.
    async fn say(&mut self, reply: &Reply, is_head: bool, close: bool) -> Result<(), Interrupt> {
        self.worker.counters().request_errors.add(1);
        reply.write(is_head, close, &mut self.client.outbox);
        self.flush().await
    }

    /// Sends what waits for the client.
    pub(crate) async fn flush(&mut self) -> Result<(), Interrupt> {
        self.timer.set(&self.worker.clock, Some(STALL_LIMIT));
        let Self {
            client,
            timer,
            worker,
            ..
        } = self;
        poll_fn(|cx| match client.poll_send(cx) {
            Poll::Ready(sent) => Poll::Ready(sent.map_err(|_| Interrupt::Gone)),
            Poll::Pending if timer.is_due(&worker.clock) => Poll::Ready(Err(Interrupt::Late)),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Ends the connection in order: gives the lease back, then waits a little for the client to read what was said
    /// last. Closing at once could reset the connection under it, if the client has sent more meanwhile.
    async fn end(&mut self) {
        self.held = None;
        if self.client.end().await.is_err() {
            return;
        }
        self.timer.set(&self.worker.clock, Some(LINGER_LIMIT));
        while self.more().await.is_ok() {
            self.client.inbox.clear();
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.worker.is_cut() {
            self.worker.counters().drain_cut.add(1);
        }
        self.worker.leave(self.opened.elapsed());
    }
}
