//! Orders that come as signals.

use std::sync::Arc;

use tokio::sync::oneshot;
use tracing::warn;

use super::Orders;
use crate::{
    fleet::{FleetHandle, Order},
    hosts::Hosts,
    system::{
        signals::{Request, Signals},
        systemd,
    },
};

/// Does what signals ask for. A reload or an upgrade that takes its time keeps no other signal waiting.
pub(crate) async fn follow(
    mut signals: Signals,
    fleet: FleetHandle,
    orders: Arc<Orders>,
    hosts: Option<Arc<Hosts>>,
) {
    loop {
        let order = match signals.next().await {
            Request::Stop => {
                // From now on, as sessions fall free; its end is waited for when all workers have ended.
                if let Some(hosts) = &hosts {
                    drop(hosts.leave());
                }
                Order::Stop
            }
            Request::Leave => {
                warn!("ending alone: the workers serve on until a supervisor takes them over");
                Order::Leave
            }
            Request::Restart => Order::Restart(oneshot::channel().0),
            // The outcome of both stands in the log, and in the status.
            Request::Reload => {
                let orders = Arc::clone(&orders);
                tokio::spawn(async move {
                    systemd::reloading();
                    let _ = orders.reload().await;
                    systemd::ready();
                });
                continue;
            }
            Request::Upgrade => {
                let orders = Arc::clone(&orders);
                tokio::spawn(async move { orders.upgrade(None, None).await });
                continue;
            }
        };
        if !fleet.tell(order) {
            return;
        }
    }
}
