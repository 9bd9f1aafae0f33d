//! A request on its way: what its steps know and change.

use crate::{
    gateway::{client::Client, upload::Upload},
    http1::request::Request,
    message::head::Head,
    message::reply::Reply,
    wire::attend::Interrupt,
};

/// A request on its way.
pub(crate) struct Flight<'a> {
    pub(crate) client: &'a mut Client,
    pub(crate) request: &'a Request,
    pub(crate) head: &'a Head,
    pub(crate) upload: Upload,
    /// A connection to the upstream that was used before will do.
    pub(crate) may_reuse: bool,
    /// The upstream has refused a token of this request already.
    pub(crate) was_refused: bool,
    /// When that token was drawn, if this very request was sent again because of it.
    pub(crate) refused_token: Option<u64>,
    /// The lease stays with what the upstream still does: the client's connection ends, for it keeps its slot or none.
    pub(crate) has_lost_its_lease: bool,
}

impl<'a> Flight<'a> {
    pub(crate) fn new(client: &'a mut Client, request: &'a Request, head: &'a Head) -> Self {
        Self {
            client,
            request,
            head,
            upload: Upload::new(request),
            may_reuse: true,
            was_refused: false,
            refused_token: None,
            has_lost_its_lease: false,
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
