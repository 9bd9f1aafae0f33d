//! Whether to ask a host's backends at all, over all workers, and each of them alone: `circuit_breaker`. What is asked is told of,
//! wherever the request ends: by its answer's status and end, by its failure, or, given back untold, as nothing learned.

use std::{hint::cold_path, sync::Arc};

use tpp::{
    clock::monotonic_millis,
    lending::{Asked, BreakerAt, Desk},
    limits::BreakerRules,
    shared::Rejection,
};

use crate::{
    clock::millis,
    gateway::{
        flight::{Failure, Flight},
        rate::whole_seconds,
    },
    http1::answer::Head,
    message::reply::Reply,
    view::{bounds::BreakerBound, member::Member, site::Site},
};

/// Asks the host's breaker for leave, if it has one.
pub(super) fn ask(flight: &mut Flight<'_>) -> Result<(), Failure> {
    match bound(&flight.site) {
        Some(_) => {
            cold_path();
            ask_host(flight)
        }
        None => Ok(()),
    }
}

// Apart from the way of those that have none: a request meets cold caches. So are the others below.
#[inline(never)]
fn ask_host(flight: &mut Flight<'_>) -> Result<(), Failure> {
    let Some(BreakerBound { at, policy }) = bound(&flight.site) else {
        return Ok(());
    };
    let asked = flight
        .client
        .worker
        .desk
        .ask(*at, policy.rules, monotonic_millis());
    match asked {
        Ok(asked) => {
            flight.client.holdings.sheet().asked = Some(asked);
            Ok(())
        }
        Err(tripped) => {
            flight.count_refusal(Rejection::Breaker);
            let reply = Reply::unavailable("the circuit breaker is open: its backends have failed");
            let reply = reply.with_fields("X-Circuit-Breaker: open\r\n");
            Err(Failure::Reply(reply.after(whole_seconds(tripped.after))))
        }
    }
}

/// What says of a host's backends whether each may be asked: every one has a breaker of its own beside the host's.
pub(super) struct Guard {
    desk: Arc<Desk>,
    rules: BreakerRules,
    now: u64,
}

impl Guard {
    /// That of the request's host; `None`: it has no breaker.
    pub(super) fn of(flight: &Flight<'_>) -> Option<Self> {
        let bound = bound(&flight.site)?;
        Some(Self {
            desk: Arc::clone(&flight.client.worker.desk),
            rules: bound.policy.rules,
            now: monotonic_millis(),
        })
    }

    /// Whether requests may go to this one.
    pub(super) fn lets(&self, member: &Member) -> bool {
        let at = BreakerAt::Pair(member.pair);
        self.desk.lets_through(at, self.rules, self.now)
    }
}

/// Asks the breaker for this backend alone for leave; whether it gives it.
pub(super) fn ask_for(flight: &mut Flight<'_>, member: &Member) -> bool {
    let Some(bound) = bound(&flight.site) else {
        return true;
    };
    let (at, rules) = (BreakerAt::Pair(member.pair), bound.policy.rules);
    // What came of the last attempt has been told, or says nothing.
    flight.client.holdings.sheet().asked_backend = None;
    let desk = &flight.client.worker.desk;
    let asked = desk.ask(at, rules, monotonic_millis()).ok();
    let may_ask = asked.is_some();
    flight.client.holdings.sheet().asked_backend = asked;
    may_ask
}

fn bound(site: &Site) -> Option<&BreakerBound> {
    site.bounds.as_ref()?.breaker.as_ref()
}

/// The head of an answer came. One that says that the backend failed is a failure; any other is a success when all of it has come,
/// but for that of a tunnel, which has no whole.
pub(super) fn note_head(flight: &mut Flight<'_>, head: &Head) {
    match head {
        Head::Final(_) if head.is_failure() => tell(flight, true),
        Head::Final(_) => {
            if let Some(sheet) = flight.client.holdings.get_mut() {
                sheet.answered_at = flight.client.worker.clock.now();
            }
        }
        Head::Switched => tell(flight, false),
        Head::Interim { .. } => {}
    }
}

/// More of the answer may have come. One that goes on for long, such as a stream of events, is as good as whole before its probe
/// is taken for lost, or a host of such answers would never be let alone.
pub(super) fn note_progress(flight: &mut Flight<'_>) {
    let Some(sheet) = flight.client.holdings.get() else {
        return;
    };
    let is_probe = |asked: &Option<Asked>| asked.as_ref().is_some_and(Asked::is_probe);
    if !is_probe(&sheet.asked) && !is_probe(&sheet.asked_backend) {
        return;
    }
    let Some(bound) = bound(&flight.site) else {
        return;
    };
    let enough = millis(bound.policy.rules.recovery / 2);
    if flight.client.worker.clock.now() >= sheet.answered_at + enough {
        tell(flight, false);
    }
}

/// All of the answer has come.
pub(super) fn note_whole(flight: &mut Flight<'_>) {
    tell(flight, false);
}

/// No answer came, or not all of it, and that is the backends' doing.
pub(super) fn note_failure(flight: &mut Flight<'_>) {
    tell(flight, true);
}

/// A backend took no connection; another one may yet serve the request.
pub(super) fn note_unreachable(flight: &mut Flight<'_>) {
    let sheet = flight.client.holdings.get_mut();
    let asked = sheet.and_then(|sheet| sheet.asked_backend.take());
    tell_of(flight, asked, true);
}

fn tell(flight: &mut Flight<'_>, has_failed: bool) {
    let Some(sheet) = flight.client.holdings.get_mut() else {
        return;
    };
    if sheet.asked.is_none() && sheet.asked_backend.is_none() {
        return;
    }
    cold_path();
    let both = [sheet.asked.take(), sheet.asked_backend.take()];
    for asked in both {
        tell_of(flight, asked, has_failed);
    }
}

#[inline(never)]
fn tell_of(flight: &Flight<'_>, asked: Option<Asked>, has_failed: bool) {
    if let Some(asked) = asked {
        tell_asked(flight, asked, has_failed);
    }
}

#[inline(never)]
fn tell_asked(flight: &Flight<'_>, asked: Asked, has_failed: bool) {
    let Some(bound) = bound(&flight.site) else {
        return;
    };
    let is_of_backend = matches!(asked.at(), BreakerAt::Pair(_));
    if asked.tell(has_failed, bound.policy, monotonic_millis()) {
        tracing::warn!(
            worker = flight.client.worker.seat(),
            host = flight.site.plan.host.domain,
            is_of_backend,
            "circuit breaker opened"
        );
    }
}
