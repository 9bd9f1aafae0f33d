//! Of a tunnel (a WebSocket), how each half ends: the end of one is passed on, and the other one goes on under a bound.

use std::task::{Context, Poll};

use crate::{gateway::pace::Turn, wire::Wire};

/// A tunnel's two halves.
#[derive(Debug, Default)]
pub(crate) struct Tunnel {
    /// From the client to the upstream.
    pub(crate) up: Half,
    /// From the upstream to the client.
    pub(crate) down: Half,
}

/// One half of a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Half {
    #[default]
    Open,
    /// Its sender has ended; what it sent, and its end, are still to be passed on.
    Ending,
    /// Its end was passed on, or cannot be.
    Ended,
}

impl Half {
    /// Passes the end on to `to`, once all before it is sent. Returns whether it did now.
    fn pass_end(&mut self, to: &mut Wire, cx: &mut Context<'_>) -> bool {
        let ends = *self == Self::Ending && !to.has_unsent() && to.poll_end(cx).is_ready();
        if ends {
            *self = Self::Ended;
        }
        ends
    }
}

impl Tunnel {
    /// Whether both halves have ended.
    fn is_over(&self) -> bool {
        self.up == Half::Ended && self.down == Half::Ended
    }

    /// Whose turn it is in a half when nothing waits to be sent in it.
    pub(crate) fn turn(&self, half: Half) -> Turn {
        match half {
            Half::Ended => Turn::Nobody,
            _ if self.up == Half::Open && self.down == Half::Open => Turn::Tunnel,
            _ => Turn::HalfTunnel,
        }
    }

    /// Passes on the ends of both halves; `takes_no_more`: the upstream takes nothing any more. Returns whether anything moved;
    /// pending: nothing did, ready with true: it is over.
    pub(crate) fn poll_ends(
        &mut self,
        client: &mut Wire,
        upstream: &mut Wire,
        takes_no_more: bool,
        cx: &mut Context<'_>,
    ) -> Poll<bool> {
        if takes_no_more {
            self.up = Half::Ended;
        }
        let mut moved = self.up.pass_end(upstream, cx);
        moved |= self.down.pass_end(client, cx);
        if self.is_over() {
            Poll::Ready(true)
        } else if moved {
            Poll::Ready(false)
        } else {
            Poll::Pending
        }
    }
}
