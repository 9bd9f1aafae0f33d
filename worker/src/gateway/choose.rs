//! Where a request goes: a backend, and a connection to it, kept or new.

use std::{collections::BTreeMap, sync::Arc};

use tpp::{
    config::{Affinity, BackendState, Balance},
    ids::Origin,
    lending::WorkerSettings,
    shared::Failing,
};

use crate::{
    gateway::{
        affinity,
        attempt::Chosen,
        breaker::{self, Guard},
        client::Client,
        conduct,
        flight::{Failure, Flight},
        held::Held,
        origin::{fit, fitting, note_unreachable},
        permit::{await_permit_at, permit_at},
        retry::may_retry,
        sent::Counted,
    },
    message::reply::Reply,
    rarely::{Likely as _, rarely, seldom},
    upstream::{Link, Upstream, transport::Unreachable},
    view::{backend::Backend, member::Member, site::Group},
    wire::attend::{AtEnd, Interrupt, attend},
};

/// In words, of one that health checks speak against, or that cannot be reached.
const DOWN: &str = "down";

/// A backend and a connection to it, for the next attempt.
pub(crate) async fn choose(flight: &mut Flight<'_>) -> Result<Chosen, Failure> {
    match at_once(flight).likely() {
        Ok(chosen) => Ok(chosen),
        Err(lack) => rarely(supply(flight, lack)).await,
    }
}

/// What keeps a request from being sent at once.
enum Lack {
    /// The plan in force and its token do not belong together.
    Fit,
    /// No backend takes it with a token of this origin.
    Backend(Origin),
    /// As many as may be are under way at its backend, for which these settings hold.
    Permit(Candidate, Arc<WorkerSettings>),
    /// There is no connection to its backend.
    Link(Candidate),
}

/// A backend that was found.
struct Candidate {
    backend: Arc<Backend>,
    counted: Option<Counted>,
    origin: Origin,
}

impl Candidate {
    fn reached_by(self, link: Link, is_reused: bool) -> Chosen {
        Chosen {
            backend: self.backend,
            counted: self.counted,
            link,
            is_reused,
        }
    }
}

fn at_once(flight: &mut Flight<'_>) -> Result<Chosen, Lack> {
    let origin = fitting(flight).ok_or(Lack::Fit).likely()?;
    let group = Arc::clone(&flight.group);
    let member = pick(flight, &group, origin);
    let member = member.ok_or(Lack::Backend(origin)).likely()?;
    let candidate = Candidate {
        backend: Arc::clone(&member.backend),
        counted: Counted::begin(flight, member),
        origin,
    };
    if seldom(!permit_at(flight, &member.backend)) {
        return Err(Lack::Permit(candidate, Arc::clone(&member.settings)));
    }
    flight.client.serve_as(&member.settings);
    reach(flight, candidate)
}

/// Takes a connection that is there.
fn reach(flight: &mut Flight<'_>, candidate: Candidate) -> Result<Chosen, Lack> {
    let (client, backend) = (&mut *flight.client, &candidate.backend);
    client.notes.tries(backend);
    if seldom(client.held.as_ref().is_some_and(Held::is_shared)) {
        backend.upstream.drop_unsent();
    }
    let (origin, now) = (candidate.origin, client.worker.clock.now());
    let kept = flight
        .may_reuse
        .then(|| backend.upstream.reuse(origin, now));
    match kept.flatten().likely() {
        Some(link) => Ok(candidate.reached_by(link, true)),
        None => Err(Lack::Link(candidate)),
    }
}

/// Sees to what lacks, and to what lacks then.
async fn supply(flight: &mut Flight<'_>, mut lack: Lack) -> Result<Chosen, Failure> {
    loop {
        let found = match lack {
            Lack::Fit => {
                fit(flight).await?;
                at_once(flight)
            }
            Lack::Backend(origin) => {
                let group = Arc::clone(&flight.group);
                change_token(flight, &group, origin)?;
                at_once(flight)
            }
            Lack::Permit(candidate, settings) => {
                await_permit_at(flight, &candidate.backend).await?;
                flight.client.serve_as(&settings);
                reach(flight, candidate)
            }
            Lack::Link(candidate) => {
                let (backend, origin) = (&candidate.backend, candidate.origin);
                match connect(flight.client, &backend.upstream, origin).await? {
                    Ok(link) => Ok(candidate.reached_by(link, false)),
                    Err(unreachable) => {
                        note_no_connection(flight, backend, origin, &unreachable)?;
                        drop(candidate);
                        at_once(flight)
                    }
                }
            }
        };
        match found {
            Ok(chosen) => return Ok(chosen),
            Err(next) => lack = next,
        }
    }
}

/// A backend took no connection.
///
/// # Errors
/// What is said, if no other one is to be tried.
#[cold]
fn note_no_connection(
    flight: &mut Flight<'_>,
    backend: &Arc<Backend>,
    origin: Origin,
    unreachable: &Unreachable,
) -> Result<(), Failure> {
    note_unreachable(flight.client, &backend.upstream, origin);
    count(flight, Failing::Connect);
    conduct::note_failure(flight, backend);
    breaker::note_unreachable(flight);
    let failure = no_connection(unreachable);
    if !may_retry(flight, backend) {
        breaker::note_failure(flight);
        return Err(failure);
    }
    flight.trouble().unreachable = Some(failure);
    Ok(())
}

/// No backend can be chosen for a token of `origin`: another token may lead to another one.
///
/// # Errors
/// What is said, if none may.
#[cold]
fn change_token(flight: &mut Flight<'_>, group: &Group, origin: Origin) -> Result<(), Failure> {
    let trouble = flight.trouble.as_mut();
    if let Some(failure) = trouble.and_then(|trouble| trouble.unreachable.take()) {
        breaker::note_failure(flight);
        return Err(failure);
    }
    if give_back_bound(flight, group, origin) {
        return Ok(());
    }
    count(flight, Failing::NoBackend);
    Err(Failure::Reply(nobody(group)))
}

/// The backend for the next attempt, among those that tokens of `origin` may be sent to.
fn pick<'g>(flight: &mut Flight<'_>, group: &'g Group, origin: Origin) -> Option<&'g Member> {
    let Some(guard) = Guard::of(flight) else {
        return look_for(flight, group, origin, None).map(|(member, _)| member);
    };
    loop {
        let (member, is_let_through) = look_for(flight, group, origin, Some(&guard))?;
        // Another worker may have taken the probe that was due.
        if breaker::ask_for(flight, member) || !is_let_through {
            return Some(member);
        }
    }
}

/// A backend, and whether its own breaker lets requests through: one that does not is passed by as long as another one can serve.
fn look_for<'g>(
    flight: &mut Flight<'_>,
    group: &'g Group,
    origin: Origin,
    guard: Option<&Guard>,
) -> Option<(&'g Member, bool)> {
    let trouble = flight.trouble.take();
    let is_tried = |backend: &Arc<Backend>| {
        let tried = trouble.as_ref().map(|trouble| &trouble.tried);
        tried.is_some_and(|tried| tried.iter().any(|one| Arc::ptr_eq(one, backend)))
    };
    let fits = |member: &Member| {
        let backend = &member.backend;
        let is_open = backend.upstream.serves(origin) || !backend.upstream.has_addresses();
        backend.is_up() && is_open && !is_tried(backend)
    };
    let serves = |member: &Member| fits(member) && !member.backend.is_out();
    let serves_well =
        |member: &Member| serves(member) && guard.is_none_or(|guard| guard.lets(member));
    let followed = match flight.site.plan.host.affinity {
        Affinity::Cookie => affinity::follow(flight, group, serves_well),
        Affinity::None => None,
    };
    let key = || match &flight.site.plan.host.balance {
        Balance::Hash(by) => flight.client.hash_key(flight.head, by),
        _ => 0,
    };
    let has_room = |member: &Member| serves_well(member) && member.backend.has_room();
    let well = followed
        .or_else(|| group.pick(key, has_room))
        // Where none has room, there is a line.
        .or_else(|| group.pick(key, serves_well));
    let is_let_through = well.is_some();
    let found = well
        .or_else(|| guard.and_then(|_| group.pick(key, serves)))
        // One that failed others is better than none.
        .or_else(|| group.pick(key, fits))
        // What is bound to a backend that takes nothing new goes on there.
        .or_else(|| {
            let mut bound = group.members.iter().filter(|_| origin != Origin::NONE);
            bound.find(|member| fits(member))
        });
    flight.trouble = trouble;
    found.map(|member| (member, is_let_through))
}

/// Gives up a token that is good at a backend alone that is down, while others serve. Whether it did: another one is to be lent.
fn give_back_bound(flight: &mut Flight<'_>, group: &Group, origin: Origin) -> bool {
    let others =
        |member: &Member| member.backend.takes_new() && !member.backend.upstream.serves(origin);
    let gives =
        flight.may_change_token && flight.client.held.is_some() && group.members.iter().any(others);
    if gives {
        // Once: the supervisor takes what is bound to it out of use, and until then the next one may be no better.
        flight.may_change_token = false;
        flight.client.held = None;
    }
    gives
}

fn count(flight: &Flight<'_>, cause: Failing) {
    if let Some(tally) = flight.client.holdings.tally() {
        tally.failed(cause);
    }
}

/// Why nobody serves.
#[cold]
fn nobody(group: &Group) -> Reply {
    let tag = group.tag();
    Reply::no_backend(match why_not(group).as_str() {
        _ if group.members.is_empty() => format!("no backend has the tag {tag:?}"),
        "" => format!("all backends with the tag {tag:?} are down"),
        why => format!("no backend with the tag {tag:?} takes requests: {why}"),
    })
}

/// What keeps the backends from new clients, where it is not for all of them that they are down.
fn why_not(group: &Group) -> String {
    let plans = group.members.iter().map(|member| &member.backend.plan);
    let causes = plans.map(|plan| match plan.state {
        BackendState::Maint => "in maintenance",
        _ if !plan.is_healthy => DOWN,
        BackendState::Drain => "draining",
        BackendState::Ready if plan.weight == 0 => "of weight 0",
        BackendState::Ready => DOWN,
    });
    let mut counts = BTreeMap::<_, usize>::new();
    causes.for_each(|cause| *counts.entry(cause).or_default() += 1);
    if counts.keys().all(|cause| *cause == DOWN) {
        return String::new();
    }
    let told = counts
        .iter()
        .map(|(cause, count)| format!("{count} {cause}"));
    told.collect::<Vec<_>>().join(", ")
}

#[cold]
fn no_connection(unreachable: &Unreachable) -> Failure {
    Failure::Reply(if unreachable.is_slow() {
        Reply::gateway_timeout("the upstream did not accept the connection in time")
    } else {
        Reply::bad_gateway(unreachable.to_string())
    })
}

async fn connect(
    client: &mut Client,
    upstream: &Upstream,
    origin: Origin,
) -> Result<Result<Link, Unreachable>, Failure> {
    let now = client.worker.clock.now();
    let dial = client.settings.upstream.connect_timeout;
    // The connect has limits of its own.
    let limit = client.bounded(None);
    let connected = attend(
        &client.worker.clock,
        &client.timer,
        &mut client.wire,
        AtEnd::Stay,
        limit,
        upstream.connect(origin, dial, now),
    )
    .await;
    connected.map_err(|interrupt| match interrupt {
        Interrupt::Late => {
            let held = client.give_up();
            held.map_or_else(|| Failure::from(interrupt), Failure::Reply)
        }
        Interrupt::Gone | Interrupt::Cut => Failure::from(interrupt),
    })
}
