//! Where the upstream is, and the plans that tell the workers: its name is resolved here, never on a request's path.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::{MutexGuard, watch};
use tpp::{
    config::Upstream,
    lending::{Stock, WorkerSettings},
    plan::{Place as Backend, Plan, PlanError, Sealed, Server},
};
use tracing::{error, warn};

use crate::{
    fleet::{FleetHandle, Order},
    refresh::RefreshHandle,
    resolve::{Resolution, Resolver},
};

/// Longer than any look is put off: the wait when there is nothing to look up.
const NOTHING_DUE: Duration = Duration::from_secs(3600);
/// How long the workers may take to act on a plan. One that is stopped takes longer, and sends nothing meanwhile.
const REACH_LIMIT: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// The addresses as last published.
#[derive(Debug, Clone, Default)]
pub(crate) struct UpstreamAddresses(Arc<Mutex<Vec<SocketAddr>>>);

impl UpstreamAddresses {
    /// The addresses; none as long as the name did not resolve.
    pub(crate) fn list(&self) -> Vec<SocketAddr> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn note(&self, addresses: &[SocketAddr]) {
        addresses.clone_into(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The plans of this supervisor, one after another.
#[derive(Debug)]
pub(crate) struct Plans {
    stock: Arc<Stock>,
    fleet: FleetHandle,
    addresses: UpstreamAddresses,
    current: tokio::sync::Mutex<Current>,
}

/// Of what the plan in force was made.
#[derive(Debug)]
struct Current {
    settings: WorkerSettings,
    server: Server,
    addresses: Vec<SocketAddr>,
}

/// A plan that can be put in force.
#[derive(Debug)]
pub(crate) struct Prepared {
    sealed: Sealed,
    backends: Vec<Backend>,
    of: Current,
}

impl Prepared {
    /// Where tokens are drawn and used under this plan.
    pub(crate) fn backends(&self) -> &[Backend] {
        &self.backends
    }
}

/// One who may change the plan; others wait.
pub(crate) struct Turn<'a> {
    plans: &'a Plans,
    current: MutexGuard<'a, Current>,
}

impl Plans {
    /// Makes the first plan of a supervisor. The fleet puts it in force when it begins.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(crate) fn first(
        (stock, fleet): (Arc<Stock>, FleetHandle),
        settings: WorkerSettings,
        server: Server,
        addresses: Vec<SocketAddr>,
    ) -> Result<(Self, Sealed), PlanError> {
        let of = Current {
            settings,
            server,
            addresses,
        };
        let Prepared { sealed, of, .. } = prepare(&stock, of)?;
        let published = UpstreamAddresses::default();
        published.note(&of.addresses);
        let plans = Self {
            stock,
            fleet,
            addresses: published,
            current: tokio::sync::Mutex::new(of),
        };
        Ok((plans, sealed))
    }

    /// The addresses in force, for people.
    pub(crate) fn addresses(&self) -> UpstreamAddresses {
        self.addresses.clone()
    }

    /// Waits until nobody else changes the plan.
    pub(crate) async fn turn(&self) -> Turn<'_> {
        Turn {
            plans: self,
            current: self.current.lock().await,
        }
    }
}

fn prepare(stock: &Stock, of: Current) -> Result<Prepared, PlanError> {
    let backends = of.server.at(&of.addresses);
    let generation = stock.next_plan_generation();
    let plan = Plan::plain(generation, of.settings.clone(), backends.clone());
    Ok(Prepared {
        sealed: Sealed::of(&plan)?,
        backends,
        of,
    })
}

impl Turn<'_> {
    /// The addresses in force, if `server` is the one in force, whatever its sessions are good for.
    pub(crate) fn addresses_of(&self, server: &Server) -> Option<Vec<SocketAddr>> {
        let current = &self.current;
        current
            .server
            .is_same_host(server)
            .then(|| current.addresses.clone())
    }

    /// Makes a plan, and changes nothing.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(crate) fn prepare(
        &self,
        settings: WorkerSettings,
        server: Server,
        addresses: Vec<SocketAddr>,
    ) -> Result<Prepared, PlanError> {
        let of = Current {
            settings,
            server,
            addresses,
        };
        prepare(&self.plans.stock, of)
    }

    /// Goes on with the same settings at other addresses. Tokens drawn at addresses that are gone are out of use first.
    async fn move_to(self, addresses: &[SocketAddr], refresher: &RefreshHandle) {
        let Current {
            settings, server, ..
        } = &*self.current;
        let (settings, server) = (settings.clone(), server.clone());
        match self.prepare(settings, server, addresses.to_vec()) {
            Ok(prepared) => {
                refresher.relocate(prepared.backends().to_vec()).await;
                self.publish(prepared).await;
            }
            Err(error) => {
                error!(%error, "the workers keep the upstream's old addresses");
            }
        }
    }

    /// Puts a plan in force. Returns when every worker that responds acts on it.
    pub(crate) async fn publish(mut self, prepared: Prepared) {
        let Prepared { sealed, of, .. } = prepared;
        let generation = sealed.generation();
        let plans = self.plans;
        plans.addresses.note(&of.addresses);
        *self.current = of;
        // A fleet that has ended needs none.
        plans.fleet.tell(Order::Plan(Arc::new(sealed)));
        let deadline = Instant::now() + REACH_LIMIT;
        while plans.stock.region().plan_generation() < generation
            || !plans.stock.is_plan_reached(generation)
        {
            if Instant::now() > deadline {
                warn!(
                    generation,
                    "a worker does not act on the new plan yet: it sends nothing by the old one's tokens"
                );
                return;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

/// The addresses of an upstream that is about to be put in force.
///
/// # Errors
/// If its name does not resolve.
pub(crate) async fn resolve(upstream: &Upstream) -> Result<Vec<SocketAddr>, String> {
    let mut resolver = Resolver::new(upstream, Instant::now());
    if resolver.addresses().is_empty() {
        resolver.look(Instant::now()).await;
    }
    match resolver.addresses() {
        [] => Err(format!(
            "upstream.host {:?} does not resolve",
            upstream.host
        )),
        addresses => Ok(addresses.to_vec()),
    }
}

/// The addresses of an upstream, as far as they are known without a look; else those of `predecessor`'s plan, if it led to
/// the same one.
pub(crate) fn known_addresses(
    upstream: &Upstream,
    server: &Server,
    predecessor: Option<&Plan>,
) -> Vec<SocketAddr> {
    let resolver = Resolver::new(upstream, Instant::now());
    match (resolver.addresses(), predecessor) {
        ([], Some(plan)) => {
            let backends = plan.backends.iter().flat_map(|one| &one.places);
            let ours = backends.filter(|one| server.origin(one.address) == one.origin);
            ours.map(|one| one.address).collect()
        }
        (addresses, _) => addresses.to_vec(),
    }
}

/// Resolves as long as the supervisor lives; `bell` changes whenever a worker rang, `upstream` when another one is
/// put in force.
pub(crate) async fn follow(
    mut upstream: watch::Receiver<Upstream>,
    stock: Arc<Stock>,
    plans: Arc<Plans>,
    refresher: RefreshHandle,
    mut bell: watch::Receiver<()>,
) {
    let mut resolver = Resolver::new(&upstream.borrow_and_update(), Instant::now());
    let mut reports = stock.region().unreachable_reports();
    loop {
        let due = resolver
            .next_look()
            .unwrap_or_else(|| Instant::now() + NOTHING_DUE);
        let resolution = tokio::select! {
            () = tokio::time::sleep_until(due.into()) => resolver.look(Instant::now()).await,
            Ok(()) = upstream.changed() => {
                resolver = Resolver::new(&upstream.borrow_and_update(), Instant::now());
                // Whoever put it in force has published its addresses; from here on they are kept fresh.
                match resolver.addresses() {
                    [] => resolver.look(Instant::now()).await,
                    _ => Resolution::Unchanged,
                }
            }
            Ok(()) = bell.changed() => {
                let before = std::mem::replace(&mut reports, stock.region().unreachable_reports());
                if reports == before {
                    continue;
                }
                resolver.look_on_request(Instant::now()).await
            }
        };
        if !matches!(resolution, Resolution::Changed) {
            continue;
        }
        let turn = plans.turn().await;
        // Another upstream may have been put in force during the look: its addresses are not these.
        let is_of_another = upstream.has_changed().unwrap_or(true);
        let addresses = resolver.addresses();
        if !is_of_another && turn.current.addresses != addresses {
            turn.move_to(addresses, &refresher).await;
        }
    }
}
