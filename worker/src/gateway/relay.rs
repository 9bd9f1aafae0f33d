//! One request and its answer between two wires, both directions at once.

use std::{
    future::poll_fn,
    io,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Buf as _;

use crate::{
    clock::Timer,
    gateway::upload::Upload,
    http1::answer::{self, Answer, Head, Nonsense},
    http1::body::{BadFrame, Body, Frame, Piece},
    http1::request::Request,
    wire::attend::has_left,
    wire::{HIGH_WATER, Wire},
    worker::Worker,
};

/// How long a peer may keep us from reading or writing, while it is its turn.
pub(crate) const STALL_LIMIT: Duration = Duration::from_secs(60);

/// Why an exchange broke off.
#[derive(Debug)]
pub(crate) enum Break {
    /// The client left.
    ClientGone,
    /// The client does not read its answer.
    ClientStalled,
    /// The client does not send the body it announced.
    BodyStalled,
    /// The body's frame is broken.
    BadBody,
    /// The upstream ended the connection too early.
    UpstreamEnded,
    /// The connection to the upstream broke.
    UpstreamLost(io::Error),
    /// The upstream does not take the request.
    UpstreamStalled,
    /// The upstream does not answer.
    UpstreamSlow,
    /// The upstream does not speak HTTP/1.
    Nonsense(&'static str),
    /// The worker closes what is left.
    Cut,
}

/// What the exchange waits for, if it does not move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// Not looked at yet.
    Unknown,
    /// Something without a bound.
    Open,
    Answer,
    ClientReads,
    ClientSends,
    UpstreamReads,
}

/// One attempt at an exchange.
#[derive(Debug)]
pub(crate) struct Relay<'a> {
    pub(crate) worker: &'a Worker,
    pub(crate) timer: &'a Timer,
    pub(crate) client: &'a mut Wire,
    pub(crate) upstream: &'a mut Wire,
    pub(crate) request: &'a Request,
    pub(crate) upload: &'a mut Upload,
    /// Bound on the wait for the answer.
    pub(crate) answer_limit: Option<Duration>,
    /// When the client's connection is to end with the answer in hand, by the worker's clock.
    pub(crate) hold_end: Option<u64>,
    pub(crate) state: &'a mut State,
}

/// How far an attempt is.
#[derive(Debug)]
pub(crate) struct State {
    wait: Wait,
    /// Some byte of the request has gone out.
    is_sent: bool,
    /// The upstream has said something.
    heard: bool,
    /// Where in the client's outbox the answer begins, as long as nothing of it is delivered.
    answer_at: usize,
    /// Something of the answer is delivered.
    is_delivered: bool,
    /// The upstream takes no more of the request; its answer may be there all the same.
    upload_broke: Option<io::Error>,
    is_tunnel: bool,
    /// Of the answer.
    body: Body,
    frame: Frame,
    is_over: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            wait: Wait::Unknown,
            is_sent: false,
            heard: false,
            answer_at: 0,
            is_delivered: false,
            upload_broke: None,
            is_tunnel: false,
            body: Body::EMPTY,
            frame: Frame::Plain,
            is_over: false,
        }
    }
}

impl Relay<'_> {
    /// Sends the request, and as much of its body as there is, until the head of the answer has come.
    pub(crate) async fn head(&mut self) -> Result<Head, Break> {
        let head = poll_fn(|cx| self.poll_head(cx)).await?;
        match head {
            Head::Final(Answer { body, frame, .. }) => {
                (self.state.body, self.state.frame) = (body, frame)
            }
            Head::Switched => self.become_tunnel(),
            Head::Interim => {}
        }
        Ok(head)
    }

    /// Passes on what is left of the request, and the answer's body to its end; of a WebSocket, all until either
    /// side ends.
    pub(crate) async fn rest(&mut self) -> Result<(), Break> {
        poll_fn(|cx| self.poll_rest(cx)).await
    }

    /// Takes the answer back, if nothing of it is delivered. Returns whether it did.
    pub(crate) fn withdraw(&mut self) -> bool {
        let undelivered = !self.state.is_delivered;
        if undelivered {
            self.client.outbox.truncate(self.state.answer_at);
        }
        undelivered
    }

    /// Whether the request can be sent again: no part of an answer has come, what went out was kept, and to do it
    /// twice does no harm, or it was not even done once (RFC 9110, 9.2.2).
    pub(crate) fn can_begin_again(&self) -> bool {
        let is_harmless = self.request.is_idempotent || !self.state.is_sent;
        !self.state.heard && is_harmless && self.upload.can_replay()
    }

    /// Whether the upstream's connection is where a next request can begin.
    pub(crate) fn upstream_is_clean(&self) -> bool {
        self.upload.is_over()
            && self.state.upload_broke.is_none()
            && self.upstream.outbox.is_empty()
            && self.upstream.inbox.is_empty()
    }

    fn become_tunnel(&mut self) {
        *self.upload = Upload::tunnel();
        self.state.body = Body::UntilClose;
        self.state.is_tunnel = true;
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, Break>> {
        let mut moved = false;
        loop {
            let mut moves = self.poll_upload(cx)?;
            // Interim answers do not wait for the final one, and it waits for them.
            if self.client.outbox.len() < HIGH_WATER {
                match self.upstream.poll_fill(cx) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(self.upstream_ended())),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(self.upstream_lost(error))),
                    Poll::Ready(Ok(_)) => {
                        self.state.heard = true;
                        moves = true;
                        if let Some(head) = self.read_head()? {
                            return Poll::Ready(Ok(head));
                        }
                    }
                    Poll::Pending => {}
                }
            }
            moves |= self.poll_deliver(cx)?;
            moved |= moves;
            if !moves {
                break;
            }
        }
        self.poll_idle(cx, moved, Wait::Answer)
    }

    /// The final head, if it is there.
    fn read_head(&mut self) -> Result<Option<Head>, Break> {
        let is_held_too_long = self
            .hold_end
            .is_some_and(|end| end <= self.worker.clock.now());
        let close = is_held_too_long || self.worker.is_draining() || !self.upload.is_over();
        self.client.reserve_outbox();
        loop {
            let before = self.client.outbox.len();
            let Some((head, length)) = answer::parse(
                &self.upstream.inbox,
                self.request,
                close,
                &mut self.client.outbox,
            )?
            else {
                return Ok(None);
            };
            self.upstream.inbox.advance(length);
            if head != Head::Interim {
                self.state.answer_at = before;
                self.state.is_delivered = false;
                return Ok(Some(head));
            }
        }
    }

    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Break>> {
        let mut moved = false;
        loop {
            let mut moves = self.poll_download(cx)?;
            if self.state.is_over && self.client.outbox.is_empty() {
                return self.client.poll_send(cx).map_err(|_| Break::ClientGone);
            }
            moves |= self.poll_upload(cx)?;
            moved |= moves;
            if !moves {
                break;
            }
        }
        self.poll_idle(cx, moved, Wait::Open)
    }

    /// Moves the request body. Returns whether anything moved.
    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Result<bool, Break> {
        let mut moved = false;
        loop {
            moved |= self.take_upload(cx)?;
            let waiting = self.upstream.outbox.len();
            if waiting == 0 {
                return Ok(moved);
            }
            let sent = self.upstream.poll_send(cx);
            let went_out = self.upstream.outbox.len() < waiting;
            self.state.is_sent |= went_out;
            match sent {
                Poll::Ready(Ok(())) => moved = true,
                Poll::Ready(Err(error)) => {
                    self.upstream.outbox.clear();
                    self.state.upload_broke = Some(error);
                    return Ok(true);
                }
                Poll::Pending => return Ok(moved || went_out),
            }
        }
    }

    /// Takes from the client as much of the body as may wait to be sent.
    fn take_upload(&mut self, cx: &mut Context<'_>) -> Result<bool, Break> {
        let mut moved = false;
        while self.state.upload_broke.is_none() && self.needs_more()? {
            match self.client.poll_fill(cx) {
                Poll::Ready(Ok(0) | Err(_)) => return Err(Break::ClientGone),
                Poll::Ready(Ok(_)) => moved = true,
                Poll::Pending => break,
            }
        }
        Ok(moved)
    }

    /// Moves what is there of the body, and whether that is too little.
    fn needs_more(&mut self) -> Result<bool, Break> {
        self.upload
            .advance(&mut self.client.inbox, &mut self.upstream.outbox)
            .map_err(|BadFrame| Break::BadBody)
    }

    /// Moves the answer's body. Returns whether anything moved.
    fn poll_download(&mut self, cx: &mut Context<'_>) -> Result<bool, Break> {
        let mut moved = false;
        while !self.state.is_over && self.client.outbox.len() < HIGH_WATER {
            let piece = self.state.body.next(&mut self.upstream.inbox);
            match piece.map_err(|BadFrame| Break::Nonsense("a chunk of the answer is malformed"))? {
                Piece::Content(length) => {
                    let Poll::Ready(taken) = self.poll_pass(cx, length)? else {
                        return Ok(moved);
                    };
                    self.state.body.took(taken);
                    self.upstream.inbox.advance(taken);
                    moved = true;
                }
                Piece::End => self.end_download(),
                Piece::More => match self.upstream.poll_fill(cx) {
                    Poll::Ready(Ok(0)) if self.state.body == Body::UntilClose => {
                        self.end_download()
                    }
                    Poll::Ready(Ok(0)) => return Err(self.upstream_ended()),
                    Poll::Ready(Err(error)) => return Err(self.upstream_lost(error)),
                    Poll::Ready(Ok(_)) => moved = true,
                    Poll::Pending => break,
                },
            }
        }
        Ok(self.poll_deliver(cx)? || moved)
    }

    fn end_download(&mut self) {
        self.state.frame.end(&mut self.client.outbox);
        self.state.is_over = true;
    }

    /// Passes on up to `length` bytes of content: directly if nothing waits before them and they need no frame.
    fn poll_pass(&mut self, cx: &mut Context<'_>, length: usize) -> Result<Poll<usize>, Break> {
        let content = &self.upstream.inbox[..length];
        if self.state.frame == Frame::Plain && self.client.outbox.is_empty() {
            return match self.client.poll_send_directly(cx, content) {
                Poll::Ready(Ok(0) | Err(_)) => Err(Break::ClientGone),
                Poll::Ready(Ok(taken)) => {
                    self.state.is_delivered = true;
                    Ok(Poll::Ready(taken))
                }
                Poll::Pending => Ok(Poll::Pending),
            };
        }
        self.state.frame.put(content, &mut self.client.outbox);
        Ok(Poll::Ready(length))
    }

    /// Sends what waits for the client. Returns whether anything moved.
    fn poll_deliver(&mut self, cx: &mut Context<'_>) -> Result<bool, Break> {
        let waiting = self.client.outbox.len();
        if waiting > 0 && matches!(self.client.poll_send(cx), Poll::Ready(Err(_))) {
            return Err(Break::ClientGone);
        }
        let moved = self.client.outbox.len() < waiting;
        self.state.is_delivered |= moved;
        Ok(moved)
    }

    /// Nothing more can be done now: watches the client and the time.
    fn poll_idle<T>(
        &mut self,
        cx: &mut Context<'_>,
        moved: bool,
        at_rest: Wait,
    ) -> Poll<Result<T, Break>> {
        if self.upload.is_over() && has_left(self.client, cx) {
            return Poll::Ready(Err(Break::ClientGone));
        }
        let wait = self.wait(at_rest);
        // The wait for an answer is one wait, whatever else moves.
        if wait != self.state.wait || moved && wait != Wait::Answer {
            self.state.wait = wait;
            let limit = match wait {
                Wait::Unknown | Wait::Open => None,
                Wait::Answer => self.answer_limit,
                Wait::ClientReads | Wait::ClientSends | Wait::UpstreamReads => Some(STALL_LIMIT),
            };
            self.timer.set(&self.worker.clock, limit);
        }
        if self.worker.is_cut() {
            return Poll::Ready(Err(Break::Cut));
        }
        if !self.timer.is_due(&self.worker.clock) {
            return Poll::Pending;
        }
        Poll::Ready(Err(match wait {
            Wait::ClientReads => Break::ClientStalled,
            Wait::ClientSends => Break::BodyStalled,
            Wait::UpstreamReads => Break::UpstreamStalled,
            Wait::Unknown | Wait::Open | Wait::Answer => Break::UpstreamSlow,
        }))
    }

    fn wait(&self, at_rest: Wait) -> Wait {
        if !self.client.outbox.is_empty() {
            Wait::ClientReads
        } else if !self.upstream.outbox.is_empty() {
            Wait::UpstreamReads
        } else if !self.upload.is_over()
            && self.state.upload_broke.is_none()
            && !self.state.is_tunnel
        {
            Wait::ClientSends
        } else {
            at_rest
        }
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

impl From<Nonsense> for Break {
    fn from(Nonsense(details): Nonsense) -> Self {
        Self::Nonsense(details)
    }
}
