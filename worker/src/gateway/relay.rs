//! A request and its answer between two wires, both directions at once.

use std::{
    io,
    task::{Context, Poll},
};

use bytes::Buf as _;

use crate::{
    gateway::{
        attempt::{Attempt, Break},
        flight::Flight,
        head,
        held::Held,
        tunnel::Half,
    },
    http1::answer::Head,
    http1::body::{BadFrame, Body, Frame, Piece},
    http1::write::Seal,
    rarely::{Likely as _, seldom},
    wire::{HIGH_WATER, spare::consume},
};

impl Attempt {
    pub(crate) fn poll_head(
        &mut self,
        flight: &mut Flight<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Break>> {
        loop {
            // All of it that can go now goes: what follows depends on it no more than it on that.
            self.poll_upload(flight, cx).likely()?;
            let mut moves = false;
            // Interim answers do not wait for the final one, and it waits for them.
            if flight.client.wire.outbox.len() < HIGH_WATER {
                match self.wire.poll_fill(cx) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(self.upstream_ended())),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(self.upstream_lost(error))),
                    Poll::Ready(Ok(_)) => {
                        self.state.heard = true;
                        self.state.down.stirred();
                        moves = true;
                        if self.read_head(flight).likely()? {
                            return Poll::Ready(Ok(()));
                        }
                    }
                    Poll::Pending => {}
                }
            }
            moves |= self.poll_deliver(flight, cx).likely()?;
            if !moves {
                break;
            }
        }
        self.poll_idle(flight, cx)
    }

    /// Whether the final head is there, which is passed on then.
    fn read_head(&mut self, flight: &mut Flight<'_>) -> Result<bool, Break> {
        let client = &mut *flight.client;
        let is_held_too_long = client
            .hold_end()
            .is_some_and(|end| end <= client.worker.clock.now());
        let has_lapsed = client.held.as_ref().is_some_and(Held::has_lapsed);
        let close = is_held_too_long
            || has_lapsed
            || client.worker.is_draining()
            || !flight.upload.is_over()
            || flight.is_last;
        client.wire.reserve_outbox();
        let seal = Seal {
            close,
            keep_alive: client.keep_alive(),
            date: &client.worker.clock.date_line(),
            fields: client.holdings.answer_fields(),
            hsts: client.hsts.as_deref().unwrap_or_default(),
            request_id: client.notes.id_line(),
        };
        loop {
            let before = client.wire.outbox.len();
            let Some((head, length)) = head::pass(
                &self.wire.inbox,
                flight.request,
                seal,
                &mut client.wire.outbox,
            )?
            else {
                return Ok(false);
            };
            consume(&mut self.wire.inbox, length);
            self.state.head = head;
            match &mut self.state.head {
                Head::Interim { closes } => {
                    self.state.was_closing |= *closes;
                    continue;
                }
                Head::Final(answer) => answer.upstream_stays &= !self.state.was_closing,
                Head::Switched => {}
            }
            client.notes.has_head_of(client.wire.outbox.len() - before);
            self.state.answer_at = before;
            self.state.is_delivered = false;
            return Ok(true);
        }
    }

    pub(crate) fn poll_rest(
        &mut self,
        flight: &mut Flight<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Break>> {
        loop {
            let mut moves = self.poll_download(flight, cx).likely()?;
            if self.state.is_over && self.state.tunnel.is_none() {
                // All that is left is to be read.
                if !flight.client.wire.has_unsent() {
                    return Poll::Ready(Ok(()));
                }
            } else {
                moves |= self.poll_upload(flight, cx).likely()?;
            }
            match self.poll_ends(flight, cx) {
                Poll::Ready(true) => return Poll::Ready(Ok(())),
                Poll::Ready(false) => moves = true,
                Poll::Pending => {}
            }
            if !moves {
                break;
            }
        }
        self.poll_idle(flight, cx)
    }

    /// Moves the request body. Returns whether anything moved.
    fn poll_upload(
        &mut self,
        flight: &mut Flight<'_>,
        cx: &mut Context<'_>,
    ) -> Result<bool, Break> {
        let mut moved = false;
        loop {
            moved |= self.take_upload(flight, cx).likely()?;
            if self.state.upload_broke.is_some() || !self.wire.has_unsent() {
                return Ok(moved);
            }
            let waiting = self.wire.outbox.len();
            let sent = self.wire.poll_send(cx);
            if self.wire.outbox.len() < waiting {
                self.state.is_sent = true;
                self.state.up.stirred();
                moved = true;
            }
            match sent {
                Poll::Ready(Ok(())) => moved = true,
                Poll::Ready(Err(error)) => {
                    self.wire.outbox.clear();
                    self.state.upload_broke = Some(error);
                    return Ok(true);
                }
                Poll::Pending => return Ok(moved),
            }
        }
    }

    /// Takes from the client as much of the body as may wait to be sent.
    fn take_upload(
        &mut self,
        flight: &mut Flight<'_>,
        cx: &mut Context<'_>,
    ) -> Result<bool, Break> {
        let mut moved = false;
        while self.state.upload_broke.is_none() && self.needs_more(flight)? {
            match flight.client.wire.poll_fill(cx) {
                Poll::Ready(Ok(0)) => match &mut self.state.tunnel {
                    Some(tunnel) => {
                        if tunnel.up == Half::Open {
                            tunnel.up = Half::Ending;
                            moved = true;
                        }
                        break;
                    }
                    None => return Err(Break::ClientGone),
                },
                Poll::Ready(Err(_)) => return Err(Break::ClientGone),
                Poll::Ready(Ok(bytes)) => {
                    self.state.up.moved(bytes);
                    moved = true;
                }
                Poll::Pending => break,
            }
        }
        Ok(moved)
    }

    /// Moves what is there of the body, and whether that is too little.
    fn needs_more(&mut self, flight: &mut Flight<'_>) -> Result<bool, Break> {
        flight
            .upload
            .advance(&mut flight.client.wire.inbox, &mut self.wire.outbox)
            .map_err(|BadFrame| Break::BadBody)
    }

    /// Moves the answer's body. Returns whether anything moved.
    fn poll_download(
        &mut self,
        flight: &mut Flight<'_>,
        cx: &mut Context<'_>,
    ) -> Result<bool, Break> {
        let mut moved = false;
        while !self.state.is_over && flight.client.wire.outbox.len() < HIGH_WATER {
            let piece = self.state.body.next(&mut self.wire.inbox);
            match piece.map_err(|BadFrame| Break::Nonsense("a chunk of the answer is malformed"))? {
                Piece::Content(length) => {
                    let Poll::Ready(taken) = self.poll_pass(flight, cx, length).likely()? else {
                        return Ok(moved);
                    };
                    self.state.body.took(taken);
                    consume(&mut self.wire.inbox, taken);
                    moved = true;
                }
                Piece::Trailer(length) => {
                    let trailer = &self.wire.inbox[..length];
                    let outbox = &mut flight.client.wire.outbox;
                    self.state.frame.put_trailer(trailer, outbox);
                    self.state.body.took(length);
                    self.wire.inbox.advance(length);
                }
                Piece::End => self.end_download(flight),
                Piece::More => match self.wire.poll_fill(cx) {
                    Poll::Ready(Ok(0)) if self.state.body == Body::UntilClose => {
                        self.end_download(flight);
                    }
                    Poll::Ready(Ok(0)) => return Err(self.upstream_ended()),
                    Poll::Ready(Err(error)) => return Err(self.upstream_lost(error)),
                    Poll::Ready(Ok(_)) => {
                        self.state.down.stirred();
                        moved = true;
                    }
                    Poll::Pending => break,
                },
            }
        }
        Ok(self.poll_deliver(flight, cx).likely()? || moved)
    }

    fn end_download(&mut self, flight: &mut Flight<'_>) {
        self.state.frame.end(&mut flight.client.wire.outbox);
        self.state.is_over = true;
        if let Some(tunnel) = &mut self.state.tunnel {
            tunnel.down = Half::Ending;
        }
    }

    /// Passes on up to `length` bytes of content: directly if nothing waits before them and they need no frame.
    fn poll_pass(
        &mut self,
        flight: &mut Flight<'_>,
        cx: &mut Context<'_>,
        length: usize,
    ) -> Result<Poll<usize>, Break> {
        let content = &self.wire.inbox[..length];
        let client = &mut flight.client.wire;
        if self.state.frame == Frame::Plain && client.outbox.is_empty() {
            let passed = client.poll_send_directly(cx, content);
            self.state.client_is_full = passed.is_pending();
            return match passed {
                Poll::Ready(Ok(0) | Err(_)) => Err(Break::ClientGone),
                Poll::Ready(Ok(taken)) => {
                    self.state.is_delivered = true;
                    self.state.down.moved(taken);
                    Ok(Poll::Ready(taken))
                }
                Poll::Pending => Ok(Poll::Pending),
            };
        }
        self.state.frame.put(content, &mut client.outbox);
        Ok(Poll::Ready(length))
    }

    /// Sends what waits for the client. Returns whether anything moved.
    fn poll_deliver(
        &mut self,
        flight: &mut Flight<'_>,
        cx: &mut Context<'_>,
    ) -> Result<bool, Break> {
        let client = &mut flight.client.wire;
        if !client.has_unsent() {
            return Ok(false);
        }
        let waiting = client.outbox.len();
        let sent = client.poll_send(cx);
        if seldom(matches!(sent, Poll::Ready(Err(_)))) {
            return Err(Break::ClientGone);
        }
        let taken = waiting - client.outbox.len();
        self.state.down.moved(taken);
        self.state.is_delivered |= taken > 0;
        Ok(taken > 0 || sent.is_ready())
    }

    /// Passes on the ends of a tunnel's halves. Returns whether anything moved; ready: it is over.
    fn poll_ends(&mut self, flight: &mut Flight<'_>, cx: &mut Context<'_>) -> Poll<bool> {
        let takes_no_more = self.state.upload_broke.is_some();
        self.state.tunnel.as_mut().map_or(Poll::Pending, |tunnel| {
            tunnel.poll_ends(&mut flight.client.wire, &mut self.wire, takes_no_more, cx)
        })
    }

    fn upstream_ended(&mut self) -> Break {
        // What broke the upload says more than the end that followed.
        self.state
            .upload_broke
            .take()
            .map_or(Break::UpstreamEnded, Break::UpstreamLost)
    }

    fn upstream_lost(&mut self, error: io::Error) -> Break {
        Break::UpstreamLost(self.state.upload_broke.take().unwrap_or(error))
    }
}
