//! One request and its answer, over as many attempts as it takes.

use std::time::Duration;

use tracing::{debug, warn};

use crate::{
    clock::millis,
    door::connection::Connection,
    gateway::relay::{Break, Relay, State},
    gateway::upload::Upload,
    http1::answer::{Answer, Head},
    http1::request::Request,
    message::reply::Reply,
    upstream::transport::Unreachable,
    wire::Wire,
    wire::attend::{Interrupt, attend},
};

/// What a new token may take to arrive, beyond the login itself.
const REFRESH_MARGIN: Duration = Duration::from_secs(5);

/// What follows an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another request may come.
    Request,
    /// The connection ends, in order.
    End,
    /// It ends at once: nobody listens, or an answer was cut short.
    Drop,
}

/// Why an exchange yielded no answer of the upstream.
#[derive(Debug)]
pub(crate) enum Failure {
    /// tpp answers.
    Reply(Reply),
    /// Nobody is there to be answered, or half an answer is out.
    Silent,
}

impl Connection {
    /// Sends the request until it yields an answer, and passes that on.
    pub(crate) async fn exchange(
        &mut self,
        request: &Request,
        upload: &mut Upload,
    ) -> Result<Next, Failure> {
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
                self.report_refused(version);
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
        if matches!(connected, Err(Unreachable::NoAddress)) {
            self.worker.look();
            if self.worker.renew(&mut self.view) {
                connected = self.connect().await?;
            }
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
        if !held.lease().may_stamp() {
            self.held = None;
            return Err(Failure::Reply(Reply::no_token("their time is over")));
        }
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
        let hold = self.held.as_ref().zip(settings.lease.max_hold);
        Relay {
            worker: &self.worker,
            timer: &self.timer,
            client: &mut self.client,
            upstream,
            request,
            upload,
            answer_limit: settings.upstream.response_header_timeout,
            hold_end: hold.map(|(held, most)| held.since() + millis(most)),
            state,
        }
    }

    /// Asks for one login, whatever becomes of this request.
    fn report_refused(&self, version: u64) {
        if let Some(held) = &self.held {
            held.lease().report_refused(version);
        }
    }

    /// Reports token `version` as refused and waits for the next one. Whether there is one.
    async fn refresh(&mut self, version: u64) -> Result<bool, Failure> {
        let held = self.held.as_ref().ok_or(Failure::Silent)?;
        let limit = self.view.settings.token.login_timeout + REFRESH_MARGIN;
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
