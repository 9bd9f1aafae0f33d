//! A client's connection, from its first byte to its last: the requests one after another, and the lease that
//! spans them.

use std::{
    future::poll_fn,
    net::IpAddr,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use bytes::{Buf, BytesMut};
use pingora_core::protocols::Stream;
use tpp::config::LeaseMode;
use tracing::{debug, warn};

use crate::{
    answer::{Answer, Head},
    attend::{Interrupt, attend},
    clock::{Timer, millis},
    headers::HEAD_LIMIT as HEAD_BYTES,
    held::Held,
    relay::{Break, Relay, STALL_LIMIT, State, Upload},
    reply::Reply,
    request::{self, Origin, Request},
    upstream::Unreachable,
    wire::Wire,
    worker::{View, Worker},
};

/// How long the first head, or one that has begun, may take.
const HEAD_LIMIT: Duration = Duration::from_secs(60);
/// How long the end of a connection waits for the client to read what was said last.
const LINGER_LIMIT: Duration = Duration::from_secs(2);
/// What a new token may take to arrive, beyond the login itself.
const REFRESH_MARGIN: Duration = Duration::from_secs(5);

/// What follows an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Another request may come.
    Request,
    /// The connection ends, in order.
    End,
    /// It ends at once: nobody listens, or an answer was cut short.
    Drop,
}

/// Why an exchange yielded no answer of the upstream.
#[derive(Debug)]
enum Failure {
    /// tpp answers.
    Reply(Reply),
    /// Nobody is there to be answered, or half an answer is out.
    Silent,
}

/// A client's connection.
struct Connection {
    worker: Arc<Worker>,
    view: Arc<View>,
    client: Wire,
    /// Its address, as it is written into requests.
    address: String,
    timer: Arc<Timer>,
    held: Option<Held>,
    /// The head for the upstream, without its end.
    head: BytesMut,
    opened: Instant,
}

/// Serves a connection to its end.
pub(crate) async fn serve(worker: &Arc<Worker>, stream: Stream) {
    let mut connection = Connection::new(worker, stream).await;
    let mut is_first = true;
    while let Some(request) = connection.next_request(is_first).await {
        match connection.answer(&request).await {
            Next::Request => is_first = false,
            Next::End => return connection.end().await,
            Next::Drop => return,
        }
    }
}

impl Connection {
    async fn new(worker: &Arc<Worker>, stream: Stream) -> Self {
        let address = stream
            .get_socket_digest()
            .and_then(|digest| {
                digest
                    .peer_addr()
                    .and_then(|address| address.as_inet().map(|inet| inet.ip()))
            })
            .map_or_else(
                || "unknown".to_owned(),
                |address: IpAddr| address.to_canonical().to_string(),
            );
        // A connection is one task for all its life, so its waker stays good.
        let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
        Self {
            worker: Arc::clone(worker),
            view: worker.view(),
            client: Wire::new(stream),
            address,
            timer: worker.timers.add(waker),
            held: None,
            head: BytesMut::new(),
            opened: Instant::now(),
        }
    }

    /// The next request; `None`: there is none, and whoever sent something else was told.
    async fn next_request(&mut self, is_first: bool) -> Option<Request> {
        self.client.forget_buffers();
        self.worker.renew(&mut self.view);
        let mut has_begun = !self.client.inbox.is_empty();
        let patience = if is_first || has_begun {
            Some(HEAD_LIMIT)
        } else {
            self.idle_limit()
        };
        self.timer.set(&self.worker.clock, patience);
        let mut seen = 0;
        loop {
            if self.may_have_head(seen) {
                match self.read_request() {
                    Ok(Some(request)) => return Some(request),
                    Ok(None) => seen = self.client.inbox.len(),
                    Err(reply) => {
                        self.refuse(&reply).await;
                        return None;
                    }
                }
            }
            match self.more().await {
                Ok(()) if has_begun => {}
                Ok(()) => {
                    has_begun = true;
                    self.timer.set(&self.worker.clock, Some(HEAD_LIMIT));
                }
                Err(Interrupt::Late) if has_begun => {
                    self.refuse(&Reply::request_timeout(
                        "the request head did not end in time",
                    ))
                    .await;
                    return None;
                }
                Err(_) => return None,
            }
        }
    }

    /// Whether it is worth reading the inbox as a head: its beginning, or the end of a line, is newer than the first `seen`
    /// bytes. A head that trickles in is not read anew with each byte.
    fn may_have_head(&self, seen: usize) -> bool {
        let inbox = &self.client.inbox;
        let is_new = inbox.len() > seen;
        is_new && (seen == 0 || inbox.len() >= HEAD_BYTES || inbox[seen..].contains(&b'\n'))
    }

    /// How long the connection may be idle now.
    fn idle_limit(&self) -> Option<Duration> {
        let settings = &self.view.settings;
        let hold_left = self
            .held
            .as_ref()
            .zip(settings.max_hold)
            .map(|(held, most)| {
                let end = held.since() + millis(most);
                Duration::from_millis(end.saturating_sub(self.worker.clock.now()))
            });
        [settings.idle_timeout, hold_left]
            .into_iter()
            .flatten()
            .min()
    }

    fn read_request(&mut self) -> Result<Option<Request>, Reply> {
        let origin = Origin {
            client: &self.address,
            trust_forwarded: self.view.settings.trust_forwarded,
            upstream_authority: self.view.upstream.authority(),
        };
        let Some((request, length)) = request::parse(&self.client.inbox, origin, &mut self.head)?
        else {
            return Ok(None);
        };
        self.client.inbox.advance(length);
        Ok(Some(request))
    }

    /// Waits for more bytes.
    async fn more(&mut self) -> Result<(), Interrupt> {
        let Self {
            client,
            timer,
            worker,
            ..
        } = self;
        poll_fn(|cx| match client.poll_fill(cx) {
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(Err(Interrupt::Gone)),
            Poll::Ready(Ok(_)) => Poll::Ready(Ok(())),
            Poll::Pending if worker.is_cut() => Poll::Ready(Err(Interrupt::Cut)),
            Poll::Pending if timer.is_due(&worker.clock) => Poll::Ready(Err(Interrupt::Late)),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Answers a request: with the upstream's answer, or with one of tpp's own.
    async fn answer(&mut self, request: &Request) -> Next {
        self.worker.counters().requests.add(1);
        let mut upload = Upload::new(request);
        let outcome = match self.acquire().await {
            Ok(()) => self.exchange(request, &mut upload).await,
            Err(failure) => Err(failure),
        };
        if self.view.settings.lease_mode == LeaseMode::Request {
            self.held = None;
        }
        match outcome {
            Ok(next) => next,
            Err(Failure::Silent) => Next::Drop,
            Err(Failure::Reply(reply)) => {
                let stays = upload.is_over() && request.keep_alive && !self.worker.is_draining();
                if self.say(&reply, request.is_head, !stays).await.is_err() {
                    Next::Drop
                } else if stays {
                    Next::Request
                } else {
                    Next::End
                }
            }
        }
    }

    /// Sees to it that the connection holds a lease.
    async fn acquire(&mut self) -> Result<(), Failure> {
        if self.held.is_some() {
            return Ok(());
        }
        let worker = &*self.worker;
        let (desk, counters) = (&worker.desk, worker.counters());
        let mut waited = Duration::ZERO;
        let lease = match desk.try_lease() {
            Some(lease) => lease,
            None => {
                let settings = &self.view.settings;
                if settings
                    .max_waiting
                    .is_some_and(|most| desk.waiting() >= most as u64)
                {
                    counters.queue_rejections.add(1);
                    return Err(Failure::Reply(Reply::no_token(
                        "too many wait for one already",
                    )));
                }
                let begun = Instant::now();
                let lease = attend(
                    worker,
                    &self.timer,
                    &mut self.client,
                    settings.wait_timeout,
                    desk.join(),
                )
                .await;
                waited = begun.elapsed();
                lease.map_err(|interrupt| match interrupt {
                    Interrupt::Gone => {
                        counters.clients_left.add(1);
                        Failure::Silent
                    }
                    Interrupt::Late => {
                        counters.queue_timeouts.add(1);
                        Failure::Reply(Reply::no_token("none came free in time"))
                    }
                    Interrupt::Cut => {
                        Failure::Reply(Reply::no_token("this worker is being replaced"))
                    }
                })?
            }
        };
        counters.acquisition_wait.observe(waited);
        debug!(
            worker = worker.seat(),
            slot = lease.slot().get(),
            wait_ms = millis(waited),
            "lease acquired"
        );
        self.held = Some(Held::new(lease, worker));
        Ok(())
    }

    /// Sends the request until it yields an answer, and passes that on.
    async fn exchange(&mut self, request: &Request, upload: &mut Upload) -> Result<Next, Failure> {
        let mut may_reuse = true;
        let mut was_refused = false;
        loop {
            let (mut upstream, is_reused) = self.reach(may_reuse).await?;
            let version = self.put_request(upload, &mut upstream)?;
            let mut state = State::default();
            let mut relay = self.relay(&mut upstream, request, upload, &mut state);
            let head = match relay.head().await {
                Ok(head) => head,
                // The upstream closed an idle connection just as it was used: nothing was lost but that.
                Err(Break::UpstreamEnded | Break::UpstreamLost(_))
                    if is_reused && relay.can_begin_again() =>
                {
                    may_reuse = false;
                    continue;
                }
                Err(cause) => return Err(self.no_answer(cause)),
            };
            if matches!(head, Head::Final(Answer { status: 401, .. })) {
                self.worker.counters().token_errors.add(1);
                if !was_refused && upload.can_replay() && self.refresh(version).await? {
                    self.relay(&mut upstream, request, upload, &mut state)
                        .withdraw();
                    was_refused = true;
                    continue;
                }
            }
            let mut relay = self.relay(&mut upstream, request, upload, &mut state);
            let rest = relay.rest().await;
            let is_clean = relay.upstream_is_clean();
            if let Err(cause) = rest {
                return Err(if relay.withdraw() {
                    self.no_answer(cause)
                } else {
                    self.cut_short(&cause).await
                });
            }
            return Ok(match head {
                Head::Final(answer) => {
                    if answer.upstream_stays && is_clean {
                        self.view.upstream.keep(upstream, self.worker.clock.now());
                    }
                    if answer.client_closes {
                        Next::End
                    } else {
                        Next::Request
                    }
                }
                Head::Switched | Head::Interim => Next::End,
            });
        }
    }

    /// A connection to the upstream, and whether it was used before.
    async fn reach(&mut self, may_reuse: bool) -> Result<(Wire, bool), Failure> {
        if may_reuse && let Some(wire) = self.view.upstream.reuse() {
            return Ok((wire, true));
        }
        let mut connected = self.connect().await?;
        if matches!(connected, Err(Unreachable::NoAddress)) && self.worker.look() {
            self.worker.renew(&mut self.view);
            connected = self.connect().await?;
        }
        connected.map(|wire| (wire, false)).map_err(|unreachable| {
            self.worker.desk.report_unreachable();
            Failure::Reply(if unreachable.is_slow() {
                Reply::gateway_timeout("the upstream did not accept the connection in time")
            } else {
                Reply::bad_gateway(unreachable.to_string())
            })
        })
    }

    async fn connect(&mut self) -> Result<Result<Wire, Unreachable>, Failure> {
        // The connect has limits of its own.
        attend(
            &self.worker,
            &self.timer,
            &mut self.client,
            None,
            // Boxed, so that a connection that is made but once does not take its room in every task.
            Box::pin(self.view.upstream.connect()),
        )
        .await
        .map_err(Failure::from)
    }

    /// Writes the request for the upstream. Returns the version of the token in it.
    fn put_request(&mut self, upload: &Upload, upstream: &mut Wire) -> Result<u64, Failure> {
        // A request is never sent without a token.
        let held = self.held.as_mut().ok_or(Failure::Silent)?;
        let (end_of_head, version) = held.end_of_head();
        upstream.reserve_outbox();
        upstream.outbox.extend_from_slice(&self.head);
        upstream.outbox.extend_from_slice(end_of_head);
        upload.replay(&mut upstream.outbox);
        Ok(version)
    }

    fn relay<'a>(
        &'a mut self,
        upstream: &'a mut Wire,
        request: &'a Request,
        upload: &'a mut Upload,
        state: &'a mut State,
    ) -> Relay<'a> {
        let settings = &self.view.settings;
        let hold = self.held.as_ref().zip(settings.max_hold);
        Relay {
            worker: &self.worker,
            timer: &self.timer,
            client: &mut self.client,
            upstream,
            request,
            upload,
            answer_limit: settings.response_header_timeout,
            hold_end: hold.map(|(held, most)| held.since() + millis(most)),
            state,
        }
    }

    /// Reports token `version` as refused and waits for the next one. Whether there is one.
    async fn refresh(&mut self, version: u64) -> Result<bool, Failure> {
        let held = self.held.as_ref().ok_or(Failure::Silent)?;
        let limit = self.view.settings.login_timeout + REFRESH_MARGIN;
        let refreshed = held.lease().refreshed(version);
        match attend(
            &self.worker,
            &self.timer,
            &mut self.client,
            Some(limit),
            refreshed,
        )
        .await
        {
            Err(Interrupt::Late) => Ok(false),
            outcome => outcome.map_err(Failure::from),
        }
    }

    /// No answer came of an attempt.
    fn no_answer(&self, cause: Break) -> Failure {
        let reply = match cause {
            Break::ClientGone | Break::ClientStalled => return Failure::Silent,
            Break::BodyStalled => Reply::request_timeout("the request body did not arrive in time"),
            Break::BadBody => Reply::bad_body(),
            Break::UpstreamEnded => {
                Reply::bad_gateway("the upstream closed the connection without an answer")
            }
            Break::UpstreamLost(error) => {
                Reply::bad_gateway(format!("the connection to the upstream broke: {error}"))
            }
            Break::UpstreamStalled => {
                Reply::gateway_timeout("the upstream does not take the request")
            }
            Break::UpstreamSlow => Reply::gateway_timeout("the upstream did not answer in time"),
            Break::Nonsense(details) => {
                Reply::bad_gateway(format!("the upstream's answer is not HTTP/1: {details}"))
            }
            Break::Cut => Reply::no_token("this worker is being replaced"),
        };
        if matches!(reply.status, 502 | 504) && self.worker.muffler.may_speak() {
            warn!(
                worker = self.worker.seat(),
                status = reply.status,
                ?reply,
                "no answer from the upstream"
            );
        }
        Failure::Reply(reply)
    }

    /// An answer broke off half-way. The client gets what came of it, and sees that it is not all.
    async fn cut_short(&mut self, cause: &Break) -> Failure {
        let worker = self.worker.seat();
        match cause {
            Break::UpstreamEnded | Break::UpstreamLost(_) | Break::Nonsense(_) => {
                if self.worker.muffler.may_speak() {
                    warn!(worker, ?cause, "answer cut short by the upstream");
                }
                // Whether it arrives or not, the connection is closed next.
                let _ = self.flush().await;
            }
            _ => debug!(worker, ?cause, "exchange broke off"),
        }
        Failure::Silent
    }

    /// Refuses what is no request. The connection ends, for nobody knows where the next one would begin.
    async fn refuse(&mut self, reply: &Reply) {
        if self.say(reply, false, true).await.is_ok() {
            self.end().await;
        }
    }

    /// Sends an answer of tpp's own.
    async fn say(&mut self, reply: &Reply, is_head: bool, close: bool) -> Result<(), Interrupt> {
        self.worker.counters().request_errors.add(1);
        reply.write(is_head, close, &mut self.client.outbox);
        self.flush().await
    }

    /// Sends what waits for the client.
    async fn flush(&mut self) -> Result<(), Interrupt> {
        self.timer.set(&self.worker.clock, Some(STALL_LIMIT));
        let Self {
            client,
            timer,
            worker,
            ..
        } = self;
        poll_fn(|cx| match client.poll_send(cx) {
            Poll::Ready(sent) => Poll::Ready(sent.map_err(|_| Interrupt::Gone)),
            Poll::Pending if timer.is_due(&worker.clock) => Poll::Ready(Err(Interrupt::Late)),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Ends the connection in order: gives the lease back, then waits a little for the client to read what was said
    /// last. Closing at once could reset the connection under it, if the client has sent more meanwhile.
    async fn end(&mut self) {
        self.held = None;
        if self.client.end().await.is_err() {
            return;
        }
        self.timer.set(&self.worker.clock, Some(LINGER_LIMIT));
        while self.more().await.is_ok() {
            self.client.inbox.clear();
        }
    }
}

impl From<Interrupt> for Failure {
    fn from(interrupt: Interrupt) -> Self {
        match interrupt {
            Interrupt::Gone => Self::Silent,
            Interrupt::Late => Self::Reply(Reply::gateway_timeout("it took too long")),
            Interrupt::Cut => Self::Reply(Reply::no_token("this worker is being replaced")),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.worker.is_cut() {
            self.worker.counters().drain_cut.add(1);
        }
        self.worker.leave(self.opened.elapsed());
    }
}
