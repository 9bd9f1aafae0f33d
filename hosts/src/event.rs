//! What the core is told.
use crate::account::{Account, Session};
use crate::engine::{Header, Item, Outcome, Ticket};
use crate::settings::Settings;

/// Something that happened. Each is told once, in the order in which it was learnt.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Event {
    /// Nothing but time went by. Due at [`Core::wake`](crate::Core::wake), harmless at any time.
    Tick,
    /// The answer to [`Order::List`](crate::Order::List): all keys below the root, at the header's revision.
    Listing(Ticket, Header, Vec<Item>),
    /// [`Order::List`](crate::Order::List) was not answered within its time, or with an error.
    Unlisted(Ticket),
    /// The watch, with its answer's header: one or more changes in order of revision. Several of one revision may come apart.
    Changed(Header, Vec<Item>),
    /// The watch ended, was cancelled, or its begin is compacted away. Tell it once; the core lists again.
    WatchLost,
    /// The answer to [`Order::Send`](crate::Order::Send): exactly one for each.
    Answer(Ticket, Outcome),
    /// What the local pool does. Tell it each second; while anybody waits or sessions are sought, each 100 ms; and at once when
    /// the first waiter has waited for 50 ms.
    Pool(PoolSeen),
    /// A session that was withdrawn was found free: no connection holds it. Its token may still be there.
    Idle(Session),
    /// A session's token is gone from the region, and logged out at the server if the provider can.
    Wiped(Session),
    /// The answer to [`Order::Float`](crate::Order::Float): in the region, for every worker and for a successor, the session is a
    /// floating one.
    Floats(Session, Ticket),
    /// The server refuses this account's login.
    Refused(Account),
    /// The configuration was loaded anew. Name, machine, cluster, prefix and upstream are as before: a change of those is a
    /// leave and a start.
    Settings(Box<Settings>),
    /// The pool is gone: no session of it is in use, and none has a token. As [`Event::Leave`], with nothing to wait for.
    Gone,
    /// tpp is to end, or `tppctl hosts drain`: give all away. [`Order::Left`](crate::Order::Left) says when nothing is left.
    Leave,
}

/// The local pool at an instant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct PoolSeen {
    /// Who waits.
    pub waiting: u32,
    /// For how long the first has waited, ms.
    pub oldest_ms: u64,
    /// Every session that was ordered to be lent, or is on its way out.
    pub sessions: Vec<(Session, Use)>,
}

/// What a session does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Use {
    /// It has no token yet.
    Coming,
    /// It has a token and nobody holds it.
    Free,
    /// It is held.
    Busy,
}

/// An operator's wish.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Command {
    /// `tppctl hosts give N HOST`: as sessions fall free.
    Give {
        /// How many.
        count: u32,
        /// To whom.
        to: String,
    },
    /// `tppctl hosts release NAME --it-is-off`: all its sessions may be taken now. Only a person can know that it is off.
    Release {
        /// The silent host.
        name: String,
    },
    /// `tppctl hosts drain --end`: after [`Event::Leave`] it stays, or is in again. What was given stays given.
    Stay,
    /// `tppctl hosts adopt`: the store is another, or an older, and is right: begin anew in it. Only when no host lends from
    /// what the store knew before: all are drained, or `home_takeover` is over.
    Adopt,
}
