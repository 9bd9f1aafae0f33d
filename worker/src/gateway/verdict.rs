//! What the end of an attempt means: its answer is passed on, or another attempt is made, or tpp answers.

use tpp::shared::{Failing, WaitEnd};
use tracing::{debug, warn};

use crate::{
    gateway::{
        attempt::{Attempt, Break},
        breaker,
        client::Client,
        conduct,
        flight::{Failure, Flight, Next},
        journal, leftover, record,
        renew::Refusal,
        rest, retry,
    },
    http1::answer::{Answer, Head},
    http1::body::{Body, Frame},
    message::reply::Reply,
};

/// What an attempt has brought.
pub(crate) enum Verdict {
    /// Its answer is the client's.
    Pass,
    /// There is to be another attempt.
    Again,
    /// Its token was refused: [`renew`] has the rest.
    Refused,
    /// It broke off, and there is no other.
    Broke(Break),
}

/// Judges what an attempt has brought.
pub(crate) fn judge(
    flight: &mut Flight<'_>,
    attempt: &mut Attempt,
    came: Result<(), Break>,
) -> Verdict {
    match came {
        Ok(()) => {}
        // The upstream closed an idle connection just as it was used: nothing was lost but that.
        Err(Break::UpstreamEnded | Break::UpstreamLost(_))
            if attempt.is_reused && attempt.can_begin_again(flight) =>
        {
            flight.may_reuse = false;
            return Verdict::Again;
        }
        Err(Break::UpstreamLost(error)) if retry::was_turned_away(flight, attempt, &error) => {
            return Verdict::Again;
        }
        Err(cause) => return Verdict::Broke(cause),
    }
    match &attempt.state.head {
        Head::Final(Answer { meaning, .. })
            if attempt.version != 0 && flight.client.is_refusal(*meaning) =>
        {
            return Verdict::Refused;
        }
        Head::Final(answer) if attempt.version != 0 && rest::rests(flight, answer.asked_wait) => {
            attempt.withdraw(flight);
            return Verdict::Again;
        }
        _ => {
            if let Some(held) = &mut flight.client.held {
                held.note_served();
                if let Some(trouble) = &mut flight.trouble
                    && let Some(refused) = trouble.refused_token.take()
                {
                    let drawn_at = held.lease().drawn_at();
                    let doubts = &flight.client.worker.doubts;
                    doubts.note(attempt.origin, refused, drawn_at);
                }
            }
        }
    }
    accept(flight, attempt)
}

/// The answer is the client's.
fn accept(flight: &mut Flight<'_>, attempt: &Attempt) -> Verdict {
    let head = &attempt.state.head;
    conduct::note_head(flight, &attempt.backend, head);
    breaker::note_head(flight, head);
    Verdict::Pass
}

/// The token was refused: if there is another one, the request is sent again with that.
pub(crate) async fn renew(
    flight: &mut Flight<'_>,
    attempt: &mut Attempt,
) -> Result<Verdict, Failure> {
    let refusal = Refusal {
        version: attempt.version,
        is_second: flight.was_refused,
        can_replay: flight.upload.can_replay(),
    };
    let held = flight.client.held.as_ref();
    let drawn_at = held.map(|held| held.lease().drawn_at());
    let renewed = flight.client.renewed(refusal).await;
    if !matches!(renewed, Ok(false)) {
        // Whatever comes next, it is not this answer.
        attempt.withdraw(flight);
    }
    if !renewed? {
        flight.client.notes.goes_on();
        return Ok(accept(flight, attempt));
    }
    flight.was_refused = true;
    flight.trouble().refused_token = drawn_at;
    Ok(Verdict::Again)
}

/// Passes the answer on, to its end. If it breaks off, [`fail`] has the rest.
pub(crate) async fn pass(flight: &mut Flight<'_>, attempt: &mut Attempt) -> Result<(), Break> {
    let status = attempt.state.head.status();
    flight.client.holdings.note_status(status);
    flight.client.notes.passes_on(status);
    attempt.rest(flight).await?;
    conduct::note_whole(flight, &attempt.backend, &attempt.state.head);
    breaker::note_whole(flight);
    Ok(())
}

/// What follows an exchange that came to its end.
pub(crate) fn conclude(attempt: &Attempt) -> Next {
    match attempt.state.head {
        Head::Final(answer) if !answer.client_closes => Next::Request,
        Head::Final(_) | Head::Switched | Head::Interim { .. } => Next::End,
    }
}

/// An attempt broke off: says so to the client, if it can still be told, and sees to what the upstream still does.
pub(crate) async fn fail(flight: &mut Flight<'_>, mut attempt: Attempt, cause: Break) -> Failure {
    if let Break::Late(end) = cause {
        record::wait_ended(&flight.client.worker, flight.client.held.as_ref(), end);
    }
    journal::note_break(flight, &cause);
    if let Some(failing) = failing(&cause) {
        if let Some(tally) = flight.client.holdings.tally() {
            tally.failed(failing);
        }
        conduct::note_failure(flight, &attempt.backend);
        breaker::note_failure(flight);
    }
    let failure = if attempt.withdraw(flight) {
        no_answer(flight.client, &cause)
    } else {
        cut_short(flight.client, &attempt, &cause).await
    };
    let is_at_work = match cause {
        Break::ClientGone | Break::Late(_) | Break::Cut => attempt.upstream_is_at_work(flight),
        // It has ended, or is not to be understood.
        Break::BadBody | Break::UpstreamEnded | Break::UpstreamLost(_) | Break::Nonsense(_) => {
            false
        }
    };
    if is_at_work {
        leftover::leave(flight, attempt);
    } else {
        // Now: another worker may have the lease the moment it is given back, and the upstream is to see the end of what it had of
        // this request before it sees the token again.
        drop(attempt);
    }
    if matches!(cause, Break::Late(WaitEnd::Hold)) {
        // Not only when the client has read what it is told.
        flight.client.lose_lease();
    }
    failure
}

/// How the upstream failed, as a request's host counts it; `None`: it was not the upstream.
fn failing(cause: &Break) -> Option<Failing> {
    match cause {
        Break::UpstreamEnded | Break::UpstreamLost(_) | Break::Nonsense(_) => Some(Failing::Reset),
        Break::Late(
            WaitEnd::UpstreamHead | WaitEnd::UpstreamReadsNothing | WaitEnd::UpstreamSendsNothing,
        ) => Some(Failing::Timeout),
        Break::Late(_) | Break::ClientGone | Break::BadBody | Break::Cut => None,
    }
}

/// No answer came of an attempt.
#[cold]
fn no_answer(client: &Client, cause: &Break) -> Failure {
    let reply = match cause {
        Break::ClientGone => return Failure::Over(Next::Drop),
        Break::Late(end) => match end {
            WaitEnd::ClientSendsNothing | WaitEnd::ClientSendsSlowly => {
                Reply::request_timeout("the request body did not arrive in time")
            }
            WaitEnd::UpstreamReadsNothing => Reply::gateway_timeout(
                "the upstream does not take the request (upstream.response_header_timeout_seconds)",
            ),
            WaitEnd::UpstreamHead => Reply::gateway_timeout(
                "the upstream did not answer in time (upstream.response_header_timeout_seconds)",
            ),
            WaitEnd::UpstreamSendsNothing => Reply::gateway_timeout(
                "the upstream fell silent in its answer (upstream.read_timeout_seconds)",
            ),
            WaitEnd::Hold | WaitEnd::Exchange => Reply::cut(*end),
            _ => return Failure::Over(Next::Drop),
        },
        Break::BadBody => Reply::bad_body(),
        Break::UpstreamEnded => {
            Reply::bad_gateway("the upstream closed the connection without an answer")
        }
        Break::UpstreamLost(error) => {
            Reply::bad_gateway(format!("the connection to the upstream broke: {error}"))
        }
        Break::Nonsense(details) => {
            Reply::bad_gateway(format!("the upstream's answer is not HTTP/1: {details}"))
        }
        Break::Cut => Reply::no_token("this worker is being replaced"),
    };
    if matches!(reply.status(), 502 | 504) && client.worker.muffler.may_speak() {
        warn!(
            worker = client.worker.seat(),
            status = reply.status(),
            ?reply,
            "no answer from the upstream"
        );
    }
    Failure::Reply(reply)
}

/// An answer broke off half-way. The client gets what came of it, and sees that it is not all.
async fn cut_short(client: &mut Client, attempt: &Attempt, cause: &Break) -> Failure {
    let worker = client.worker.seat();
    match cause {
        Break::UpstreamEnded
        | Break::UpstreamLost(_)
        | Break::Nonsense(_)
        | Break::Late(WaitEnd::UpstreamSendsNothing) => {
            if client.worker.muffler.may_speak() {
                warn!(worker, ?cause, "answer cut short by the upstream");
            }
            // Whether it arrives or not, the connection is closed next.
            let _ = client.flush().await;
        }
        _ => debug!(worker, ?cause, "exchange broke off"),
    }
    let state = &attempt.state;
    // Neither a length nor chunks: an orderly end would say that this was all.
    let end_says_all = state.tunnel.is_none()
        && state.frame == Frame::Plain
        && !matches!(state.body, Body::Length(_));
    Failure::Over(if end_says_all {
        Next::Reset
    } else {
        Next::Drop
    })
}
