//! A client's connection, as all that deals with it sees it: the stream, the lease, and the order to end.

use std::{
    fmt,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
    task::Waker,
    time::{Duration, Instant},
};

use http::HeaderValue;
use parking_lot::{Mutex, MutexGuard};
use pingora_core::protocols::{Stream, UniqueIDType};

use crate::{
    client::{Client, Limits},
    held::Held,
    reply::Reply,
    worker::{View, Worker, millis},
};

/// Why a connection is ended in the middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Cut {
    /// A head that began did not end in time.
    HeadLate = 1,
    /// The client stopped sending a body.
    BodyLate,
    /// The upstream stopped taking a body.
    UpstreamStalled,
    /// The head of the answer did not come in time.
    AnswerLate,
    /// The client takes nothing of its answer.
    ReaderStalled,
    /// No request came in time.
    Idle,
    /// The worker's time to drain is over.
    Drain,
}

impl Cut {
    const ALL: [Self; 7] = [
        Self::HeadLate,
        Self::BodyLate,
        Self::UpstreamStalled,
        Self::AnswerLate,
        Self::ReaderStalled,
        Self::Idle,
        Self::Drain,
    ];

    /// What the client is told, if it can be.
    pub(crate) fn reply(self) -> Option<Reply> {
        match self {
            Self::HeadLate => Some(Reply::request_timeout("the request head did not end in time")),
            Self::BodyLate => Some(Reply::request_timeout("the request body stopped coming")),
            Self::UpstreamStalled => Some(Reply::gateway_timeout("the upstream stopped taking the request")),
            Self::AnswerLate => Some(Reply::gateway_timeout("the upstream did not answer in time")),
            Self::Drain => Some(Reply::no_token("this worker has been replaced")),
            Self::ReaderStalled | Self::Idle => None,
        }
    }
}

/// A client's connection.
pub(crate) struct Connection {
    worker: Arc<Worker>,
    /// Of the task that serves it: one for all its life.
    waker: Waker,
    /// [`Cut`] as a number; 0: it goes on.
    cut: AtomicU8,
    client: Mutex<Client>,
    held: Mutex<Option<Held>>,
    descriptor: UniqueIDType,
    address: IpAddr,
    forwarded_for: HeaderValue,
    opened: Instant,
}

impl Connection {
    pub(crate) fn new(worker: &Arc<Worker>, stream: Stream, waker: Waker) -> Self {
        let address = stream
            .get_socket_digest()
            .and_then(|digest| digest.peer_addr()?.as_inet().map(|inet| inet.ip().to_canonical()))
            // The client is gone already; no request of it will ever be sent.
            .unwrap_or(IpAddr::from([0; 4]));
        Self {
            worker: Arc::clone(worker),
            waker,
            cut: AtomicU8::new(0),
            descriptor: stream.id(),
            client: Mutex::new(Client::new(stream, worker.now())),
            held: Mutex::new(None),
            address,
            forwarded_for: HeaderValue::try_from(address.to_string()).unwrap_or(HeaderValue::from_static("unknown")),
            opened: Instant::now(),
        }
    }

    /// The worker's clock.
    pub(crate) fn now(&self) -> u64 {
        self.worker.now()
    }

    /// The client's end. One thread runs all connections, so the lock is always free.
    pub(crate) fn client(&self) -> MutexGuard<'_, Client> {
        self.client.lock()
    }

    /// The lease that spans the connection.
    pub(crate) fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock()
    }

    pub(crate) fn descriptor(&self) -> UniqueIDType {
        self.descriptor
    }

    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    /// The client's address, as `X-Forwarded-For` has it.
    pub(crate) fn forwarded_for(&self) -> &HeaderValue {
        &self.forwarded_for
    }

    pub(crate) fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// The order to end, once it is given.
    pub(crate) fn cut(&self) -> Option<Cut> {
        // Relaxed, here and below: one thread writes and reads.
        let number = self.cut.load(Relaxed);
        Cut::ALL.into_iter().find(|cut| *cut as u8 == number)
    }

    /// Gives the order to end, unless one was given.
    pub(crate) fn order(&self, cut: Cut) {
        if self.cut.load(Relaxed) == 0 {
            self.cut.store(cut as u8, Relaxed);
            self.waker.wake_by_ref();
        }
    }

    /// Ends it if a bound is passed.
    pub(crate) fn tick(&self, view: &View, now: u64) {
        let settings = &view.settings;
        let hold_left = settings.max_hold.and_then(|most| {
            let since = self.held.lock().as_ref()?.since();
            Some(Duration::from_millis((since + millis(most)).saturating_sub(now)))
        });
        let limits = Limits {
            idle: [settings.idle_timeout, hold_left].into_iter().flatten().min(),
            answer: settings.response_header_timeout,
        };
        let overdue = self.client.lock().overdue(limits, now);
        if let Some(cut) = overdue {
            self.order(cut);
        }
    }

    /// Whether its lease has lasted as long as one may.
    pub(crate) fn is_held_too_long(&self, view: &View) -> bool {
        view.settings.max_hold.is_some_and(|most| {
            self.held.lock().as_ref().is_some_and(|held| self.now().saturating_sub(held.since()) >= millis(most))
        })
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("address", &self.address).finish_non_exhaustive()
    }
}

