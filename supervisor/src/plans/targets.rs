//! Which backends are checked, and how.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use tpp::config::{Backend, BackendState, HealthKind, Pool};
use tracing::error;

use super::compile::Inputs;
use crate::{
    health::{Kind, Login, Rules, Target, Trust},
    provider,
};

/// What tells whom to trust.
type TrustKey = (bool, bool, Option<PathBuf>);

/// The backends that are checked.
pub(super) fn targets(inputs: &Inputs) -> Vec<Target> {
    let mut trusts: HashMap<TrustKey, Trust> = HashMap::new();
    let backends = inputs.gateway.backends.iter();
    let checked =
        backends.filter(|one| one.health_check.enabled && one.state != BackendState::Maint);
    let target = |backend: &Backend| {
        let upstream = &backend.upstream;
        let key = (upstream.tls, upstream.verify, upstream.ca_file.clone());
        Some(Target {
            id: backend.id.clone(),
            upstream: upstream.clone(),
            trust: trusts.entry(key).or_default().clone(),
            addresses: inputs.addresses_of(upstream).to_vec(),
            rules: rules(inputs, backend)?,
        })
    };
    checked.filter_map(target).collect()
}

fn rules(inputs: &Inputs, backend: &Backend) -> Option<Rules> {
    let check = &backend.health_check;
    let kind = match check.kind {
        HealthKind::Http => Kind::Http {
            path: check.path.clone(),
            expect: check.expect.clone(),
        },
        HealthKind::Tcp => Kind::Tcp,
        HealthKind::Login => Kind::Login(login(inputs, backend)?),
    };
    Some(Rules {
        kind,
        interval: check.interval,
        timeout: check.timeout,
        healthy_threshold: check.healthy_threshold,
        unhealthy_threshold: check.unhealthy_threshold,
    })
}

/// With the first account of the backend's pool; `None`: there is none, so that it counts as healthy.
fn login(inputs: &Inputs, backend: &Backend) -> Option<Login> {
    let pools = inputs.gateway.pools.iter();
    let own = |pool: &&Pool| backend.pool.as_ref() == Some(&pool.name);
    let pool = pools.into_iter().find(own)?;
    let account = Arc::new(pool.credentials.first()?.clone());
    match provider::of_pool(pool, &backend.upstream) {
        Ok(provider) => Some(Login { provider, account }),
        Err(error) => {
            error!(backend = backend.id, %error, "backend is not checked: its login cannot be prepared");
            None
        }
    }
}
