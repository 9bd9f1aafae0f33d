//! A request on its way: what its steps know and change.

use std::sync::Arc;

use tpp::{
    lending::{Asked, Lease},
    shared::{Rejection, WaitEnd},
};

use crate::{
    gateway::{client::Client, held::Held, tally::Tally, upload::Upload},
    http1::request::Request,
    message::head::Head,
    message::reply::Reply,
    view::{
        backend::Backend,
        site::{Group, Site},
    },
    wire::attend::Interrupt,
    worker::budget::Retrying,
};

/// A request on its way.
pub(crate) struct Flight<'a> {
    pub(crate) client: &'a mut Client,
    pub(crate) request: &'a Request,
    pub(crate) head: &'a Head,
    /// Whom it is for.
    pub(crate) site: Arc<Site>,
    /// Those that may serve it.
    pub(crate) group: Arc<Group>,
    pub(crate) upload: Upload,
    /// A connection to the upstream that was used before will do.
    pub(crate) may_reuse: bool,
    /// The upstream has refused a token of this request already.
    pub(crate) was_refused: bool,
    /// A backend has said that it did not even look at it.
    pub(crate) was_turned_away: bool,
    /// What its host counts of it, if it counts.
    pub(crate) tally: Option<Tally>,
    /// When that token was drawn, if this very request was sent again because of it.
    pub(crate) refused_token: Option<u64>,
    /// `None`: it has not met any.
    pub(crate) trouble: Option<Box<Trouble>>,
    /// Its token may be exchanged for one of another backend.
    pub(crate) may_change_token: bool,
    /// Leave of the host's breaker, until what came of it is told.
    pub(crate) asked: Option<Asked>,
    /// The same of the breaker for the backend alone.
    pub(crate) asked_backend: Option<Asked>,
    /// When the head of its answer came, by the worker's clock, if a breaker waits for the rest.
    pub(crate) answered_at: u64,
    /// Of the host: one of so many that may be under way.
    pub(crate) permit: Option<Lease>,
    /// The same of the backend.
    pub(crate) backend_permit: Option<Lease>,
    /// When it had the last of them, by the worker's clock.
    pub(crate) permitted_at: Option<u64>,
    /// Lines of the gateway's own for the answer.
    pub(crate) answer_fields: Vec<u8>,
    /// So much of them does not depend on the backend.
    pub(crate) kept_fields: usize,
    /// The client's connection ends with the answer: it is for another pool than before.
    pub(crate) is_last: bool,
}

/// What few requests meet: backends that fail.
#[derive(Default)]
pub(crate) struct Trouble {
    /// Those that could not be reached.
    pub(crate) tried: Vec<Arc<Backend>>,
    /// What is said if no other one can be tried.
    pub(crate) unreachable: Option<Failure>,
    pub(crate) retrying: Option<Retrying>,
}

impl<'a> Flight<'a> {
    pub(crate) fn new(
        client: &'a mut Client,
        request: &'a Request,
        head: &'a Head,
        (site, group): (Arc<Site>, Arc<Group>),
    ) -> Self {
        Self {
            client,
            request,
            head,
            site,
            group,
            upload: Upload::new(request),
            may_reuse: true,
            was_refused: false,
            was_turned_away: false,
            tally: None,
            refused_token: None,
            trouble: None,
            may_change_token: true,
            asked: None,
            asked_backend: None,
            answered_at: 0,
            permit: None,
            backend_permit: None,
            permitted_at: None,
            answer_fields: Vec::new(),
            kept_fields: 0,
            is_last: false,
        }
    }
}

impl Flight<'_> {
    /// When it is cut, by the worker's clock, and by which bound: it has been under way long enough, or the lease, or without one the
    /// permit, has been held long enough and the grace is over.
    pub(crate) fn cut(&self) -> (u64, WaitEnd) {
        let held = self.client.held.as_ref().map(Held::since);
        self.client.cut(held.or(self.permitted_at))
    }

    /// What it meets.
    pub(crate) fn trouble(&mut self) -> &mut Trouble {
        self.trouble.get_or_insert_default()
    }

    /// Counts it as refused by a limit.
    pub(crate) fn count_refusal(&self, cause: Rejection) {
        if let Some(tally) = &self.tally {
            tally.refused(cause);
        }
    }
}

/// What follows an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another request may come.
    Request,
    /// The connection ends, in order.
    End,
    /// It ends at once: nobody listens, or an answer was cut short and its framing says so.
    Drop,
    /// It ends by a reset: an answer was cut short, and nothing else would tell.
    Reset,
}

/// Why a step did not lead to the next one.
#[derive(Debug)]
pub(crate) enum Failure {
    /// tpp answers.
    Reply(Reply),
    /// Nobody is there to be answered, or half an answer is out.
    Over(Next),
}

impl From<Interrupt> for Failure {
    fn from(interrupt: Interrupt) -> Self {
        match interrupt {
            Interrupt::Gone => Self::Over(Next::Drop),
            Interrupt::Late => Self::Reply(Reply::gateway_timeout("it took too long")),
            Interrupt::Cut => Self::Reply(Reply::no_token("this worker is being replaced")),
        }
    }
}
