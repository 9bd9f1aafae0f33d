//! Where a request goes: a connection to the upstream, kept or new.

use std::time::Duration;

use crate::{
    gateway::{
        attempt::Attempt,
        client::Client,
        flight::{Failure, Flight},
    },
    message::reply::Reply,
    upstream::transport::Unreachable,
    wire::{
        Wire,
        attend::{AtEnd, attend},
    },
};

/// A connection to the upstream for the next attempt.
pub(crate) async fn choose(flight: &mut Flight<'_>) -> Result<Attempt, Failure> {
    let client = &mut *flight.client;
    if flight.may_reuse
        && let Some(wire) = client.view.upstream.reuse(client.worker.clock.now())
    {
        return Ok(Attempt::new(wire, true));
    }
    let mut connected = connect(client).await?;
    if matches!(connected, Err(Unreachable::NoAddress)) {
        client.worker.look();
        if client.worker.renew(&mut client.view) {
            connected = connect(client).await?;
        }
    }
    connected
        .map(|wire| Attempt::new(wire, false))
        .map_err(|unreachable| {
            client.worker.desk.report_unreachable();
            Failure::Reply(if unreachable.is_slow() {
                Reply::gateway_timeout("the upstream did not accept the connection in time")
            } else {
                Reply::bad_gateway(unreachable.to_string())
            })
        })
}

async fn connect(client: &mut Client) -> Result<Result<Wire, Unreachable>, Failure> {
    // The connect has limits of its own.
    let limit: Option<Duration> = None;
    attend(
        &client.worker,
        &client.timer,
        &mut client.wire,
        AtEnd::Stay,
        limit,
        // Boxed, so that a connection that is made but once does not take its room in every task.
        Box::pin(client.view.upstream.connect()),
    )
    .await
    .map_err(Failure::from)
}
