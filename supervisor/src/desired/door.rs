//! The one door for changes of the desired state.

use std::sync::Arc;

use serde_json::Value;
use tokio::{
    sync::{Mutex, MutexGuard, watch},
    task::spawn_blocking,
};
use tpp::config::{self, BackendState, Config};
use tracing::{error, info, warn};

use super::{
    edit::{Refusal, tagged},
    resource::Resource,
    state::{State, shown},
    store::Store,
};
use crate::plans::{Plans, Reached, inputs_for};

/// The desired state of this supervisor, and the way to change it.
#[derive(Debug)]
pub struct Desired {
    plans: Arc<Plans>,
    /// Where changes are kept; `None`: in memory alone.
    store: Mutex<Option<Store>>,
    state: watch::Sender<Arc<State>>,
}

/// A change that was made.
#[derive(Debug, Clone)]
pub struct Done {
    /// The state from then on.
    pub state: Arc<State>,
    /// The plan that has it, and who does not act on that yet.
    pub reached: Reached,
}

/// One who may change the desired state; others wait.
pub(crate) struct DoorTurn<'a> {
    desired: &'a Desired,
    store: MutexGuard<'a, Option<Store>>,
}

/// Where `config` has changes kept.
pub(crate) fn store_of(config: &Config) -> Option<Store> {
    let persists = config.api.as_ref().is_none_or(|api| api.persist);
    persists.then(|| Store::new(&config.state_directory))
}

/// What `config` and the changes kept for it come to.
pub(crate) fn first_state(config: &Config) -> State {
    let saved = match store_of(config).map(|store| store.load()) {
        None => None,
        Some(Ok(saved)) => saved,
        Some(Err(error)) => {
            let error = anyhow::Error::from(error);
            error!(error = format!("{error:#}"), "changes made by API are lost");
            None
        }
    };
    let state = State::restored(Arc::new(config.clone()), saved);
    for one in &state.rejected {
        let (kind, reason) = (&one.kind, &one.reason);
        warn!(kind, reason, "a change made by API is set aside");
    }
    say_dropped(&state);
    state
}

fn say_dropped(state: &State) {
    for what in &state.dropped {
        warn!(what, "a change made by API has ended");
    }
}

impl Desired {
    /// With `state` in force.
    pub(crate) fn new(plans: Arc<Plans>, state: State) -> Self {
        let desired = Self {
            plans,
            store: Mutex::new(store_of(&state.file)),
            state: watch::Sender::new(Arc::new(state)),
        };
        desired.hold_to_pauses();
        desired
    }

    /// Has those pools lend nothing that are to be paused, and the others lend: a pool may be in a new region, or be left half-way. Of
    /// none that was kept it is as a predecessor has left it.
    fn hold_to_pauses(&self) {
        let state = self.state();
        let Some(paused) = &state.paused else {
            return;
        };
        for (name, pool) in self.plans.pools().all() {
            let is_paused = pool.stock.terms().is_paused();
            match (paused.contains(&name), is_paused) {
                (true, false) => pool.stock.pause(),
                (false, true) => pool.stock.resume(),
                _ => {}
            }
        }
    }

    /// What is to be in force.
    pub fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.borrow())
    }

    /// The same, for those who follow it.
    pub(crate) fn follow(&self) -> watch::Receiver<Arc<State>> {
        self.state.subscribe()
    }

    /// Waits until nobody else changes it.
    pub(crate) async fn turn(&self) -> DoorTurn<'_> {
        DoorTurn {
            desired: self,
            store: self.store.lock().await,
        }
    }

    /// Makes the entry in `body`, ordered by `who`; its name comes along.
    ///
    /// # Errors
    /// Why not.
    pub async fn create<T: Resource>(
        self: &Arc<Self>,
        who: &str,
        body: Value,
    ) -> Result<(Done, String), Refusal> {
        let what = |name: Option<&String>| match name {
            Some(name) => format!("create {} {name}", T::KIND),
            None => format!("create {}", T::KIND),
        };
        self.change(who, what, move |state| state.create::<T>(&body))
            .await
    }

    /// Lays `body` over the entry `name`, as `how` says. With `expected` the entry must be that version.
    ///
    /// # Errors
    /// Why not.
    pub async fn edit<T: Resource>(
        self: &Arc<Self>,
        who: &str,
        name: &str,
        (body, how): (Value, config::Overlay),
        expected: Option<u64>,
    ) -> Result<Done, Refusal> {
        let (what, name) = (format!("change {} {name}", T::KIND), name.to_owned());
        self.change(
            who,
            |_| what,
            move |state| Ok((state.edit::<T>(&name, (&body, how), expected)?, ())),
        )
        .await
        .map(|(done, ())| done)
    }

    /// Takes the entry `name` away, which was made by API. `force`: even if it is the last backend of a tag in use.
    ///
    /// # Errors
    /// Why not.
    pub async fn delete<T: Resource>(
        self: &Arc<Self>,
        who: &str,
        name: &str,
        expected: Option<u64>,
        force: bool,
    ) -> Result<Done, Refusal> {
        let (what, name) = (format!("delete {} {name}", T::KIND), name.to_owned());
        self.change(
            who,
            |_| what,
            move |state| Ok((state.delete::<T>(&name, expected, force)?, ())),
        )
        .await
        .map(|(done, ())| done)
    }

    /// Has backends with `tag` serve `domain`: all of its clients, or so many percent. `require_healthy`: only if one of them can.
    ///
    /// # Errors
    /// Why not.
    pub async fn switch(
        self: &Arc<Self>,
        who: &str,
        domain: &str,
        tag: &str,
        percent: Option<u32>,
        require_healthy: bool,
    ) -> Result<Done, Refusal> {
        let what = format!("switch {domain} to {tag}");
        let (domain, tag) = (domain.to_owned(), tag.to_owned());
        let plans = Arc::clone(&self.plans);
        self.change(
            who,
            |_| what,
            move |state| {
                let next = state.switch(&domain, &tag, percent)?;
                if require_healthy {
                    let serving = plans.serving();
                    if !tagged(&next.gateway, &tag).any(|one| serving.contains(&one.id)) {
                        let reason = format!(
                            "no backend with the tag {tag:?} is healthy and takes requests"
                        );
                        return Err(Refusal::Conflict(reason));
                    }
                }
                Ok((next, ()))
            },
        )
        .await
        .map(|(done, ())| done)
    }

    /// Says what an administrator wants of backend `id`.
    ///
    /// # Errors
    /// Why not.
    pub async fn set_state(
        self: &Arc<Self>,
        who: &str,
        id: &str,
        state: BackendState,
    ) -> Result<Done, Refusal> {
        let (what, id) = (format!("backend {id} {}", state.word()), id.to_owned());
        self.change(
            who,
            |_| what,
            move |before| Ok((before.set_state(&id, state)?, ())),
        )
        .await
        .map(|(done, ())| done)
    }

    /// Has the pool `name` lend nothing, or lend again: from now on, over restarts as well. False: there is no such pool.
    ///
    /// # Errors
    /// If it cannot be kept; then nothing has changed.
    pub(crate) async fn set_paused(
        self: &Arc<Self>,
        who: &str,
        name: &str,
        is_paused: bool,
    ) -> Result<bool, String> {
        let (desired, who, name) = (Arc::clone(self), who.to_owned(), name.to_owned());
        let changing = tokio::spawn(async move {
            let outcome = desired.turn().await.set_paused(&name, is_paused).await;
            let what = format!(
                "pool {name}: {}",
                if is_paused { "pause" } else { "resume" }
            );
            match &outcome {
                Ok(true) => {
                    let generation = desired.plans.in_force().generation;
                    info!(who, what, generation, "changed by API");
                }
                Ok(false) => {}
                Err(reason) => info!(who, what, reason, "change by API refused"),
            }
            outcome
        });
        let broken = |error| Err(format!("the change broke down: {error}"));
        changing.await.unwrap_or_else(broken)
    }

    /// Makes a change as a task of its own: whoever asked for it may go, and it is made all the same, or not at all.
    async fn change<R: Send + 'static>(
        self: &Arc<Self>,
        who: &str,
        what: impl FnOnce(Option<&R>) -> String + Send + 'static,
        make: impl FnOnce(&State) -> Result<(State, R), Refusal> + Send + 'static,
    ) -> Result<(Done, R), Refusal> {
        let (desired, who) = (Arc::clone(self), who.to_owned());
        let changing = tokio::spawn(async move {
            let outcome = desired.turn().await.change(make).await;
            let what = what(outcome.as_ref().ok().map(|(_, told)| told));
            match &outcome {
                Ok((done, _)) => {
                    let generation = done.reached.generation;
                    info!(who, what, generation, "changed by API");
                }
                Err(refusal) => info!(who, what, ?refusal, "change by API refused"),
            }
            outcome
        });
        let broken = |error| Err(Refusal::Failed(format!("the change broke down: {error}")));
        changing.await.unwrap_or_else(broken)
    }
}

impl DoorTurn<'_> {
    /// The state under another file.
    ///
    /// # Errors
    /// If what was changed by API does not go together with it.
    pub(crate) fn under(&self, config: Config) -> Result<State, String> {
        let state = self.desired.state();
        state.under(Arc::new(config)).map_err(|problems| {
            let lines: Vec<_> = problems.iter().map(shown).collect();
            let lines = lines.join("; ");
            format!("what was changed by API does not go together with it: {lines}")
        })
    }

    /// Goes on with the state that a reload has put in force.
    pub(crate) async fn settle(mut self, state: State) {
        say_dropped(&state);
        *self.store = store_of(&state.file);
        if !state.dropped.is_empty()
            && let Err(reason) = self.keep(&state).await
        {
            warn!(reason, "changes made by API are not kept as they are now");
        }
        self.desired.state.send_replace(Arc::new(state));
        self.desired.hold_to_pauses();
    }

    async fn set_paused(self, name: &str, is_paused: bool) -> Result<bool, String> {
        let pool = self.desired.plans.pools().all().remove(name);
        let Some(pool) = pool else {
            return Ok(false);
        };
        let before = self.desired.state();
        let next = before.with_paused(name, is_paused);
        if next.paused != before.paused {
            // First of all: whoever finds us dead half-way goes on.
            self.keep(&next).await?;
            self.desired.state.send_replace(Arc::new(next));
        }
        if is_paused {
            pool.stock.pause();
        } else {
            pool.stock.resume();
        }
        Ok(true)
    }

    async fn change<R>(
        self,
        make: impl FnOnce(&State) -> Result<(State, R), Refusal>,
    ) -> Result<(Done, R), Refusal> {
        let before = self.desired.state();
        let (next, told) = make(&before)?;
        let plans = &self.desired.plans;
        if next.gateway == before.gateway {
            let generation = plans.in_force().generation;
            let lagging = plans.lagging(generation);
            let reached = Reached {
                generation,
                lagging,
            };
            let state = before;
            return Ok((Done { state, reached }, told));
        }
        let turn = plans.turn().await;
        let settings = turn.inputs().settings.clone();
        let (inputs, _) = inputs_for(&turn, settings, Arc::clone(&next.gateway)).await;
        // It is right, and there is no room for it, say: as of a reload, nothing has changed.
        let prepared = turn.prepare(inputs).await.map_err(Refusal::Conflict)?;
        // First of all: what is in force is kept, whatever happens to us.
        if let Err(reason) = self.keep(&next).await {
            turn.forget();
            return Err(Refusal::Failed(reason));
        }
        let reached = match turn.publish(prepared).await {
            Ok(reached) => reached,
            Err(reason) => {
                // What was kept before is true again.
                if let Err(error) = self.keep(&before).await {
                    warn!(error, "a change that was not made is kept all the same");
                }
                return Err(Refusal::Failed(reason));
            }
        };
        let state = Arc::new(next);
        self.desired.state.send_replace(Arc::clone(&state));
        Ok((Done { state, reached }, told))
    }

    async fn keep(&self, state: &State) -> Result<(), String> {
        let Some(store) = self.store.clone() else {
            return Ok(());
        };
        let saved = state.saved();
        let shown = store.shown();
        // Disks take their time.
        let saving = spawn_blocking(move || store.save(&saved)).await;
        let saved = saving.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        saved.map_err(|error| format!("write {shown}: {error}"))
    }
}
