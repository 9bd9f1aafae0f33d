//! A token goes to its own origin alone: the lease, the plan and the address of a request are brought together here.
//!
//! A plan and a token each name an origin and never change, so whatever a reload does meanwhile, and in whichever order a
//! worker learns of it, one look at both says whether they belong together.

use std::time::Duration;

use tpp::ids::Origin;
use tracing::debug;

use crate::{
    gateway::{
        client::Client,
        flight::{Failure, Flight},
        lend::get_lease,
    },
    message::reply::Reply,
    upstream::Upstream,
    wire::attend::{AtEnd, Interrupt, attend},
};

/// How long a plan may be on its way: it lies in the channel before it is in force, so this is what a worker may take to read it
/// on a machine that has no time for it.
const PLAN_LIMIT: Duration = Duration::from_secs(10);

/// Of the token that the client holds, if all is as it should be: it may be sent where the plan leads, or none is needed there.
pub(crate) fn fitting(flight: &mut Flight<'_>) -> Option<Origin> {
    let client = &mut *flight.client;
    if client.worker.is_ahead_of(&client.view) {
        return None;
    }
    if flight.group.pool.is_none() {
        return Some(Origin::NONE);
    }
    let (origin, _) = client.held.as_mut()?.origin();
    (flight.group.serves(origin) || !flight.group.has_addresses()).then_some(origin)
}

/// Sees to it that it is so. Returns the token's origin.
pub(crate) async fn fit(flight: &mut Flight<'_>) -> Result<Origin, Failure> {
    loop {
        let client = &mut *flight.client;
        if client.worker.renew(&mut client.view) {
            flight.route_again().map_err(Failure::Reply)?;
            // The backends in force may draw from another pool.
            get_lease(flight).await?;
            continue;
        }
        if let Some(origin) = fitting(flight) {
            return Ok(origin);
        }
        let client = &mut *flight.client;
        let Some(held) = client.held.as_ref() else {
            // The one before was given up.
            get_lease(flight).await?;
            continue;
        };
        if client.worker.desk.plan_generation() > client.view.generation() {
            // The token may be of the plan that comes next.
            await_plan(client).await?;
            continue;
        }
        debug!(
            worker = client.worker.seat(),
            slot = held.lease().slot().get(),
            "token of another origin: not used"
        );
        if let Some(held) = client.held.take() {
            held.give_up();
        }
    }
}

async fn await_plan(client: &mut Client) -> Result<(), Failure> {
    let limit = client.bounded(Some(PLAN_LIMIT));
    let worker = &*client.worker;
    let plan = worker.plan_after(client.view.generation());
    let (timer, wire) = (&client.timer, &mut client.wire);
    match attend(&worker.clock, timer, wire, AtEnd::Stay, limit, plan).await {
        // Of a worker that its supervisor cannot reach, and will replace.
        Err(Interrupt::Late) => Err(Failure::Reply(client.give_up().unwrap_or_else(|| {
            Reply::no_token("this worker does not know the server in force")
        }))),
        outcome => Ok(outcome?),
    }
}

/// Tells the supervisor that the upstream cannot be reached. Where sessions are kept at each address and this one stays
/// away, the token is given up: the next login draws one elsewhere.
pub(crate) fn note_unreachable(client: &mut Client, upstream: &Upstream, origin: Origin) {
    client.notes.has_head(None);
    client.worker.report_unreachable();
    let now = client.worker.clock.now();
    let has_given_up = upstream.has_given_up(origin, now);
    if let Some(held) = client.held.as_mut().filter(|_| has_given_up) {
        let (of, version) = held.origin();
        if of == origin {
            held.lease().report_refused(version);
        }
    }
}
