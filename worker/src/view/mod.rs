//! What is in force: the plan, worked out for requests once, so that each finds its way by a few loads.

pub(crate) mod backend;
mod balance;
pub(crate) mod bounds;
pub(crate) mod holds;
pub(crate) mod lot;
pub(crate) mod member;
pub(crate) mod pool;
pub(crate) mod routes;
pub(crate) mod site;

use std::{collections::HashMap, sync::Arc};

use tpp::{
    config::AccessLog,
    lending::{Desk, WorkerSettings},
    plan::Plan,
};

use self::{
    backend::Backend, bounds::Bounds, member::Parts, pool::TokenPool, routes::Routes, site::Site,
};

/// What is in force.
#[derive(Debug)]
pub(crate) struct View {
    generation: u64,
    /// What holds before it is known whom a request is for, and wherever nothing else is said.
    pub(crate) settings: Arc<WorkerSettings>,
    /// Requests have a line each in the access log.
    pub(crate) is_logged: bool,
    /// They have ids. Of a plain configuration without a log and traces nothing is asked that it was not asked before there were any.
    pub(crate) has_ids: bool,
    pub(crate) routes: Routes,
    pools: Vec<Arc<TokenPool>>,
    backends: Vec<Arc<Backend>>,
}

impl View {
    /// That of `plan`. What `previous` has open goes on.
    pub(crate) fn new(plan: Plan, desk: &Arc<Desk>, previous: Option<&Self>) -> Self {
        let is_logged = plan.settings.access_log != AccessLog::Off;
        let is_traced = plan.settings.trace_percent.is_some();
        let has_ids = is_logged || is_traced || !plan.is_plain();
        let is_counted = plan.counts_hosts();
        let settings = Arc::new(plan.settings);
        let old_pools = previous.map_or(&[][..], |view| &view.pools);
        let pools: Vec<_> = plan
            .pools
            .into_iter()
            .map(|pool| Arc::new(TokenPool::new(pool, desk, old_pools)))
            .collect();
        let old: HashMap<&str, &Arc<Backend>> = previous
            .iter()
            .flat_map(|view| &view.backends)
            .map(|backend| (backend.plan.id.as_str(), backend))
            .collect();
        let backends: Vec<_> = plan
            .backends
            .into_iter()
            .map(|backend| {
                let before = old.get(backend.id.as_str()).copied();
                Arc::new(Backend::new(backend, &settings, desk, before))
            })
            .collect();
        let parts = Parts {
            settings: &settings,
            pools: &pools,
            backends: &backends,
            is_counted,
        };
        let sites = plan.hosts.into_iter().map(|host| {
            let before = previous.and_then(|view| view.routes.of_domain(&host.host.domain));
            let bounds_before = before.and_then(|site| site.bounds.as_deref());
            let bounds = Bounds::new(&host, desk, bounds_before);
            Arc::new(Site::new((host, bounds), parts, before))
        });
        let routes = Routes::new(sites);
        Self {
            generation: plan.generation,
            settings,
            is_logged,
            has_ids,
            routes,
            pools,
            backends,
        }
    }

    /// Of the plan it shows.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// All pools of tokens.
    pub(crate) fn pools(&self) -> &[Arc<TokenPool>] {
        &self.pools
    }

    /// All backends.
    #[cfg(test)]
    pub(crate) fn backends(&self) -> &[Arc<Backend>] {
        &self.backends
    }

    /// Most connections that its backends may have from this worker, out of `room` descriptors for both sides.
    pub(crate) fn most_upstream_connections(&self, room: usize) -> usize {
        let without_tokens = |backend: &&Arc<Backend>| backend.plan.pool.is_none();
        if self.backends.iter().any(|one| without_tokens(&one)) {
            // As many as there are clients.
            return room / 2;
        }
        let slots = self.pools.iter().map(|pool| pool.desk.slots());
        let slots = slots.fold(0, usize::saturating_add);
        let idle = self
            .backends
            .iter()
            .map(|one| one.upstream.most_idle(slots));
        idle.fold(slots, usize::saturating_add)
    }

    /// Closes idle connections to backends that are too old, or were ended by the other side.
    pub(crate) fn tend(&self, now: u64) {
        self.backends.iter().for_each(|one| one.upstream.tend(now));
    }

    /// Keeps no connection any more: another view is in force.
    pub(crate) fn retire(&self) {
        self.backends.iter().for_each(|one| one.upstream.retire());
    }
}
