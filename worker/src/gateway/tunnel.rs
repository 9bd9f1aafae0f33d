//! Of a tunnel (a WebSocket), how each half ends: the end of one is passed on, and the other one goes on under a bound.

use std::task::{Context, Poll};

use crate::{
    gateway::{attempt::Attempt, flight::Flight, pace::Turn},
    wire::Wire,
};

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
}

impl Attempt {
    /// Passes on the ends of a tunnel's halves. Returns whether anything moved; ready: it is over.
    pub(crate) fn poll_ends(
        &mut self,
        flight: &mut Flight<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<bool> {
        let Some(tunnel) = &mut self.state.tunnel else {
            return Poll::Pending;
        };
        if self.state.upload_broke.is_some() {
            tunnel.up = Half::Ended;
        }
        let mut moved = tunnel.up.pass_end(&mut self.wire, cx);
        moved |= tunnel.down.pass_end(&mut flight.client.wire, cx);
        if tunnel.is_over() {
            return Poll::Ready(true);
        }
        if moved {
            return Poll::Ready(false);
        }
        Poll::Pending
    }
}
