//! Waits that were ended because their bound was over, counted by who had kept them waiting.

use super::{causes::causes, counter::Counter};

causes! {
    /// Why a wait was ended.
    WaitEnd {
        /// The client did not end a request head in time (`client.head_timeout_seconds`).
        ClientHead = "client_head",
        /// The client sent nothing of the body it had announced (`client.stall_timeout_seconds`).
        ClientSendsNothing = "client_sends_nothing",
        /// The client sent its body too slowly (`client.min_rate_bytes_per_second`).
        ClientSendsSlowly = "client_sends_slowly",
        /// The client read nothing of its answer (`client.stall_timeout_seconds`).
        ClientReadsNothing = "client_reads_nothing",
        /// The client read its answer too slowly (`client.min_rate_bytes_per_second`).
        ClientReadsSlowly = "client_reads_slowly",
        /// The upstream did not begin to answer (`upstream.response_header_timeout_seconds`).
        UpstreamHead = "upstream_head",
        /// The upstream did not take the request (the same bounds as for its answer).
        UpstreamReadsNothing = "upstream_reads_nothing",
        /// The upstream fell silent in mid-answer (`upstream.read_timeout_seconds`).
        UpstreamSendsNothing = "upstream_sends_nothing",
        /// Both sides of a tunnel were silent (`upstream.tunnel_timeout_seconds`).
        Tunnel = "tunnel",
        /// The lease was held too long (`lease.max_hold_seconds` and `lease.max_hold_grace_seconds`).
        Hold = "hold",
        /// A client that had ended its side got no answer in time (`lease.abandoned_wait_seconds`).
        HalfClosed = "half_closed",
        /// The answer to a client that had left did not end in time (`lease.abandoned_wait_seconds`).
        Abandoned = "abandoned",
        /// A request and its answer took too long together (`client.exchange_timeout_seconds`).
        Exchange = "exchange",
    }
}

/// Room for reasons to come, so that a new one changes no layout.
const ROOM: usize = 24;

/// Waits ended, by reason. Only the seat's worker counts.
#[repr(C)]
#[derive(Debug, Default)]
pub struct WaitsEnded([Counter; ROOM]);

/// [`WaitsEnded`] read out, or several added up, in the order of [`WaitEnd::ALL`].
pub type WaitsEndedCounts = [u64; WaitEnd::ALL.len()];

impl WaitsEnded {
    /// Counts one.
    pub fn add(&self, end: WaitEnd) {
        self.0[end as usize].add(1);
    }

    /// The counts now.
    #[must_use]
    pub fn read(&self) -> WaitsEndedCounts {
        std::array::from_fn(|at| self.0[at].get())
    }
}

const _: () = assert!(WaitEnd::ALL.len() <= ROOM);
