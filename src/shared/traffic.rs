//! What each seat's worker counts of each host, backend, and of each host's use of a backend. One writer each, as [`SeatCounters`]
//! have; the numbers outlive the worker, what is under way does not.
//!
//! [`SeatCounters`]: super::SeatCounters

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use crate::sync::AtomicU64;

use super::{
    causes::causes,
    counter::{self, Counter},
};

/// A number that rises and falls. It has one writer, as [`Counter`] has.
#[repr(transparent)]
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// One more.
    pub fn rise(&self) {
        // Relaxed, here and below: a number on its own, with one writer.
        self.0.store(self.0.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// One less.
    pub fn fall(&self) {
        let now = self.0.load(Relaxed);
        self.0.store(now.saturating_sub(1), Relaxed);
    }

    /// The number now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// None any more: whoever wrote it has ended.
    pub fn clear(&self) {
        self.0.store(0, Relaxed);
    }
}

/// Durations of requests, counted by size.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Latency {
    buckets: [Counter; Latency::BUCKETS],
    sum_micros: Counter,
}

/// [`Latency`] read out, or several added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LatencyCounts {
    /// Observations in each bucket of [`Latency::BOUNDS`], and above the last bound. Not cumulative.
    pub buckets: [u64; Latency::BUCKETS],
    /// Sum of all observations, microseconds.
    pub sum_micros: u64,
}

impl Latency {
    /// Upper bounds of the buckets, seconds.
    pub const BOUNDS: [f64; 16] = [
        0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
        2.5, 5.0, 10.0,
    ];
    /// The last one has no bound.
    pub const BUCKETS: usize = Self::BOUNDS.len() + 1;

    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        counter::observe(&Self::BOUNDS, &self.buckets, &self.sum_micros, duration);
    }

    pub(super) fn add_to(&self, counts: &mut LatencyCounts) {
        for (sum, bucket) in counts.buckets.iter_mut().zip(&self.buckets) {
            *sum += bucket.get();
        }
        counts.sum_micros = counts.sum_micros.wrapping_add(self.sum_micros.get());
    }

    fn clear(&self) {
        self.buckets.iter().for_each(Counter::clear);
        self.sum_micros.clear();
    }
}

/// Statuses that are counted each by itself; all others by their class.
const STATUSES: [u16; 27] = [
    101, 200, 201, 202, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 408, 409,
    413, 429, 499, 500, 501, 502, 503, 504,
];
/// Room for the statuses' counters: those, the classes 1xx to 5xx.
const CODES: usize = STATUSES.len() + 5;

/// As a metric names the counter at `at` of [`HostTotals::codes`].
#[must_use]
pub fn code_label(at: usize) -> String {
    match STATUSES.get(at) {
        Some(status) => status.to_string(),
        None => format!("{}xx", at + 1 - STATUSES.len()),
    }
}

causes! {
    /// Why a request was refused by a limit.
    Rejection {
        /// Its address may not (`access`).
        Access = "access",
        /// Too many in a time (`rate_limit`).
        Rate = "rate",
        /// The circuit breaker is open.
        Breaker = "circuit_breaker",
        /// As many are under way as may be (`max_concurrent`).
        Concurrency = "concurrency",
        /// The queue was full, or the wait in it too long.
        Queue = "queue",
    }
}

causes! {
    /// Why a request failed.
    Failing {
        /// No backend could be asked.
        NoBackend = "no_backend",
        /// The backend took no connection.
        Connect = "connect",
        /// The backend did not answer in time.
        Timeout = "timeout",
        /// The connection to the backend ended before its answer did.
        Reset = "reset",
        /// The client left.
        ClientGone = "client_gone",
        /// No token was to be had.
        NoToken = "no_token",
    }
}

/// Room for causes to come, so that a new one changes no layout.
const CAUSES: usize = 12;
const _: () = assert!(Rejection::ALL.len() <= CAUSES && Failing::ALL.len() <= CAUSES);

/// A seat's part of a host's row.
#[repr(C, align(128))]
#[derive(Debug, Default)]
pub struct HostSeat {
    /// Requests that have come and are not over, those in a line included.
    pub in_flight: Gauge,
    /// Retries under way.
    pub retrying: Gauge,
    /// [`crate::limits::Probes`] of the host's breaker.
    pub probes: AtomicU64,
    codes: [Counter; CODES],
    /// From a request's head to the end of its answer.
    pub duration: Latency,
    rejections: [Counter; CAUSES],
    failures: [Counter; CAUSES],
    /// Client connections whose last request was for the host.
    pub connections: Gauge,
    /// Requests in a line, for a token or for leave.
    pub waiting: Gauge,
}

/// What is counted of a host, added up over all seats.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostTotals {
    /// Requests under way, but for those in a line.
    pub in_flight: u64,
    /// Client connections whose last request was for it.
    pub connections: u64,
    /// Requests in a line, for a token or for leave.
    pub waiting: u64,
    /// Answers by status: see [`code_label`].
    pub codes: [u64; CODES],
    /// From a request's head to the end of its answer.
    pub duration: LatencyCounts,
    /// In the order of [`Rejection::ALL`].
    pub rejections: [u64; Rejection::ALL.len()],
    /// In the order of [`Failing::ALL`].
    pub failures: [u64; Failing::ALL.len()],
}

impl HostSeat {
    /// Counts an answer.
    pub fn count_status(&self, status: u16) {
        let at = STATUSES.iter().position(|known| *known == status);
        let class = usize::from(status / 100).clamp(1, 5);
        self.codes[at.unwrap_or(STATUSES.len() + class - 1)].add(1);
    }

    /// Counts a request that a limit refused.
    pub fn count_rejection(&self, cause: Rejection) {
        self.rejections[cause as usize].add(1);
    }

    /// Counts a request that failed.
    pub fn count_failure(&self, cause: Failing) {
        self.failures[cause as usize].add(1);
    }

    /// Requests under way, and those in a line.
    #[must_use]
    pub fn under_way(&self) -> (u64, u64) {
        let (all, waiting) = (self.in_flight.get(), self.waiting.get());
        // Read one after the other: who came in between may be in the second alone.
        (all.saturating_sub(waiting), waiting)
    }

    /// Adds it to `totals`.
    pub fn add_to(&self, totals: &mut HostTotals) {
        let (in_flight, waiting) = self.under_way();
        totals.in_flight += in_flight;
        totals.connections += self.connections.get();
        totals.waiting += waiting;
        let add = |sums: &mut [u64], counters: &[Counter]| {
            let pairs = sums.iter_mut().zip(counters);
            pairs.for_each(|(sum, counter)| *sum += counter.get());
        };
        add(&mut totals.codes, &self.codes);
        add(&mut totals.rejections, &self.rejections);
        add(&mut totals.failures, &self.failures);
        self.duration.add_to(&mut totals.duration);
    }
}

/// A seat's part of a backend's row.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct BackendSeat {
    /// Requests under way.
    pub in_flight: Gauge,
    /// Requests sent to it.
    pub requests: Counter,
    /// Requests that it failed.
    pub failures: Counter,
    reserved: [Counter; 5],
}

/// A seat's part of a pair's row.
#[repr(C)]
#[derive(Debug, Default)]
pub struct PairSeat {
    /// Requests under way.
    pub in_flight: Gauge,
    /// [`crate::limits::Probes`] of the pair's breaker.
    pub probes: AtomicU64,
    /// From a request's first byte to the backend to the head of its answer.
    pub duration: Latency,
}

/// A seat's part of a row.
pub trait SeatRow {
    /// What is under way.
    fn in_flight(&self) -> &Gauge;
    /// Whether nothing of it is in use by its worker.
    fn is_quiet(&self) -> bool {
        self.in_flight().get() == 0
    }
    /// All from the begin, for another name.
    fn clear(&self);
    /// Its worker has ended: nothing of it is under way any more.
    fn settle(&self) {
        self.in_flight().clear();
    }
}

impl SeatRow for HostSeat {
    fn in_flight(&self) -> &Gauge {
        &self.in_flight
    }

    fn is_quiet(&self) -> bool {
        self.in_flight.get() == 0 && self.connections.get() == 0
    }

    fn clear(&self) {
        self.settle();
        self.probes.store(0, Relaxed);
        let counters = [&self.codes[..], &self.rejections, &self.failures];
        counters.into_iter().flatten().for_each(Counter::clear);
        self.duration.clear();
    }

    fn settle(&self) {
        self.in_flight.clear();
        self.retrying.clear();
        self.connections.clear();
        self.waiting.clear();
    }
}

impl SeatRow for BackendSeat {
    fn in_flight(&self) -> &Gauge {
        &self.in_flight
    }

    fn clear(&self) {
        self.settle();
        self.requests.clear();
        self.failures.clear();
    }
}

impl SeatRow for PairSeat {
    fn in_flight(&self) -> &Gauge {
        &self.in_flight
    }

    fn clear(&self) {
        self.settle();
        self.probes.store(0, Relaxed);
        self.duration.clear();
    }
}

impl PairSeat {
    /// Adds its durations to `counts`.
    pub fn add_to(&self, counts: &mut LatencyCounts) {
        self.duration.add_to(counts);
    }
}
