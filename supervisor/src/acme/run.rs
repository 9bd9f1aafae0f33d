//! Does what is due, for as long as the supervisor lives.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{select, sync::watch, task::spawn_blocking, time::sleep};
use tpp::{clock::unix_seconds, front::Challenges};
use tracing::{error, info, warn};

use super::{
    Acme, Step,
    failure::Failure,
    order::{Show, With},
    record::{Held, Record},
    schedule::{Kind, Trouble, Window},
    with,
};
use crate::{desired::State, front::FrontDoor, plans::Plans};

/// The system's clock is looked at so often at least: it may be set.
const LOOK: Duration = Duration::from_secs(30);
/// How long a worker that responds may take to answer a challenge …
const REACH_LIMIT: Duration = Duration::from_secs(10);
/// … and how often it is looked whether it does.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Where challenges are answered: at all workers.
struct Workers {
    acme: Arc<Acme>,
    front: Arc<FrontDoor>,
    plans: Arc<Plans>,
}

impl Show for Workers {
    async fn show(&self, challenges: Challenges) -> Result<(), String> {
        let has_to_be_seen = challenges != Challenges::default();
        self.acme.inner().challenges = challenges;
        self.front.show(self.acme.own())?;
        if !has_to_be_seen {
            return Ok(());
        }
        let reached = self.plans.restate().await?;
        let deadline = Instant::now() + REACH_LIMIT;
        while !self.plans.lagging(reached.generation).is_empty() && Instant::now() < deadline {
            sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }
}

/// Orders and renews certificates for as long as it is polled; what is wanted comes by `desired`.
pub(crate) async fn run(
    acme: Arc<Acme>,
    (front, plans): (Arc<FrontDoor>, Arc<Plans>),
    mut desired: watch::Receiver<Arc<State>>,
) {
    let workers = Workers {
        acme: Arc::clone(&acme),
        front,
        plans,
    };
    loop {
        let (state, of) = (Arc::clone(&desired.borrow_and_update()), Arc::clone(&acme));
        if spawn_blocking(move || of.take(&state)).await.is_err() {
            return;
        }
        workers.show_certificates();
        while let Ok(false) = desired.has_changed() {
            let now = unix_seconds();
            match acme.next() {
                Some((at, step, host)) if at <= now => match step {
                    Step::Order => workers.order(&host).await,
                    Step::Ask => acme.ask(&host).await,
                },
                next => {
                    let left = next.map(|(at, ..)| Duration::from_secs(at - now));
                    let pause = left.map_or(LOOK, |left| left.min(LOOK));
                    select! {
                        _ = desired.changed() => break,
                        () = sleep(pause) => {}
                    }
                }
            }
        }
        if desired.has_changed().is_err() {
            return;
        }
    }
}

impl Workers {
    fn show_certificates(&self) {
        if let Err(reason) = self.front.show(self.acme.own()) {
            error!(reason, "the workers keep the old certificates");
        }
    }

    /// Orders a certificate for `host`, and says what came of it.
    async fn order(&self, host: &str) {
        let acme = &self.acme;
        let with = acme.with();
        let Begun { replaces, is_first } = acme.begin(host);
        // Whatever ends us in the middle, there is a pause after it; and what cannot be kept is not ordered.
        let outcome = match acme.keep(host, &with).await {
            Ok(()) => with.order(host, replaces.as_ref(), self).await,
            Err(reason) => Err(Failure::new(Kind::Refused, reason)),
        };
        acme.inner().challenges = Challenges::default();
        let outcome = outcome.and_then(usable);
        match outcome {
            Ok(held) => {
                let days = held.certified.about().days_left(unix_seconds());
                acme.issued(host, held);
                info!(host, days, is_first, "certificate issued");
            }
            Err(failure) => {
                let reason = failure.words.clone();
                let retry_at = acme.failed(host, failure);
                let retry_in_seconds = retry_at.saturating_sub(unix_seconds());
                warn!(host, reason, retry_in_seconds, "certificate not issued");
            }
        }
        self.show_certificates();
        acme.keep_as_well_as_can_be(host, &with).await;
    }
}

/// One that would be ordered anew at once is of no use, and would be ordered without end.
fn usable(held: Held) -> Result<Held, Failure> {
    let authority = held.authority.clone();
    let record = Record {
        held: Some(held.clone()),
        ..Record::default()
    };
    if record.case(&authority, "").order_at() > unix_seconds() {
        return Ok(held);
    }
    let reason = "by this machine's clock it ends too soon";
    Err(Failure::new(
        Kind::Refused,
        format!("what it gave: {reason}"),
    ))
}

/// An order that begins.
#[derive(Default)]
struct Begun {
    /// The certificate that the authority is to be told of.
    replaces: Option<Held>,
    /// Whether there was none before.
    is_first: bool,
}

impl Acme {
    /// Notes that a certificate for `host` is being ordered, as a try in vain until it proves otherwise.
    fn begin(&self, host: &str) -> Begun {
        let mut inner = self.inner();
        let of = with(&inner.settings);
        let Some(host) = inner.hosts.get_mut(host) else {
            return Begun::default();
        };
        host.is_ordering = true;
        let record = &mut host.record;
        host.before = record.trouble.take();
        let before = host.before.as_ref();
        let kind = before.map_or(Kind::Unreachable, |before| before.kind);
        let why = (kind, "it was not brought to an end".to_owned());
        let lot = rand::random();
        record.trouble = Some(Trouble::after(
            before,
            why,
            None,
            (&of, lot),
            unix_seconds(),
        ));
        let knows = record.window.as_ref().is_some_and(Window::is_said);
        Begun {
            replaces: record.held.clone().filter(|_| knows),
            is_first: record.held.is_none(),
        }
    }

    fn issued(&self, host: &str, held: Held) {
        let mut inner = self.inner();
        inner.counts.issued += 1;
        if let Some(host) = inner.hosts.get_mut(host) {
            host.is_ordering = false;
            host.before = None;
            host.record = Record {
                held: Some(held),
                ..Record::default()
            };
        }
    }

    /// When the next try is made comes back.
    fn failed(&self, host: &str, failure: Failure) -> u64 {
        let mut inner = self.inner();
        match failure.kind {
            Kind::Unreachable => inner.counts.unreachable += 1,
            Kind::Limited => inner.counts.limited += 1,
            Kind::Refused => inner.counts.refused += 1,
        }
        let (of, now) = (with(&inner.settings), unix_seconds());
        let authority = inner.settings.url().to_owned();
        let Some(host) = inner.hosts.get_mut(host) else {
            return now;
        };
        host.is_ordering = false;
        let before = host.before.take();
        let why = (failure.kind, failure.words);
        let (spared, lot) = (failure.spared, rand::random());
        let trouble = Trouble::after(before.as_ref(), why, spared, (&of, lot), now);
        host.record.trouble = Some(trouble);
        host.record.case(&authority, &of).order_at()
    }

    /// Asks when the certificate of `host` is to be renewed.
    async fn ask(&self, host: &str) {
        let with = self.with();
        let held = self
            .inner()
            .hosts
            .get(host)
            .and_then(|host| host.record.held.clone());
        let Some(held) = held else {
            return;
        };
        let now = unix_seconds();
        let said = with.ask(&held, now).await;
        if let Some(host) = self.inner().hosts.get_mut(host) {
            let before = host.record.window.take();
            host.record.window = said.or_else(|| Some(Window::silent(before.as_ref(), now)));
        }
        self.keep_as_well_as_can_be(host, &with).await;
    }

    async fn keep_as_well_as_can_be(&self, host: &str, with: &With) {
        if let Err(reason) = self.keep(host, with).await {
            error!(host, reason, "what is known of a certificate is not kept");
        }
    }

    /// Keeps what is known of `host`.
    async fn keep(&self, host: &str, with: &With) -> Result<(), String> {
        let record = self.inner().hosts.get(host).map(|host| host.record.clone());
        let Some(record) = record else {
            return Ok(());
        };
        let (store, host) = (with.store.clone(), host.to_owned());
        let kept = spawn_blocking(move || store.save(&host, &record)).await;
        kept.unwrap_or_else(|error| Err(error.to_string()))
    }
}
