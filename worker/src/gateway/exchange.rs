//! The way of a request, top to bottom. Each step is a file of its name; a new rule is a new step, and a line here.

use crate::{
    gateway::{
        access,
        attempt::Attempt,
        breaker, challenge,
        choose::choose,
        client::Client,
        flight::{Failure, Flight, Next},
        gather::{await_body, gather},
        journal,
        lend::{get_lease, give_back, lend},
        login_path::admit,
        permit::{self, await_permit, permit},
        prove::{is_sent_once, prove},
        rate, redirect,
        route::route,
        stamp::stamp,
        tally::Tally,
        verdict::{Verdict, conclude, fail, judge, pass, renew},
    },
    http1::body::Body,
    http1::request::Request,
    message::head::Head,
    message::reply::Reply,
    rarely::{Likely as _, rarely, seldom},
    upstream::Link,
};

/// Takes a request its way: to the upstream's answer, or to one of tpp's own.
pub(crate) async fn run(client: &mut Client, request: &Request, head: &Head) -> Next {
    client.worker.counters().requests.add(1);
    if let Some(proof) = challenge::proof(client, head) {
        return rarely(answer_at_once(client, (request, head), &proof)).await;
    }
    let found = match route(client, head) {
        Ok(found) => found,
        Err(reply) => return rarely(answer_at_once(client, (request, head), &reply)).await,
    };
    let mut flight = Flight::new(client, request, head, found);
    if let Some(tally) = Tally::begin(&flight.client.worker, &flight.site) {
        flight.client.holdings.sheet().tally = Some(tally);
    }
    journal::found(&mut flight);
    flight.client.begin_exchange();
    let outcome = way(&mut flight).await;
    flight.client.end_exchange();
    journal::note_outcome(&mut flight, &outcome);
    give_back(&mut flight);
    permit::note_end(&flight);
    let next = match outcome {
        Ok(next) | Err(Failure::Over(next)) => next,
        Err(Failure::Reply(reply)) => rarely(answer(&mut flight, &reply)).await,
    };
    flight.client.holdings.release();
    next
}

async fn way(flight: &mut Flight<'_>) -> Result<Next, Failure> {
    redirect::check(flight).likely()?;
    access::check(flight).likely()?;
    rate::check(flight).likely()?;
    admit(flight).likely()?;
    breaker::ask(flight).likely()?;
    // What has to be waited for is seldom: a request that finds all there takes no more than a look at each.
    let has_all = gather(flight).likely()?
        && lend(flight).likely()?
        && !is_sent_once(flight)
        && permit(flight);
    if seldom(!has_all) {
        rarely(await_all(flight)).await?;
    }
    loop {
        let mut attempt = Attempt::new(choose(flight).await.likely()?);
        if !stamp(flight, &mut attempt).likely()? {
            continue;
        }
        let came = attempt.head(flight).await;
        let answer = (attempt.state.head.status(), &*attempt.wire);
        flight.client.notes.has_head(came.is_ok().then_some(answer));
        let mut verdict = judge(flight, &mut attempt, came);
        if matches!(verdict, Verdict::Refused) {
            verdict = rarely(renew(flight, &mut attempt)).await?;
        }
        let broke = match verdict {
            Verdict::Again | Verdict::Refused => continue,
            Verdict::Broke(cause) => cause,
            Verdict::Pass => match pass(flight, &mut attempt).await {
                Ok(()) => {
                    let next = conclude(&attempt);
                    if attempt.upstream_is_clean(flight) {
                        // Taken apart: an attempt is too large to be moved for nothing.
                        let said = attempt.state.head.keep_for();
                        let Attempt {
                            backend,
                            wire,
                            address,
                            origin,
                            ..
                        } = attempt;
                        let link = Link {
                            wire,
                            address,
                            origin,
                        };
                        let now = flight.client.worker.clock.now();
                        backend.upstream.keep(link, said, now);
                    }
                    return Ok(next);
                }
                Err(cause) => cause,
            },
        };
        return Err(rarely(fail(flight, attempt, broke)).await);
    }
}

/// Waits for what is not there yet, in the same order: what is there is looked at again.
async fn await_all(flight: &mut Flight<'_>) -> Result<(), Failure> {
    if !gather(flight)? {
        await_body(flight).await?;
    }
    get_lease(flight).await?;
    if is_sent_once(flight) {
        prove(flight).await?;
    }
    if !permit(flight) {
        await_permit(flight).await?;
    }
    Ok(())
}

/// Answers a request that is for no host here. A body that comes with it is not waited for.
async fn answer_at_once(client: &mut Client, asked: (&Request, &Head), reply: &Reply) -> Next {
    let (request, _) = asked;
    let stays = request.body == Body::EMPTY && request.keep_alive && !client.worker.is_draining();
    match client.say(reply, Some(asked), !stays).await {
        Err(_) => Next::Drop,
        Ok(()) if stays => Next::Request,
        Ok(()) => Next::End,
    }
}

/// Answers in the upstream's stead.
async fn answer(flight: &mut Flight<'_>, reply: &Reply) -> Next {
    let client = &mut *flight.client;
    client.holdings.note_status(reply.status());
    let stays = flight.upload.is_over()
        && flight.request.keep_alive
        && !client.has_lost_its_lease
        && !flight.is_last
        && !client.worker.is_draining();
    let asked = Some((flight.request, flight.head));
    match client.say(reply, asked, !stays).await {
        Err(_) => Next::Drop,
        Ok(()) if stays => Next::Request,
        Ok(()) => Next::End,
    }
}
