//! Counters of one seat, in the region, so that they outlive its workers.

use std::time::Duration;

use super::counter::{self, Counter};
use super::waits::{WaitsEnded, WaitsEndedCounts};

/// What the supervisors of one region have done, one after the other. Only the one in charge writes.
#[repr(C)]
#[derive(Debug, Default)]
pub struct SupervisorCounters {
    /// Logins that brought a token.
    pub logins_succeeded: Counter,
    /// Logins that the server refused.
    pub logins_refused: Counter,
    /// Logins that failed otherwise.
    pub logins_failed: Counter,
    /// Workers that ended unplanned.
    pub worker_restarts: Counter,
    /// Configurations put in force.
    pub configurations: Counter,
    /// Spans that a collector took.
    pub spans_exported: Counter,
    /// Spans that no collector took in time.
    pub spans_lost: Counter,
    /// Exports that a collector took.
    pub exports_taken: Counter,
    /// Exports that failed, each try.
    pub exports_failed: Counter,
    reserved: [Counter; 7],
}

/// Buckets of a [`Histogram`], the last one without a bound.
const BUCKETS: usize = Histogram::BOUNDS.len() + 1;

/// Durations, counted by size.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; BUCKETS],
    sum_micros: Counter,
}

/// A histogram read out, or several added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HistogramCounts {
    /// Observations in each bucket of [`Histogram::BOUNDS`], and above the last bound. Not cumulative.
    pub buckets: [u64; BUCKETS],
    /// Sum of all observations, microseconds.
    pub sum_micros: u64,
}

impl Histogram {
    /// Upper bounds of the buckets, seconds.
    pub const BOUNDS: [f64; 15] = [
        0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 1800.0,
        7200.0,
    ];

    /// Counts one duration. Only the seat's worker may call it.
    pub fn observe(&self, duration: Duration) {
        counter::observe(&Self::BOUNDS, &self.buckets, &self.sum_micros, duration);
    }

    /// The counts now.
    #[must_use]
    pub fn read(&self) -> HistogramCounts {
        HistogramCounts {
            buckets: std::array::from_fn(|at| self.buckets[at].get()),
            sum_micros: self.sum_micros.get(),
        }
    }
}

macro_rules! seat_counters {
    ($($(#[doc = $doc:literal])+ $name:ident),+ $(,)?) => {
        /// What the workers of one seat have done.
        #[repr(C, align(128))]
        #[derive(Debug, Default)]
        pub struct SeatCounters {
            $($(#[doc = $doc])+ pub $name: Counter,)+
            /// Time from asking for a slot to having it.
            pub acquisition_wait: Histogram,
            /// Life of a connection.
            pub connection_duration: Histogram,
            /// Waits that were ended because their bound was over.
            pub waits_ended: WaitsEnded,
            /// Lines of the access log that nobody took, or that could not be written.
            pub access_log_dropped: Counter,
            /// TLS handshakes, each from its beginning.
            pub handshakes_full: Counter,
            /// TLS handshakes that went on with an earlier session.
            pub handshakes_resumed: Counter,
            /// TLS handshakes that came to nothing.
            pub handshakes_failed: Counter,
            /// Connections refused because no sound header of the PROXY protocol came, of a proxy that is trusted and in time.
            pub refused_proxy_header: Counter,
        }

        /// [`SeatCounters`] of all seats, added up.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct Totals {
            $($(#[doc = $doc])+ pub $name: u64,)+
            /// Time from asking for a slot to having it.
            pub acquisition_wait: HistogramCounts,
            /// Life of a connection.
            pub connection_duration: HistogramCounts,
            /// Waits that were ended because their bound was over.
            pub waits_ended: WaitsEndedCounts,
            /// Lines of the access log that nobody took, or that could not be written.
            pub access_log_dropped: u64,
            /// TLS handshakes, each from its beginning.
            pub handshakes_full: u64,
            /// TLS handshakes that went on with an earlier session.
            pub handshakes_resumed: u64,
            /// TLS handshakes that came to nothing.
            pub handshakes_failed: u64,
            /// Connections refused because no sound header of the PROXY protocol came, of a proxy that is trusted and in time.
            pub refused_proxy_header: u64,
        }

        impl Totals {
            /// Adds one seat's numbers.
            pub fn add(&mut self, seat: &SeatCounters) {
                $(self.$name += seat.$name.get();)+
                self.acquisition_wait.add(&seat.acquisition_wait.read());
                self.connection_duration.add(&seat.connection_duration.read());
                self.access_log_dropped += seat.access_log_dropped.get();
                self.handshakes_full += seat.handshakes_full.get();
                self.handshakes_resumed += seat.handshakes_resumed.get();
                self.handshakes_failed += seat.handshakes_failed.get();
                self.refused_proxy_header += seat.refused_proxy_header.get();
                for (sum, count) in self.waits_ended.iter_mut().zip(seat.waits_ended.read()) {
                    *sum += count;
                }
            }
        }
    };
}

seat_counters! {
    /// Client connections accepted.
    connections_opened,
    /// Client connections that ended.
    connections_closed,
    /// Requests read.
    requests,
    /// Requests that tpp answered with an error of its own.
    request_errors,
    /// Slots leased.
    acquisitions,
    /// Slots given back, those reclaimed from dead workers included.
    releases,
    /// Requests that the upstream refused with 401.
    token_errors,
    /// Clients told that no slot came free in time.
    queue_timeouts,
    /// Clients turned away because the line was full.
    queue_rejections,
    /// Clients that left while they waited.
    clients_left,
    /// Connections closed because their time to drain was over.
    drain_cut,
    /// Log lines dropped because nobody read them.
    log_lines_dropped,
    /// Connections refused because there were as many as may be (`client.max_connections`).
    refused_total,
    /// Connections refused because their address had as many as may be (`client.max_connections_per_address`).
    refused_address,
    /// Connections refused because the descriptors left are for the upstream's.
    refused_descriptors,
}

impl HistogramCounts {
    fn add(&mut self, other: &Self) {
        for (sum, count) in self.buckets.iter_mut().zip(other.buckets) {
            *sum += count;
        }
        self.sum_micros = self.sum_micros.wrapping_add(other.sum_micros);
    }
}

impl SeatCounters {
    /// Client connections that are open.
    #[must_use]
    pub fn open_connections(&self) -> u64 {
        // Two words, read one after the other: a connection may have opened and closed in between.
        self.connections_opened
            .get()
            .saturating_sub(self.connections_closed.get())
    }

    /// Squares the books of a worker that ended: its connections are closed, the leases taken back from it are
    /// given back. Only the supervisor may call it, and only while the seat is empty.
    pub fn settle(&self, reclaimed_leases: u64) {
        self.releases.add(reclaimed_leases);
        self.connections_closed.add(self.open_connections());
    }
}
