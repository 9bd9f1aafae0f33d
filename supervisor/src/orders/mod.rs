//! Orders, from `tppctl` and from signals: one struct each, with just the handles it needs. Each is answered when it is
//! carried out.

mod breakers;
mod check;
mod drain;
mod gateway;
mod hosts;
mod pools;
mod reload;
pub(crate) mod signals;
mod upgrade;

use std::{os::fd::BorrowedFd, path::PathBuf, sync::Arc, time::Duration};

use tpp::control::{Command, Reply};

use crate::{
    fleet::{FleetHandle, Order},
    outlook::{Outlook, status::status},
    pools::Pools,
};

pub(crate) use drain::NotEmpty;
pub(crate) use pools::PoolRefusal;
pub(crate) use reload::{NotReloaded, Reload};
pub(crate) use upgrade::Upgrade;

/// Everything that can be asked and ordered.
pub(crate) struct Orders {
    pub(crate) outlook: Arc<Outlook>,
    pub(crate) fleet: FleetHandle,
    pub(crate) pools: Arc<Pools>,
    pub(crate) reload: Reload,
    pub(crate) upgrade: Upgrade,
}

impl Orders {
    /// Reads the configuration file again; returns what has changed.
    ///
    /// # Errors
    /// Why nothing has.
    pub(crate) async fn reload(&self) -> Result<String, NotReloaded> {
        // On the heap while it runs: 26 KiB that every asker would have room for.
        Box::pin(self.reload.run()).await
    }

    /// Starts another executable in this one's place. `caller` is who waits for the outcome.
    pub(crate) async fn upgrade(
        &self,
        path: Option<PathBuf>,
        caller: Option<BorrowedFd<'_>>,
    ) -> Reply {
        self.upgrade.run(path, caller).await
    }

    async fn restart(&self) -> Reply {
        match self.fleet.ask(Order::Restart).await {
            Ok(done) => Reply::Done(format!("all workers replaced: {done}")),
            Err(reason) => Reply::Failed(reason),
        }
    }

    async fn refresh(&self, user: Option<String>) -> Reply {
        let unknown = user
            .as_ref()
            .map(|user| format!("no account has the user name {user:?}"));
        match (self.pools.renew(user).await, unknown) {
            (0, Some(unknown)) => Reply::Failed(unknown),
            (slots, _) => Reply::Done(format!("logging in anew for {slots} slots")),
        }
    }

    /// Carries out a command of `tppctl`'s. `caller` is who waits for the outcome.
    pub(crate) async fn carry_out(&self, command: Command, caller: BorrowedFd<'_>) -> Reply {
        match command {
            Command::Status => Reply::Status(Box::new(status(&self.outlook.snapshot()))),
            Command::Workers => Reply::Workers(self.outlook.workers()),
            Command::Tokens => Reply::Tokens(self.outlook.tokens()),
            Command::Pools => Reply::Pools(self.list_pools()),
            Command::Report => Reply::Report(self.outlook.tallies()),
            Command::Times => Reply::Times(self.outlook.times()),
            Command::Switch {
                domain,
                tag,
                percent,
                require_healthy,
            } => self.switch(&domain, &tag, percent, require_healthy).await,
            Command::SetState { id, state } => self.set_state(&id, state).await,
            Command::AwaitEmpty { id, seconds } => {
                match self.until_empty(&id, Duration::from_secs(seconds)).await {
                    Ok(()) => Reply::Done(format!("backend {id} has nothing left")),
                    Err(reason) => Reply::Failed(reason.to_string()),
                }
            }
            Command::Export => self.export(),
            Command::Hosts => self.show_hosts(),
            Command::OrderHosts(order) => self.order_hosts(order).await,
            Command::Pause { pool } => {
                let paused = self.set_paused(gateway::WHO, &pool, true).await;
                said(paused.map(|()| format!("pool {pool} lends nothing until it is resumed")))
            }
            Command::Resume { pool } => {
                let resumed = self.set_paused(gateway::WHO, &pool, false).await;
                said(resumed.map(|()| format!("pool {pool} lends again")))
            }
            Command::EndLease { pool, slot } => {
                let ended = self.end_lease(&pool, slot);
                said(ended.map(|()| format!("the holder of slot {slot} is cut off")))
            }
            Command::Refresh { user } => self.refresh(user).await,
            Command::Restart => self.restart().await,
            Command::Reload => match self.reload().await {
                Ok(changes) => Reply::Done(changes),
                Err(refusal) => refusal.into(),
            },
            Command::Upgrade { path } => self.upgrade(path, Some(caller)).await,
        }
    }
}

fn said(outcome: Result<String, PoolRefusal>) -> Reply {
    match outcome {
        Ok(line) => Reply::Done(line),
        Err(refusal) => Reply::Failed(refusal.to_string()),
    }
}
