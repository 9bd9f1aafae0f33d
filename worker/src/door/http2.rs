//! A client's connection that speaks HTTP/2: its streams, each served as a connection of its own, and its end.
//!
//! What it holds is bounded as that of any connection is: it counts once among those of `[client]`, is closed when no stream has been open for
//! as long as a connection may be idle, or when a head takes longer than one may, and each stream has the times of an HTTP/1.1 connection. When the worker drains it is told so at once
//! (GOAWAY) and ends with its last stream. Who opens streams only to take them back is told to go (ENHANCE_YOUR_CALM).

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed}, // One thread writes and reads; the atomic only makes the type shareable.
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use h2::{Reason, server};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
};
use tpp::{
    config::{Http2, Http2Lease},
    shared::WaitEnd,
};
use tracing::debug;

use crate::{
    clock::{NEVER, due},
    door::connection,
    gateway::record,
    http2::{
        bounds,
        heads_begun::{Begun, Watched},
        lane::{Arrival, Lane, Whence},
        resets::{Forbearance, Resets},
    },
    timers::Kept,
    worker::Worker,
};

/// How long a client may take to agree to the end of its connection.
const FAREWELL_LIMIT: Duration = Duration::from_secs(5);
/// Streams that wait for the only lane: its client keeps to one at a time, but may open the next one before the lane has looked.
const NEXT_STREAMS: usize = 2;

/// Serves a connection to its end. It comes from `whence`.
pub(crate) async fn serve<T>(worker: &Arc<Worker>, stream: T, whence: Whence, terms: Http2)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let timer = worker.timers.add_here().await;
    let settings = Arc::clone(&worker.view().settings);
    let streams = match terms.lease {
        Http2Lease::Stream => terms.max_streams,
        Http2Lease::Connection => 1,
    };
    let stream = Watched::new(stream);
    let begun = stream.begun();
    let handshake = bounds::of_clients(streams).handshake(stream);
    let limit = settings.client.head_timeout;
    match timer.within(&worker.clock, limit, handshake).await {
        Some(Ok(connection)) => {
            timer.standing.rise();
            timer.set(&worker.clock, None);
            let mut door = Door {
                worker: Arc::clone(worker),
                connection,
                whence,
                open: Arc::new(Open {
                    streams: AtomicUsize::new(0),
                    timer,
                }),
                lease: terms.lease,
                only: None,
                resets: Arc::default(),
                forbearance: Forbearance::new(streams, worker.clock.now()),
                idle_until: NEVER,
                begun,
                head: None,
                is_resting: false,
                is_leaving: false,
                is_sent_away: false,
            };
            poll_fn(|cx| door.poll(cx)).await;
        }
        Some(Err(error)) => debug!(worker = worker.seat(), %error, "no HTTP/2 after all"),
        None => {}
    }
}

/// A connection's streams.
#[derive(Debug)]
struct Open {
    streams: AtomicUsize,
    timer: Kept,
}

/// One of them. Dropping it counts it out.
#[derive(Debug)]
struct Stream(Arc<Open>);

impl Stream {
    fn new(open: &Arc<Open>) -> Self {
        open.streams.fetch_add(1, Relaxed);
        Self(Arc::clone(open))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.0.streams.fetch_sub(1, Relaxed) == 1 {
            self.0.timer.wake();
        }
    }
}

struct Door<T> {
    worker: Arc<Worker>,
    connection: server::Connection<Watched<T>, Bytes>,
    whence: Whence,
    open: Arc<Open>,
    lease: Http2Lease,
    /// The one lane, where a lease is the connection's.
    only: Option<mpsc::Sender<Arrival>>,
    /// Streams that its client took back, and what is left of those it may.
    resets: Arc<Resets>,
    forbearance: Forbearance,
    /// When it ends for want of streams, by the worker's clock.
    idle_until: u64,
    begun: Begun,
    /// The head that is under way: its number, and until when it may be.
    head: Option<(u64, u64)>,
    /// No stream is open.
    is_resting: bool,
    /// The client was told that the connection ends.
    is_leaving: bool,
    /// It was told to go at once: what it still asks for is not served.
    is_sent_away: bool,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Door<T> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.connection.poll_accept(cx) {
                Poll::Ready(Some(Ok(arrival))) => self.take(arrival),
                Poll::Ready(Some(Err(error))) => {
                    debug!(worker = self.worker.seat(), %error, "HTTP/2 connection broke");
                    return Poll::Ready(());
                }
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending if self.is_to_leave() => {
                    self.is_leaving = true;
                    // What it has to say is sent by the next look at it.
                    self.connection.graceful_shutdown();
                    // A stream may have begun in this very look; one that has not is waited for anew, for a farewell's time.
                    self.rise();
                }
                Poll::Pending => return self.rest(cx),
            }
        }
    }

    /// Has a stream served.
    fn take(&mut self, arrival: Arrival) {
        let now = self.worker.clock.now();
        if self.is_sent_away || self.forbearance.ends(self.resets.count(), now) {
            return self.send_away();
        }
        let arrival = match &self.only {
            Some(only) => match only.try_send(arrival) {
                Ok(()) => return,
                Err(error) => {
                    // The lane has ended: its client may ask on another connection.
                    let (_, mut respond) = error.into_inner();
                    return respond.send_reset(Reason::REFUSED_STREAM);
                }
            },
            None => arrival,
        };
        let next = (self.lease == Http2Lease::Connection).then(|| {
            let (only, next) = mpsc::channel(NEXT_STREAMS);
            self.only = Some(only);
            next
        });
        let resets = Arc::clone(&self.resets);
        let lane = Lane::new(arrival, next, self.whence.clone(), resets);
        let (worker, stream) = (Arc::clone(&self.worker), Stream::new(&self.open));
        tokio::spawn(async move {
            connection::serve(&worker, Box::new(lane), BytesMut::new()).await;
            drop(stream);
        });
    }

    /// Ends the connection, whatever is open.
    fn send_away(&mut self) {
        if !self.is_sent_away {
            debug!(worker = self.worker.seat(), "too many streams taken back");
            (self.is_sent_away, self.is_leaving) = (true, true);
            self.rise();
            self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
        }
    }

    fn is_to_leave(&self) -> bool {
        let timer = &self.open.timer;
        let has_lost_its_lane = self.only.as_ref().is_some_and(mpsc::Sender::is_closed);
        let is_idle = self.is_resting && self.idle_until <= self.worker.clock.now();
        !self.is_leaving
            && (timer.is_cut() || self.worker.is_draining() || has_lost_its_lane || is_idle)
    }

    /// Nothing can be done now. Ready: it has waited long enough for nothing.
    fn rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = self.worker.clock.now();
        let is_idle = self.open.streams.load(Relaxed) == 0;
        let standing = &self.open.timer.standing;
        if is_idle && !self.is_resting {
            standing.rest(now, None);
            let limit = if self.is_leaving {
                Some(FAREWELL_LIMIT)
            } else {
                self.worker.view().settings.lease.idle_timeout
            };
            self.idle_until = due(now, limit);
            self.is_resting = true;
        } else if !is_idle {
            self.rise();
        }
        let head_until = self.head_until(now);
        self.open.timer.set_due(self.idle_until.min(head_until));
        if head_until <= now {
            record::wait_ended(&self.worker, None, WaitEnd::ClientHead);
            self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
            // Whether it is told or not.
            let _ = self.connection.poll_accept(cx);
            return Poll::Ready(());
        }
        if is_idle && self.is_leaving && self.idle_until <= now {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// It rests no more.
    fn rise(&mut self) {
        if self.is_resting {
            self.open.timer.standing.rise();
            (self.is_resting, self.idle_until) = (false, NEVER);
        }
    }

    /// Until when the head that is under way may be.
    fn head_until(&mut self, now: u64) -> u64 {
        let begun = self.begun.head();
        if self.head.map(|(number, _)| number) != begun {
            let limit = self.worker.view().settings.client.head_timeout;
            self.head = begun.map(|number| (number, due(now, limit)));
        }
        self.head.map_or(NEVER, |(_, until)| until)
    }
}
