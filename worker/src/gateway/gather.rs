//! First the body: no lease is taken for a client that has not sent it yet.

use std::{future::poll_fn, task::Poll};

use tpp::shared::WaitEnd;

use crate::{
    gateway::{
        flight::{Failure, Flight, Next},
        pace::{Direction, Turn},
        record,
        upload::Gathered,
    },
    http1::body::BadFrame,
    message::{grpc, reply::Reply},
};

/// Why the body did not come.
enum Missing {
    Gone,
    Cut,
    Bad,
    Late(WaitEnd),
}

/// Whether the request's body is in, or as much of it as is kept. A client that holds a lease already, one that waits to be told
/// to go on, or a caller of gRPC, whose call may be a talk, is not waited for: its bounds hold from there.
pub(crate) fn gather(flight: &mut Flight<'_>) -> Result<bool, Failure> {
    if flight.upload.is_over()
        || flight.client.held.is_some()
        || flight.request.expects_continue
        || grpc::content_type(flight.head).is_some()
    {
        return Ok(true);
    }
    match flight.upload.gather(&mut flight.client.wire.inbox) {
        Ok(gathered) => Ok(gathered == Gathered::Enough),
        Err(BadFrame) => Err(Failure::Reply(Reply::bad_body())),
    }
}

/// Waits for what has not come with the head.
pub(crate) async fn await_body(flight: &mut Flight<'_>) -> Result<(), Failure> {
    let Flight { client, upload, .. } = flight;
    let mut pace = Direction::default();
    let gathered = poll_fn(|cx| {
        loop {
            match client.wire.poll_fill(cx) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(Missing::Gone)),
                Poll::Ready(Ok(bytes)) => pace.moved(bytes),
                Poll::Pending => break,
            }
            match upload.gather(&mut client.wire.inbox) {
                Ok(Gathered::Enough) => return Poll::Ready(Ok(())),
                Ok(Gathered::TooLittle) => {}
                Err(BadFrame) => return Poll::Ready(Err(Missing::Bad)),
            }
        }
        let (now, settings) = (client.worker.clock.now(), &client.settings);
        let (cut, cut_by) = client.cut(None);
        match pace.look(Turn::ClientSends, false, now, settings) {
            Err(end) => return Poll::Ready(Err(Missing::Late(end))),
            Ok(_) if cut <= now => return Poll::Ready(Err(Missing::Late(cut_by))),
            Ok(due) => client.timer.set_due(due.min(cut)),
        }
        if client.timer.is_cut() {
            return Poll::Ready(Err(Missing::Cut));
        }
        Poll::Pending
    })
    .await;
    gathered.map_err(|missing| match missing {
        Missing::Gone => Failure::Over(Next::Drop),
        Missing::Cut => Failure::Reply(Reply::no_token("this worker is being replaced")),
        Missing::Bad => Failure::Reply(Reply::bad_body()),
        Missing::Late(end) => {
            record::wait_ended(&flight.client.worker, None, end);
            Failure::Reply(match end {
                WaitEnd::Exchange => Reply::cut(end),
                _ => Reply::request_timeout("the request body did not arrive in time"),
            })
        }
    })
}
