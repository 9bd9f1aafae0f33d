//! How this host's part ends: refused, given away, or left to a successor.

use std::{sync::Arc, time::Duration};

use tokio::{sync::oneshot, task::JoinHandle};
use tracing::info;

use super::{Hosts, Refused};
use crate::fleet::{FleetHandle, Order};

/// How long a stop waits until everything is given away.
const LEAVE_LIMIT: Duration = Duration::from_secs(10);

/// Stops if tpp must not run with its configuration, which only etcd can tell. Resolves with why.
pub(crate) fn stop_if_refused(hosts: &Arc<Hosts>, fleet: &FleetHandle) -> JoinHandle<Refused> {
    let (hosts, fleet) = (Arc::clone(hosts), fleet.clone());
    tokio::spawn(async move {
        let refused = hosts.refused().await;
        fleet.tell(Order::Stop);
        refused
    })
}

/// Ends this host's part: with workers that stay it goes on under a successor, else it is given away, as far as it can be.
pub(crate) async fn give_away(hosts: &Hosts, workers_stay: bool) {
    if !workers_stay {
        left(hosts.leave()).await;
    }
    hosts.end();
}

/// Waits until nothing is left with this host, but not for long.
async fn left(leaving: oneshot::Receiver<()>) {
    if tokio::time::timeout(LEAVE_LIMIT, leaving).await.is_err() {
        info!("not all sessions are given away: others take them when this host has been silent");
    }
}
