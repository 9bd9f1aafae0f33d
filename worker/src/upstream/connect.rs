//! A new connection to the upstream: to whichever of its addresses accepts first.
//!
//! As RFC 8305 has it, the next address is tried when the one before has not answered within a quarter of a second, and
//! the first that accepts wins. What fails is remembered for a while, so that an address that swallows packets does not
//! cost every connection its quarter.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use pingora_core::protocols::Stream;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tpp::{ids::Origin, plan::Place as Address};
use tracing::warn;

use super::{
    Link, Upstream,
    transport::{Unreachable, Unsent},
    trunk::is_agreed_on,
};
use crate::wire::Wire;

/// How long an address may keep the next one waiting (RFC 8305, section 8).
const HEAD_START: Duration = Duration::from_millis(250);
/// How long an address that failed comes after all others, milliseconds.
const DEAD_FOR: u64 = 10_000;
/// An address that has failed for so long, without one success, is given up: tokens drawn there are no good.
const GIVEN_UP_AFTER: u64 = 3_000;

/// An address, and what this worker has met there. All orderings are Relaxed: one thread reads and writes.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) at: Address,
    /// Milliseconds of the worker's clock at the first failure since the last success, plus one; 0: none.
    failing_since: AtomicU64,
    /// The same of the last one.
    failed_at: AtomicU64,
}

impl Place {
    pub(super) fn new(at: Address) -> Self {
        Self {
            at,
            failing_since: AtomicU64::new(0),
            failed_at: AtomicU64::new(0),
        }
    }

    fn is_dead(&self, now: u64) -> bool {
        let failed_at = self.failed_at.load(Relaxed);
        failed_at > 0 && now < failed_at + DEAD_FOR
    }

    fn note_success(&self) {
        self.failing_since.store(0, Relaxed);
        self.failed_at.store(0, Relaxed);
    }

    fn note_failure(&self, now: u64) {
        if self.failing_since.load(Relaxed) == 0 {
            self.failing_since.store(now + 1, Relaxed);
        }
        self.failed_at.store(now + 1, Relaxed);
    }

    fn is_given_up(&self, now: u64) -> bool {
        let since = self.failing_since.load(Relaxed);
        since > 0 && now + 1 >= since + GIVEN_UP_AFTER
    }
}

impl Upstream {
    /// A new connection for a token of `origin`, or a stream of one that another request has just made. `now` is the worker's
    /// clock.
    ///
    /// The addresses have `limit` together; those of handshakes come on top.
    pub(crate) async fn connect(
        &self,
        origin: Origin,
        limit: Duration,
        now: u64,
    ) -> Result<Link, Unreachable> {
        let shared = self.http2.as_ref();
        // Relaxed: what it says is a hint.
        let Some(http2) = shared.filter(|http2| !http2.falls_back.load(Relaxed)) else {
            return self.connect_anew(origin, limit, now).await;
        };
        let seen = http2.trunks.failures();
        let _turn = http2.trunks.turn.lock().await;
        if let Some(link) = self.share(origin) {
            return Ok(link);
        }
        if let Some(failure) = http2.trunks.failure_since(seen) {
            return Err(failure);
        }
        let reached = self.connect_anew(origin, limit, now).await;
        if let Err(cause) = &reached {
            http2.trunks.note_failure(cause);
        }
        reached
    }

    async fn connect_anew(
        &self,
        origin: Origin,
        limit: Duration,
        now: u64,
    ) -> Result<Link, Unreachable> {
        let places = self.in_order(origin, now);
        if places.is_empty() {
            return Err(Unreachable::NoAddress);
        }
        let begun = Instant::now();
        let deadline = begun + limit;
        let head_start = HEAD_START.min(limit / u32::try_from(places.len()).unwrap_or(u32::MAX));
        let mut waiting = places.iter();
        let mut attempts = JoinSet::new();
        let mut unanswered: Vec<Arc<Place>> = Vec::new();
        let mut last = Unreachable::Slow;
        let mut next_at = begun;
        loop {
            if attempts.is_empty() || Instant::now() >= next_at {
                // None is begun that could not end in time, and noted as dead for it.
                let is_late = Instant::now() >= deadline;
                if let Some(place) = waiting.next().filter(|_| !is_late) {
                    self.begin(place, deadline, &mut attempts);
                    unanswered.push(Arc::clone(place));
                    next_at = Instant::now() + head_start;
                } else if attempts.is_empty() {
                    return Err(last);
                }
            }
            let ended = tokio::select! {
                Some(ended) = attempts.join_next() => ended,
                () = sleep_until(next_at), if waiting.len() > 0 => continue,
            };
            // A task that panicked has said so.
            let Ok((place, outcome)) = ended else {
                continue;
            };
            let spent = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            let overtaken = unanswered
                .iter()
                .take_while(|one| !Arc::ptr_eq(one, &place));
            match outcome {
                Ok(stream) => {
                    // They had a head start, and are not heard of.
                    overtaken.for_each(|one| one.note_failure(now + spent));
                    place.note_success();
                    return self.begin_on(stream, place.at).await;
                }
                Err(unreachable) => {
                    place.note_failure(now + spent);
                    self.complain(place.at.address, &unreachable);
                    unanswered.retain(|one| !Arc::ptr_eq(one, &place));
                    last = unreachable;
                    next_at = Instant::now();
                }
            }
        }
    }

    /// Begins to speak on a new connection.
    async fn begin_on(&self, stream: Stream, at: Address) -> Result<Link, Unreachable> {
        let (address, origin) = (at.address, at.origin);
        let Some(http2) = &self.http2 else {
            return Ok(Link::new(stream, address, origin));
        };
        if http2.is_known || is_agreed_on(&stream) {
            http2.falls_back.store(false, Relaxed);
            let branch = http2.trunks.begin(stream, address, http2.limit).await?;
            return Ok(Link::new(Box::new(branch), address, origin));
        }
        if http2.is_must {
            let cause = "it was not agreed on in the handshake".to_owned();
            return Err(Unreachable::Http2(cause));
        }
        http2.falls_back.store(true, Relaxed);
        Ok(Link::new(stream, address, origin))
    }

    fn begin(
        &self,
        place: &Arc<Place>,
        deadline: Instant,
        attempts: &mut JoinSet<(Arc<Place>, Result<Stream, Unreachable>)>,
    ) {
        let (place, transport) = (Arc::clone(place), Arc::clone(&self.transport));
        // Relaxed: one thread writes and reads.
        let unsent = match self.drops_unsent.load(Relaxed) {
            true => Unsent::Dropped,
            false => Unsent::Sent,
        };
        attempts.spawn(async move {
            let limit = deadline.saturating_duration_since(Instant::now());
            let outcome = transport.connect(place.at.address, limit, unsent).await;
            (place, outcome)
        });
    }

    /// Those where tokens of `origin` may go, in turn; those that failed lately come last.
    fn in_order(&self, origin: Origin, now: u64) -> Vec<Arc<Place>> {
        let mut places: Vec<_> = self
            .places
            .iter()
            .filter(|place| place.at.origin == origin)
            .cloned()
            .collect();
        if places.len() > 1 {
            // Relaxed: any address is as good to begin with.
            let first = self.next.fetch_add(1, Relaxed) % places.len();
            places.rotate_left(first);
            places.sort_by_key(|place| place.is_dead(now));
        }
        places
    }

    /// Whether tokens of `origin` are good for nothing: it cannot be reached for a while, and others can be logged in to.
    pub(crate) fn has_given_up(&self, origin: Origin, now: u64) -> bool {
        let mut of_origin = self.places.iter().filter(|place| place.at.origin == origin);
        self.places.iter().any(|place| place.at.origin != origin)
            && of_origin.all(|place| place.is_given_up(now))
    }

    fn complain(&self, address: SocketAddr, unreachable: &Unreachable) {
        if self.muffler.may_speak() {
            warn!(%address, error = %unreachable, "upstream unreachable");
        }
    }
}

impl Link {
    pub(super) fn new(stream: Stream, address: SocketAddr, origin: Origin) -> Self {
        Self {
            wire: Box::new(Wire::new(stream)),
            address,
            origin,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_failed_is_dead_for_a_while_and_given_up_if_it_stays_so() {
        let place = Place::new(Address {
            address: ([127, 0, 0, 1], 1).into(),
            origin: Origin::new(1),
        });
        assert!(!place.is_dead(0) && !place.is_given_up(1_000_000));
        place.note_failure(0);
        assert!(place.is_dead(0) && place.is_dead(DEAD_FOR));
        assert!(!place.is_dead(DEAD_FOR + 1));
        assert!(!place.is_given_up(GIVEN_UP_AFTER - 1));
        place.note_failure(1000);
        assert!(place.is_dead(DEAD_FOR + 1));
        assert!(
            place.is_given_up(GIVEN_UP_AFTER),
            "counted from its first failure"
        );
        place.note_success();
        assert!(!place.is_dead(1000) && !place.is_given_up(1_000_000));
    }
}
