//! A request on its way: what its steps know and change.

use std::sync::Arc;

use tpp::shared::{Rejection, WaitEnd};

use crate::{
    gateway::{client::Client, held::Held, upload::Upload},
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
    /// `None`: it has not met any.
    pub(crate) trouble: Option<Box<Trouble>>,
    /// Its token may be exchanged for one of another backend.
    pub(crate) may_change_token: bool,
    /// The client's connection ends with the answer: it is for another pool than before.
    pub(crate) is_last: bool,
}

/// What few requests meet: backends that fail, tokens that are refused.
#[derive(Default)]
pub(crate) struct Trouble {
    /// Those that could not be reached.
    pub(crate) tried: Vec<Arc<Backend>>,
    /// What is said if no other one can be tried.
    pub(crate) unreachable: Option<Failure>,
    pub(crate) retrying: Option<Retrying>,
    /// When the token was drawn that was refused, if this very request was sent again because of it.
    pub(crate) refused_token: Option<u64>,
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
            trouble: None,
            may_change_token: true,
            is_last: false,
        }
    }
}

impl Flight<'_> {
    /// When it is cut, by the worker's clock, and by which bound: it has been under way long enough, or the lease, or without one the
    /// permit, has been held long enough and the grace is over.
    pub(crate) fn cut(&self) -> (u64, WaitEnd) {
        let held = self.client.held.as_ref().map(Held::since);
        let permitted_at = || self.client.holdings.get()?.permitted_at;
        self.client.cut(held.or_else(permitted_at))
    }

    /// What it meets.
    pub(crate) fn trouble(&mut self) -> &mut Trouble {
        self.trouble.get_or_insert_default()
    }

    /// Counts it as refused by a limit.
    pub(crate) fn count_refusal(&self, cause: Rejection) {
        if let Some(tally) = self.client.holdings.tally() {
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
