//! One attempt to get an answer: a connection to the upstream, and how far what is said on it has come.

use std::{future::poll_fn, io, net::SocketAddr, sync::Arc};

use tpp::ids::Origin;
use tpp::shared::WaitEnd;

use crate::{
    gateway::{
        breaker, flight::Flight, pace::Direction, sent::Counted, tunnel::Tunnel, upload::Upload,
    },
    http1::answer::{Answer, Head, Nonsense},
    http1::body::{Body, Frame},
    upstream::Link,
    view::backend::Backend,
    wire::Wire,
};

/// Why an attempt broke off.
#[derive(Debug)]
pub(crate) enum Break {
    /// The client left.
    ClientGone,
    /// Somebody kept us waiting for too long.
    Late(WaitEnd),
    /// The body's frame is broken.
    BadBody,
    /// The upstream ended the connection too early.
    UpstreamEnded,
    /// The connection to the upstream broke.
    UpstreamLost(io::Error),
    /// The upstream does not speak HTTP/1.
    Nonsense(&'static str),
    /// The worker closes what is left.
    Cut,
}

impl From<Nonsense> for Break {
    fn from(Nonsense(details): Nonsense) -> Self {
        Self::Nonsense(details)
    }
}

/// One attempt.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) backend: Arc<Backend>,
    /// Under way at its backend, over all workers, if that is counted.
    pub(crate) counted: Option<Counted>,
    pub(crate) wire: Box<Wire>,
    /// Where it leads.
    pub(crate) address: SocketAddr,
    /// Of the tokens that may go there.
    pub(crate) origin: Origin,
    pub(crate) state: State,
    /// The connection was used before.
    pub(crate) is_reused: bool,
    /// Version of the token that the request carries.
    pub(crate) version: u64,
}

/// What an attempt is begun with.
pub(crate) struct Chosen {
    pub(crate) backend: Arc<Backend>,
    pub(crate) counted: Option<Counted>,
    pub(crate) link: Link,
    pub(crate) is_reused: bool,
}

/// How far an attempt is.
#[derive(Debug)]
pub(crate) struct State {
    /// Some byte of the request has gone out.
    pub(crate) is_sent: bool,
    /// The upstream has said something.
    pub(crate) heard: bool,
    /// The final head of the answer is there.
    pub(crate) is_begun: bool,
    /// The last head that came of it.
    pub(crate) head: Head,
    /// Where in the client's outbox the answer begins, as long as nothing of it is delivered.
    pub(crate) answer_at: usize,
    /// Something of the answer is delivered.
    pub(crate) is_delivered: bool,
    /// The client took nothing when it was last offered something of the answer.
    pub(crate) client_is_full: bool,
    /// The upstream takes no more of the request; its answer may be there all the same.
    pub(crate) upload_broke: Option<io::Error>,
    pub(crate) tunnel: Option<Tunnel>,
    /// An interim answer said that the upstream's connection ends.
    pub(crate) was_closing: bool,
    /// Of the answer.
    pub(crate) body: Body,
    pub(crate) frame: Frame,
    pub(crate) is_over: bool,
    /// The request on its way.
    pub(crate) up: Direction,
    /// The answer on its way.
    pub(crate) down: Direction,
    /// When the client was first seen to have ended its side, or took something after that, by the worker's clock.
    pub(crate) half_closed_at: Option<u64>,
}

impl Attempt {
    /// One that goes out now.
    pub(crate) fn new(chosen: Chosen) -> Self {
        let mut counted = chosen.counted;
        if let Some(counted) = &mut counted {
            counted.goes_out();
        }
        Self {
            counted,
            backend: chosen.backend,
            wire: chosen.link.wire,
            address: chosen.link.address,
            origin: chosen.link.origin,
            is_reused: chosen.is_reused,
            version: 0,
            state: State {
                is_sent: false,
                heard: false,
                is_begun: false,
                head: Head::Interim { closes: false },
                answer_at: 0,
                is_delivered: false,
                client_is_full: false,
                upload_broke: None,
                tunnel: None,
                was_closing: false,
                body: Body::EMPTY,
                frame: Frame::Plain,
                is_over: false,
                up: Direction::default(),
                down: Direction::default(),
                half_closed_at: None,
            },
        }
    }

    /// Sends the request, and as much of its body as there is, until the head of the answer has come.
    pub(crate) async fn head(&mut self, flight: &mut Flight<'_>) -> Result<(), Break> {
        poll_fn(|cx| self.poll_head(flight, cx)).await?;
        self.state.is_begun = true;
        if let Some(counted) = &mut self.counted {
            counted.is_answered();
        }
        match &self.state.head {
            Head::Final(Answer { body, frame, .. }) => {
                (self.state.body, self.state.frame) = (*body, *frame);
            }
            Head::Switched => {
                flight.upload = Upload::tunnel();
                self.state.body = Body::UntilClose;
                self.state.tunnel = Some(Tunnel::default());
            }
            Head::Interim { .. } => {}
        }
        Ok(())
    }

    /// Passes on what is left of the request, and the answer's body to its end; of a tunnel, all until both sides have
    /// ended.
    pub(crate) async fn rest(&mut self, flight: &mut Flight<'_>) -> Result<(), Break> {
        poll_fn(|cx| {
            breaker::note_progress(flight);
            self.poll_rest(flight, cx)
        })
        .await
    }

    /// Takes the answer back, if nothing of it is delivered. Returns whether it did.
    pub(crate) fn withdraw(&mut self, flight: &mut Flight<'_>) -> bool {
        let undelivered = !self.state.is_delivered;
        if undelivered && self.state.is_begun {
            flight.client.wire.outbox.truncate(self.state.answer_at);
        }
        undelivered
    }

    /// Whether the request can be sent again: no part of an answer has come, what went out was kept, and it changes
    /// nothing, or was not even sent once. One that may be repeated by its client, PUT or DELETE, is the client's to repeat.
    pub(crate) fn can_begin_again(&self, flight: &Flight<'_>) -> bool {
        let is_harmless = flight.request.is_safe || !self.state.is_sent;
        !self.state.heard && is_harmless && flight.upload.can_replay()
    }

    /// Whether the upstream's connection is where a next request can begin.
    pub(crate) fn upstream_is_clean(&self, flight: &Flight<'_>) -> bool {
        matches!(self.state.head, Head::Final(answer) if answer.upstream_stays)
            && flight.upload.is_over()
            && self.state.upload_broke.is_none()
            && !self.wire.has_unsent()
            && self.wire.inbox.is_empty()
    }

    /// Whether the upstream has the whole request, or may have it, and has not ended its answer.
    pub(crate) fn upstream_is_at_work(&self, flight: &Flight<'_>) -> bool {
        let has_all = self.state.tunnel.is_some() || flight.upload.is_over();
        has_all && self.state.is_sent && self.state.upload_broke.is_none() && !self.state.is_over
    }
}
