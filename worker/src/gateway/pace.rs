//! Whose turn it is, since when, and how long it may be: every wait has a culprit and a bound.

use std::time::Duration;

use tpp::lending::WorkerSettings;
use tpp::shared::WaitEnd;

use crate::{
    clock::{due, millis},
    rarely::seldom,
};

/// How long a client may be slower than the least rate, to begin with: the rate is averaged from the sixth second on.
const GRACE_MS: i64 = 5_000;
/// How much a client can have in hand by having been fast, if it may pause for ever.
const MOST_CREDIT_MS: i64 = 60_000;
/// How long the other half of a tunnel may be silent once one half has ended.
const HALF_TUNNEL: Duration = Duration::from_secs(10);

/// Who has to do something before more bytes can move in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Turn {
    /// There is nothing to wait for.
    #[default]
    Nobody,
    /// The client has to send its body.
    ClientSends,
    /// The client has to read its answer.
    ClientReads,
    /// The upstream has to take the request, before its answer has begun.
    UpstreamReads,
    /// The upstream has to take the request, and its answer is under way.
    UpstreamReadsOn,
    /// The upstream has to begin to answer.
    UpstreamHead,
    /// The upstream has to go on with its answer.
    UpstreamSends,
    /// Either side of a tunnel may send, or not.
    Tunnel,
    /// Of a tunnel one half has ended, and the other one should.
    HalfTunnel,
}

impl Turn {
    fn is_clients(self) -> bool {
        matches!(self, Self::ClientSends | Self::ClientReads)
    }

    /// How long nothing may move; `None`: without end.
    fn limit(self, settings: &WorkerSettings) -> Option<Duration> {
        let upstream = &settings.upstream;
        match self {
            Self::Nobody => None,
            Self::ClientSends | Self::ClientReads => settings.client.stall_timeout,
            Self::UpstreamHead => upstream.response_header_timeout,
            Self::UpstreamReads => upstream.response_header_timeout.or(upstream.read_timeout),
            Self::UpstreamReadsOn | Self::UpstreamSends => upstream.read_timeout,
            Self::Tunnel => upstream.tunnel_timeout,
            Self::HalfTunnel => Some(
                upstream
                    .tunnel_timeout
                    .map_or(HALF_TUNNEL, |limit| limit.min(HALF_TUNNEL)),
            ),
        }
    }

    /// What is said of its end.
    fn end(self) -> WaitEnd {
        match self {
            Self::ClientSends => WaitEnd::ClientSendsNothing,
            Self::ClientReads => WaitEnd::ClientReadsNothing,
            Self::UpstreamReads | Self::UpstreamReadsOn => WaitEnd::UpstreamReadsNothing,
            Self::Nobody | Self::UpstreamHead => WaitEnd::UpstreamHead,
            Self::UpstreamSends => WaitEnd::UpstreamSendsNothing,
            Self::Tunnel | Self::HalfTunnel => WaitEnd::Tunnel,
        }
    }

    fn end_of_a_drip(self) -> WaitEnd {
        match self {
            Self::ClientSends => WaitEnd::ClientSendsSlowly,
            _ => WaitEnd::ClientReadsSlowly,
        }
    }
}

/// One direction of an exchange. It is looked at only when nothing can move: while bytes flow it costs an addition.
#[derive(Debug)]
pub(crate) struct Direction {
    turn: Turn,
    /// When the wait for whoever's turn it is began, or something last moved in it.
    since: u64,
    /// When it was last looked at.
    seen: u64,
    /// Bytes that the client moved since then.
    bytes: u64,
    /// Something else moved since then.
    stirred: bool,
    /// Time, in milliseconds, that the client may still keep us waiting at the least rate.
    credit: i64,
}

impl Default for Direction {
    fn default() -> Self {
        Self {
            turn: Turn::Nobody,
            since: 0,
            seen: 0,
            bytes: 0,
            stirred: false,
            credit: GRACE_MS,
        }
    }
}

impl Direction {
    /// The client sent, or took, so many bytes.
    pub(crate) fn moved(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// The upstream did.
    pub(crate) fn stirred(&mut self) {
        self.stirred = true;
    }

    /// Whether anything moved since it was last looked at.
    pub(crate) fn has_moved(&self) -> bool {
        self.bytes > 0 || self.stirred
    }

    /// Nothing can move, and it is `turn`'s: when that will have taken too long, by the worker's clock, or why it has.
    /// `anew`: something else moved that makes the wait begin again.
    pub(crate) fn look(
        &mut self,
        turn: Turn,
        anew: bool,
        now: u64,
        settings: &WorkerSettings,
    ) -> Result<u64, WaitEnd> {
        let has_moved = self.has_moved();
        let bytes = std::mem::take(&mut self.bytes);
        self.stirred = false;
        let is_drip = self.is_drip(bytes, now, settings);
        // The wait for an answer is one wait, whatever else moves.
        if turn != self.turn || anew || has_moved && turn != Turn::UpstreamHead {
            self.since = now;
        }
        (self.turn, self.seen) = (turn, now);
        if seldom(is_drip && turn.is_clients()) {
            return Err(turn.end_of_a_drip());
        }
        let due = due(self.since, turn.limit(settings));
        if seldom(due <= now) {
            Err(turn.end())
        } else {
            Ok(due)
        }
    }

    /// Whether the client moved `bytes`, and all in all too few for the time it took. If it moved none, that is judged by
    /// how long it pauses.
    fn is_drip(&mut self, bytes: u64, now: u64, settings: &WorkerSettings) -> bool {
        match settings.client.min_rate {
            Some(rate) if self.turn.is_clients() => self.pay(rate, bytes, now, settings),
            _ => false,
        }
    }

    // Apart from the way of the many that wait for no client.
    #[inline(never)]
    fn pay(&mut self, rate: u32, bytes: u64, now: u64, settings: &WorkerSettings) -> bool {
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let most = settings
            .client
            .stall_timeout
            .map_or(MOST_CREDIT_MS, |limit| signed(millis(limit)).max(GRACE_MS));
        let earned = signed(bytes.saturating_mul(1000) / u64::from(rate.max(1)));
        self.credit = self
            .credit
            .saturating_sub(signed(now.saturating_sub(self.seen)))
            .saturating_add(earned)
            .min(most);
        bytes > 0 && self.credit < 0
    }
}
