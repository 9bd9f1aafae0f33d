//! What a virtual host's requests are limited by, over all workers.

use std::sync::Arc;

use tpp::{
    config::{Access, RateHeaders, RateKey, RateLimit},
    lending::{BreakerAt, Desk, breaker_policy, row_key},
    limits::{BreakerPolicy, Quota, TableQuota},
    plan::HostPlan,
};

use super::holds::Holds;

/// Limits of a virtual host: each of them `None` where there is none.
#[derive(Debug)]
pub(crate) struct Bounds {
    /// Who may ask.
    pub(crate) access: Option<Access>,
    pub(crate) rate: Option<RateBound>,
    pub(crate) breaker: Option<BreakerBound>,
    pub(crate) permits: Option<Arc<Desk>>,
    /// How long permits are held.
    pub(crate) holds: Arc<Holds>,
}

/// So many requests of a client in a time.
#[derive(Debug)]
pub(crate) struct RateBound {
    /// What tells it from other limits: hosts that name the same one share it.
    pub(crate) limit: u64,
    pub(crate) quota: TableQuota,
    pub(crate) key: RateKey,
    /// How it is called towards clients, and its policy, if they are told.
    pub(crate) told: Option<Told>,
}

/// What clients are told of a limit.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) name: String,
    /// The whole line.
    pub(crate) policy: String,
}

/// When the host is not asked for a while.
#[derive(Debug)]
pub(crate) struct BreakerBound {
    pub(crate) at: BreakerAt,
    pub(crate) policy: BreakerPolicy,
}

impl Bounds {
    /// Those of `plan`, after those `before` it; `None`: nothing is limited.
    pub(crate) fn new(plan: &HostPlan, desk: &Desk, before: Option<&Self>) -> Option<Box<Self>> {
        let breaker = &plan.host.circuit_breaker;
        let bounds = Self {
            access: plan.access.clone(),
            rate: plan.rate_limit.as_ref().and_then(RateBound::new),
            breaker: breaker.enabled.then(|| BreakerBound {
                at: BreakerAt::Host(plan.row),
                policy: breaker_policy(breaker),
            }),
            permits: plan.permits.and_then(|pool| desk.open(pool)),
            holds: before.map_or_else(Arc::default, |bounds| Arc::clone(&bounds.holds)),
        };
        let is_any = bounds.access.is_some()
            || bounds.rate.is_some()
            || bounds.breaker.is_some()
            || bounds.permits.is_some();
        is_any.then(|| Box::new(bounds))
    }
}

impl RateBound {
    fn new(limit: &RateLimit) -> Option<Self> {
        let (name, seconds) = (&limit.name, limit.per.as_secs());
        Some(Self {
            limit: row_key(&["rate", name]),
            quota: TableQuota::new(Quota::new(limit.requests, limit.per, limit.burst)?),
            key: limit.key.clone(),
            told: (limit.headers == RateHeaders::Draft).then(|| Told {
                name: name.clone(),
                policy: format!(
                    "RateLimit-Policy: \"{name}\";q={};w={seconds}\r\n",
                    limit.requests
                ),
            }),
        })
    }
}
