//! What the upstream still does for a client that left, or waited too long: its token is not lent to the next one as long as
//! that goes on (`lease.abandoned`).

use std::{future::poll_fn, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use bytes::{Buf as _, BytesMut};
use tokio::time::timeout;
use tpp::{config::Abandoned, ids::Origin, lending::Lease, shared::WaitEnd};
use tracing::debug;

use crate::{
    gateway::{
        attempt::{Attempt, State},
        flight::Flight,
        head,
        held::Held,
        record,
        sent::Counted,
    },
    http1::answer::{Answer, Head, Nonsense},
    http1::body::{Body, Piece},
    http1::request::Request,
    http1::write::Seal,
    upstream::Link,
    view::backend::Backend,
    wire::Wire,
    worker::Worker,
};

/// An answer that nobody waits for.
struct Leftover {
    worker: Arc<Worker>,
    backend: Arc<Backend>,
    /// How long it is waited for.
    limit: Duration,
    /// Its token is marked as spent: whatever becomes of this, it is not lent on but after the answer's end.
    held: Held,
    /// It is still one of those under way.
    _permits: Option<[Option<Lease>; 2]>,
    _counted: Option<Counted>,
    wire: Box<Wire>,
    /// Where it leads.
    address: SocketAddr,
    /// Of the tokens that may go there.
    origin: Origin,
    request: Request,
    body: Body,
    is_begun: bool,
    /// The upstream's connection can be used again afterwards.
    stays: bool,
    /// For how long, if it says so.
    keep_for: Option<Duration>,
    /// An interim answer said that it ends.
    was_closing: bool,
}

/// Sees to it that the token of a request on which the upstream is still at work is not lent on at once. The lease goes with
/// it.
pub(crate) fn leave(flight: &mut Flight<'_>, attempt: Attempt) {
    let client = &mut *flight.client;
    let mode = client.settings.lease.abandoned;
    if mode == Abandoned::Release {
        return;
    }
    let Some(mut held) = client.held.take() else {
        return;
    };
    client.has_lost_its_lease = true;
    held.mark_spent();
    let Attempt {
        backend,
        counted,
        wire,
        address,
        origin,
        state,
        ..
    } = attempt;
    let State {
        tunnel,
        body,
        is_begun,
        ..
    } = state;
    // A tunnel has no end of its own to wait for.
    if mode == Abandoned::Login || tunnel.is_some() {
        return;
    }
    let sheet = client.holdings.get_mut();
    let permits = sheet.map(|sheet| [sheet.permit.take(), sheet.backend_permit.take()]);
    let leftover = Leftover {
        worker: Arc::clone(&client.worker),
        limit: client.settings.lease.abandoned_wait,
        backend,
        held,
        _counted: counted,
        wire,
        address,
        origin,
        request: *flight.request,
        _permits: permits,
        body,
        is_begun,
        stays: !is_begun,
        keep_for: None,
        was_closing: false,
    };
    // It counts as no connection, so that no drain waits for it: should the worker end before it does, the mark stays.
    tokio::spawn(leftover.wait());
}

impl Leftover {
    /// Waits for the end of the answer; then the lease ends. Unless it is taken back before.
    async fn wait(self) {
        let worker = Arc::clone(&self.worker);
        let timer = worker.timers.add_here().await;
        timer.leash.bind(self.held.lease());
        let waiting = pin!(self.wait_for_the_end());
        timer.leash.hold(&worker.looks, waiting).await;
    }

    async fn wait_for_the_end(mut self) {
        match timeout(self.limit, self.read_to_end()).await {
            Ok(Ok(())) => {
                self.held.mark_sound();
                if self.stays && self.wire.inbox.is_empty() {
                    let link = Link {
                        wire: self.wire,
                        address: self.address,
                        origin: self.origin,
                    };
                    let now = self.worker.clock.now();
                    self.backend.upstream.keep(link, self.keep_for, now);
                }
            }
            Ok(Err(error)) => {
                debug!(worker = self.worker.seat(), %error, "what was left of an answer broke off");
            }
            Err(_) => record::wait_ended(&self.worker, Some(&self.held), WaitEnd::Abandoned),
        }
    }

    async fn read_to_end(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.wire.poll_send(cx)).await?;
        loop {
            if self.look()? {
                return Ok(());
            }
            if poll_fn(|cx| self.wire.poll_fill(cx)).await? == 0 {
                return if self.is_begun && self.body == Body::UntilClose {
                    Ok(())
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
        }
    }

    /// Discards what is there. Whether that was the end.
    fn look(&mut self) -> io::Result<bool> {
        let mut discarded = BytesMut::new();
        let nonsense = |_| io::Error::from(io::ErrorKind::InvalidData);
        while !self.is_begun {
            let seal = Seal {
                close: false,
                keep_alive: None,
                date: b"",
                fields: b"",
                hsts: b"",
                request_id: b"",
            };
            let read = head::pass(&self.wire.inbox, &self.request, seal, &mut discarded);
            let Some((head, length)) = read
                .map_err(|Nonsense(details)| io::Error::new(io::ErrorKind::InvalidData, details))?
            else {
                return Ok(false);
            };
            self.wire.inbox.advance(length);
            match head {
                Head::Interim { closes } => self.was_closing |= closes,
                Head::Final(Answer {
                    body,
                    upstream_stays,
                    keep_for,
                    ..
                }) => {
                    (self.body, self.is_begun) = (body, true);
                    self.stays = upstream_stays && !self.was_closing;
                    self.keep_for = keep_for;
                }
                // Nobody is there to speak on.
                Head::Switched => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
        loop {
            match self
                .body
                .next(&mut self.wire.inbox)
                .map_err(|_| ())
                .map_err(nonsense)?
            {
                Piece::Content(length) | Piece::Trailer(length) => {
                    self.body.took(length);
                    self.wire.inbox.advance(length);
                }
                Piece::End => return Ok(true),
                Piece::More => return Ok(false),
            }
        }
    }
}
