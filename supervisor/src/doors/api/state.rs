//! What every part of the API has at hand.

use std::{net::SocketAddr, sync::Arc};

use tpp::api_tokens::ApiTokens;

use super::{auth::Failures, listeners::Listeners, live::Live};
use crate::{
    desired::{Desired, State},
    orders::Orders,
    outlook::Outlook,
};

/// The API's handles.
pub(crate) struct Api {
    pub(super) orders: Arc<Orders>,
    pub(super) outlook: Arc<Outlook>,
    pub(super) desired: Arc<Desired>,
    pub(super) failures: Failures,
    pub(super) listeners: Listeners,
    /// Where it listens; `None`: on a Unix socket.
    pub(super) listen: Option<SocketAddr>,
}

/// What is in force of `[api]`.
#[derive(Debug)]
pub(super) struct InForce {
    pub(super) allow_hosts: Vec<String>,
    pub(super) cors_origins: Vec<String>,
    /// Whether a change must name the version that it is made to.
    pub(super) require_if_match: bool,
    pub(super) tokens: Option<ApiTokens>,
}

impl Api {
    /// Asked at `listen`, or on a Unix socket.
    pub(crate) fn new(
        orders: Arc<Orders>,
        outlook: Arc<Outlook>,
        listen: Option<SocketAddr>,
    ) -> Self {
        Self {
            orders,
            desired: Arc::clone(&outlook.desired),
            outlook,
            failures: Failures::default(),
            listeners: Listeners::default(),
            listen,
        }
    }

    /// `[api]` as it is now.
    pub(super) fn in_force(&self) -> InForce {
        let now = self.outlook.in_force.now();
        let settings = now.config.api.as_ref();
        InForce {
            allow_hosts: settings
                .map(|api| api.allow_hosts.clone())
                .unwrap_or_default(),
            cors_origins: settings
                .map(|api| api.cors_origins.clone())
                .unwrap_or_default(),
            require_if_match: settings.is_some_and(|api| api.require_if_match),
            tokens: now.config.api_tokens.clone(),
        }
    }

    /// What is wanted, and how things are.
    pub(super) fn live(&self) -> Live {
        self.live_of(&self.desired.state())
    }

    /// The same of one state.
    pub(super) fn live_of(&self, state: &Arc<State>) -> Live {
        Live::new(Arc::clone(state), self.outlook.gateway(state))
    }

    /// The generation of the plan in force.
    pub(super) fn generation(&self) -> u64 {
        self.outlook.stock.region().plan_generation()
    }
}
