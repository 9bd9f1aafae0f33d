//! Where a request goes: a connection to the upstream, kept or new.

use std::time::Duration;

use tpp::pool::Origin;

use crate::{
    gateway::{
        attempt::Attempt,
        client::Client,
        flight::{Failure, Flight},
        origin::{fit, note_unreachable},
    },
    message::reply::Reply,
    upstream::{Link, transport::Unreachable},
    wire::attend::{AtEnd, attend},
};

/// A connection to the upstream for the next attempt.
pub(crate) async fn choose(flight: &mut Flight<'_>) -> Result<Attempt, Failure> {
    let origin = fit(flight).await?;
    let client = &mut *flight.client;
    let now = client.worker.clock.now();
    if flight.may_reuse
        && let Some(link) = client.view.upstream.reuse(origin, now)
    {
        return Ok(Attempt::new(link, origin, true));
    }
    connect(client, origin)
        .await?
        .map(|link| Attempt::new(link, origin, false))
        .map_err(|unreachable| {
            note_unreachable(client, origin);
            Failure::Reply(if unreachable.is_slow() {
                Reply::gateway_timeout("the upstream did not accept the connection in time")
            } else {
                Reply::bad_gateway(unreachable.to_string())
            })
        })
}

async fn connect(
    client: &mut Client,
    origin: Origin,
) -> Result<Result<Link, Unreachable>, Failure> {
    let now = client.worker.clock.now();
    // The connect has limits of its own.
    let limit: Option<Duration> = None;
    attend(
        &client.worker,
        &client.timer,
        &mut client.wire,
        AtEnd::Stay,
        limit,
        // Boxed, so that a connection that is made but once does not take its room in every task.
        Box::pin(client.view.upstream.connect(origin, now)),
    )
    .await
    .map_err(Failure::from)
}
