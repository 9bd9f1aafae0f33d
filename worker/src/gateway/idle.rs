//! When nothing can move: who is waited for, since when, and for how long.

use std::{
    hint::cold_path,
    task::{Context, Poll},
    time::Duration,
};

use tpp::shared::WaitEnd;

use crate::{
    clock::{TICK, due, millis},
    gateway::{
        attempt::{Attempt, Break},
        flight::Flight,
        pace::Turn,
        tunnel::{Half, Tunnel},
    },
    rarely::{Likely as _, seldom},
    wire::attend::{Presence, presence},
};

/// How often a client that has ended its side is asked whether it is still there.
const PROBE: Duration = Duration::from_secs(1);

impl Attempt {
    /// Nothing more can be done now: watches the client and the time.
    pub(super) fn poll_idle<T>(
        &mut self,
        flight: &mut Flight<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, Break>> {
        let (up, down) = self.turns(flight);
        // A tunnel is silent only if both sides are; and a client that reads its answer may take its time to send.
        let anew =
            self.state.is_begun && (self.state.up.has_moved() || self.state.down.has_moved());
        let reads = self.state.down.has_moved();
        let (cut, cut_by) = flight.cut();
        let client = &mut *flight.client;
        let now = client.worker.clock.now();
        let settings = &*client.settings;
        let late = |end| {
            cold_path();
            Poll::Ready(Err(Break::Late(end)))
        };
        let anew_up = anew && matches!(up, Turn::Tunnel | Turn::HalfTunnel | Turn::ClientSends);
        let anew_down = anew && matches!(down, Turn::Tunnel | Turn::HalfTunnel);
        let mut next = match self.state.up.look(up, anew_up, now, settings) {
            Ok(due) => due,
            Err(end) => return late(end),
        };
        match self.state.down.look(down, anew_down, now, settings) {
            Ok(due) => next = next.min(due),
            Err(end) => return late(end),
        }
        if cut <= now {
            return late(cut_by);
        }
        next = next.min(cut);
        if flight.upload.is_over() {
            next = next.min(self.watch_client(flight, cx, now, reads).likely()?);
        }
        let client = &*flight.client;
        client.timer.set_due(next);
        if seldom(client.timer.is_cut()) {
            return Poll::Ready(Err(Break::Cut));
        }
        Poll::Pending
    }

    /// Looks after a client that has nothing more to send: when to do so again. One that has ended its side may be gone, so
    /// it is not waited for without end, unless it can be seen to read.
    fn watch_client(
        &mut self,
        flight: &mut Flight<'_>,
        cx: &mut Context<'_>,
        now: u64,
        reads: bool,
    ) -> Result<u64, Break> {
        match presence(&mut flight.client.wire, cx) {
            Presence::Here => Ok(u64::MAX),
            Presence::Gone => Err(Break::ClientGone),
            Presence::Ended => self.watch_half_closed(flight, now, reads),
        }
    }

    #[cold]
    fn watch_half_closed(
        &mut self,
        flight: &Flight<'_>,
        now: u64,
        reads: bool,
    ) -> Result<u64, Break> {
        if reads {
            self.state.half_closed_at = Some(now);
        }
        let since = *self.state.half_closed_at.get_or_insert(now);
        let limit = flight.client.settings.lease.abandoned_wait;
        let end = due(since, Some(limit));
        if end <= now {
            return Err(Break::Late(WaitEnd::HalfClosed));
        }
        Ok(end.min(now + millis(PROBE).max(millis(TICK))))
    }

    /// Whose turn it is, of the request and of the answer.
    fn turns(&self, flight: &Flight<'_>) -> (Turn, Turn) {
        let state = &self.state;
        let client_has_unread = flight.client.wire.has_unsent() || state.client_is_full;
        if let Some(tunnel) = &state.tunnel {
            return self.turns_in(tunnel, client_has_unread);
        }
        let up = if state.upload_broke.is_some() {
            Turn::Nobody
        } else if self.wire.has_unsent() {
            if state.is_begun {
                Turn::UpstreamReadsOn
            } else {
                Turn::UpstreamReads
            }
        } else if flight.upload.is_over() || self.is_to_say_go_on(flight) {
            Turn::Nobody
        } else {
            Turn::ClientSends
        };
        let down = if client_has_unread {
            Turn::ClientReads
        } else if state.is_begun && !state.is_over {
            Turn::UpstreamSends
        } else if !state.is_begun && up == Turn::Nobody {
            Turn::UpstreamHead
        } else {
            Turn::Nobody
        };
        (up, down)
    }

    /// The same of a tunnel.
    #[inline(never)]
    fn turns_in(&self, tunnel: &Tunnel, client_has_unread: bool) -> (Turn, Turn) {
        let up = if self.wire.has_unsent() || tunnel.up == Half::Ending {
            Turn::UpstreamReadsOn
        } else {
            tunnel.turn(tunnel.up)
        };
        let down = if client_has_unread || tunnel.down == Half::Ending {
            Turn::ClientReads
        } else {
            tunnel.turn(tunnel.down)
        };
        (up, down)
    }

    /// Whether the client waits for the upstream's word before it sends its body.
    fn is_to_say_go_on(&self, flight: &Flight<'_>) -> bool {
        flight.request.expects_continue
            && !self.state.heard
            && !flight.upload.has_begun(flight.request)
    }
}
