//! The last step of a request's way: its line in the access log, and its spans. They are written wherever the request ends, its client or its worker too.
//!
//! Where there is neither, each step costs a look: what there is to be done otherwise stands apart, for a request meets cold caches.

use tokio::time::Instant;
use tpp::{lending::BreakerAt, limits::BreakerState};

use crate::{
    gateway::{
        access::address,
        attempt::Break,
        client::Client,
        flight::{Failure, Flight, Next},
        notes::Wanted,
    },
    message::head::Head,
    wire::Traffic,
};

/// A request begins, `length` bytes of the client's connection ago; its head, if that could be read.
pub(crate) fn begin(client: &mut Client, head: Option<&Head>, length: usize) {
    if !client.view.has_ids {
        client.notes.forget();
    } else {
        begin_notes(client, head, length);
    }
}

#[inline(never)]
fn begin_notes(client: &mut Client, head: Option<&Head>, length: usize) {
    let now = client.wire.traffic();
    let before = Traffic {
        taken: now.taken.saturating_sub(length as u64),
        ..now
    };
    let wanted = Wanted {
        clock: &client.worker.clock,
        is_logged: client.view.is_logged,
        trace_percent: client.view.settings.trace_percent,
        before,
    };
    client.notes.begin(head, &client.worker.ids, wanted);
}

/// It is known whom it is for.
pub(crate) fn found(flight: &mut Flight<'_>) {
    if flight.client.notes.has_entry() {
        note_found(flight);
    }
}

#[inline(never)]
fn note_found(flight: &mut Flight<'_>) {
    let client = &mut *flight.client;
    let (desk, row) = (&client.worker.desk, flight.site.plan.row);
    let entered = client.holdings.tally().is_none().then(|| desk.enter(row));
    let concurrent = client.worker.neighbours.host_in_flight(desk, row);
    client.notes.is_for(&flight.site, entered, concurrent);
}

/// An attempt broke off, and no other one will be made.
#[cold]
pub(super) fn note_break(flight: &mut Flight<'_>, cause: &Break) {
    flight.client.notes.ends(match cause {
        Break::ClientGone => "client_gone",
        Break::Late(end) => end.label(),
        Break::BadBody => "bad_body",
        Break::UpstreamEnded => "upstream_ended",
        Break::UpstreamLost(_) => "upstream_lost",
        Break::Nonsense(_) => "upstream_nonsense",
        Break::Cut => "cut",
    });
}

/// Its way is over, but for an answer of tpp's own.
pub(crate) fn note_outcome(flight: &mut Flight<'_>, outcome: &Result<Next, Failure>) {
    if flight.client.notes.has_entry() {
        note_end(flight, outcome);
    }
}

#[inline(never)]
fn note_end(flight: &mut Flight<'_>, outcome: &Result<Next, Failure>) {
    let notes = &mut flight.client.notes;
    match outcome {
        // It ends now.
        Ok(_) => {}
        Err(Failure::Over(_)) => notes.ends("client_gone"),
        // What tpp has to say is not the upstream's time.
        Err(Failure::Reply(_)) => notes.has_head(None),
    }
    let bounds = flight.site.bounds.as_ref();
    if bounds.is_some_and(|bounds| bounds.breaker.is_some()) {
        let at = BreakerAt::Host(flight.site.plan.row);
        notes.circuit(match flight.client.worker.desk.breaker_state(at) {
            BreakerState::Closed => "closed",
            BreakerState::Open => "open",
            BreakerState::HalfOpen => "half_open",
        });
    }
}

/// It is over. `head` is its own, if that could be read; `end` says how it ended if nothing else has.
pub(crate) fn end(client: &mut Client, head: Option<&Head>, end: &'static str) {
    if client.notes.has_entry() {
        write(client, head, end);
    }
}

#[inline(never)]
fn write(client: &mut Client, head: Option<&Head>, end: &'static str) {
    client.notes.ends(end);
    let behind = head.and_then(|head| address(client, head));
    let behind = behind.filter(|address| Some(*address) != client.peer);
    let behind = behind.map(|address| address.to_string());
    let who = behind.as_deref().unwrap_or(&client.address);
    let log = &client.worker.access_log;
    let now = client.wire.traffic();
    let who = (who, client.secured.is_some());
    client.notes.close(
        head,
        (now, who),
        || client.worker.desk.span_ring(),
        |line| {
            log.add(line, head);
        },
    );
}

/// Since when somebody waits, if that is to be told.
pub(crate) fn wait(client: &Client) -> Option<Instant> {
    client.notes.has_entry().then(Instant::now)
}
