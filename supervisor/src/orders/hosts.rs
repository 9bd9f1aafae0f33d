//! What is asked of this host's part among others.

use tpp::control::{HostsOrder, HostsStatus, Reply};
use tpp_hosts::Command;

use super::Orders;
use crate::hosts::Hosts;

/// Why there is nothing to see or to do.
const ALONE: &str = "this host is alone: its configuration has no [hosts]";

impl Orders {
    /// All there is to see of other hosts; `None`: this one is alone.
    pub(crate) fn hosts_status(&self) -> Option<HostsStatus> {
        self.outlook.hosts.as_ref().map(|hosts| hosts.status())
    }

    pub(super) fn show_hosts(&self) -> Reply {
        match self.hosts_status() {
            Some(status) => Reply::Hosts(Box::new(status)),
            None => Reply::Failed(ALONE.to_owned()),
        }
    }

    pub(super) async fn order_hosts(&self, order: HostsOrder) -> Reply {
        let Some(hosts) = &self.outlook.hosts else {
            return Reply::Failed(ALONE.to_owned());
        };
        let done = done_by(&order);
        match carry_out(hosts, order).await {
            Ok(()) => Reply::Done(done),
            Err(why) => Reply::Failed(why),
        }
    }
}

async fn carry_out(hosts: &Hosts, order: HostsOrder) -> Result<(), String> {
    let command = match order {
        HostsOrder::Drain => {
            // Answered when it is told: how long it takes is the clients' to say.
            drop(hosts.leave());
            return Ok(());
        }
        HostsOrder::Stay => Command::Stay,
        HostsOrder::Give { sessions, host } => Command::Give {
            count: sessions,
            to: host,
        },
        HostsOrder::Release { host } => Command::Release { name: host },
        HostsOrder::Adopt => Command::Adopt,
    };
    hosts.command(command).await
}

fn done_by(order: &HostsOrder) -> String {
    match order {
        HostsOrder::Drain => "this host gives its sessions away as they fall free".to_owned(),
        HostsOrder::Stay => "this host takes part again".to_owned(),
        HostsOrder::Give { sessions, host } => {
            format!("{sessions} sessions go to {host} as they fall free")
        }
        HostsOrder::Release { host } => format!("the sessions of {host} may be taken"),
        HostsOrder::Adopt => "this host begins anew in the store that is there".to_owned(),
    }
}
