//! The sockets by which others ask, opened and closed together.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use anyhow::Context;
use tokio::{sync::watch, task::JoinHandle};
use tpp::{
    control::{Command, Reply},
    handover::{self, Role},
};

use super::{
    api::{self, Api, ApiSocket},
    control::{ControlSocket, Operator},
    probes,
};
use crate::{orders::Orders, outlook::Outlook};

/// The sockets by which others ask.
pub(crate) struct Doors {
    pub(crate) health: std::net::TcpListener,
    pub(crate) api: Option<ApiSocket>,
    pub(crate) control: ControlSocket,
}

/// Those sockets, served.
pub(crate) struct Servers {
    stop: watch::Sender<bool>,
    running: Vec<(&'static str, JoinHandle<std::io::Result<()>>)>,
}

impl Doors {
    /// Those of a supervisor.
    pub(crate) fn of(
        health: std::net::TcpListener,
        api: Option<ApiSocket>,
        control: ControlSocket,
    ) -> Self {
        Self {
            health,
            api,
            control,
        }
    }

    /// Duplicates of its sockets, for an executable that takes over.
    pub(crate) fn duplicates(&self) -> std::io::Result<Vec<(Role, OwnedFd)>> {
        let own = [
            (Role::Health, self.health.as_fd()),
            (Role::Control, self.control.as_fd()),
        ];
        let of_api = self.api.iter().map(|socket| (Role::Api, socket.as_fd()));
        handover::duplicate(own.into_iter().chain(of_api))
    }

    /// Serves them all.
    pub(crate) fn open(self, orders: Arc<Orders>, outlook: Arc<Outlook>) -> Servers {
        let (stop, stopped) = watch::channel(false);
        let until_stop = move || {
            let mut stopped = stopped.clone();
            async move {
                // The sender lives as long as we wait.
                let _ = stopped.wait_for(|stopped| *stopped).await;
            }
        };
        let mut running = Vec::new();
        if let Some(socket) = self.api {
            let api = Api::new(Arc::clone(&orders), Arc::clone(&outlook), socket.address());
            let api = api::serve(socket, Arc::new(api), until_stop());
            running.push(("management API", tokio::spawn(api)));
        }
        let health = probes::serve(self.health, outlook, until_stop());
        running.push(("health endpoint", tokio::spawn(health)));
        let control = self.control.serve(orders, until_stop());
        running.push(("control socket", tokio::spawn(control)));
        Servers { stop, running }
    }
}

impl Operator for Orders {
    async fn run(&self, command: Command, asker: BorrowedFd<'_>) -> Reply {
        self.carry_out(command, asker).await
    }
}

impl Servers {
    /// Ends them, each with what it has in hand.
    ///
    /// # Errors
    /// If one has ended by an error.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        self.stop.send_replace(true);
        for (what, server) in self.running {
            server.await.context(what)?.context(what)?;
        }
        Ok(())
    }
}
