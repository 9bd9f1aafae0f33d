//! Another executable in this one's place.

use std::{
    convert::Infallible,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::sync::{Mutex, oneshot};
use tpp::{
    control::Reply,
    handover::{self, Role, names_of},
    lending::Stock,
};
use tracing::{error, info};

use super::reload::read;
use crate::{
    fleet::{FleetHandle, NextSupervisor, Order},
    in_force::InForce,
    succession::upgrade::{self, Image, Invocation},
    system::{logging::Log, systemd},
};

/// What an upgrade works on.
pub(crate) struct Upgrade {
    /// Empty if there is none.
    pub(crate) config_file: PathBuf,
    pub(crate) in_force: Arc<InForce>,
    pub(crate) stock: Arc<Stock>,
    pub(crate) fleet: FleetHandle,
    pub(crate) invocation: Invocation,
    /// Sockets of the supervisor's own, for a successor in its place.
    pub(crate) own_sockets: Vec<(Role, OwnedFd)>,
    pub(crate) log: Log,
    /// Held through an upgrade, and through a reload: another one waits.
    pub(crate) turn: Arc<Mutex<()>>,
}

impl Upgrade {
    /// Starts another executable in this one's place. Returns only if that fails.
    pub(crate) async fn run(&self, path: Option<PathBuf>, caller: Option<BorrowedFd<'_>>) -> Reply {
        let executable = self.invocation.successor(path);
        let outcome = self.try_run(&executable, caller).await;
        let Err(reason) = outcome;
        error!(reason, "upgrade refused: this executable goes on");
        Reply::Failed(reason)
    }

    async fn try_run(
        &self,
        executable: &Path,
        caller: Option<BorrowedFd<'_>>,
    ) -> Result<Infallible, String> {
        let config_file = &self.config_file;
        if config_file.as_os_str().is_empty() {
            return Err("tpp dev cannot be upgraded in place".to_owned());
        }
        // A reload under way ends first, and none begins.
        let _turn = self.turn.lock().await;
        let image = Image::open(executable)?;
        upgrade::check(&image, config_file).await?;
        self.check_unchanged().await?;
        let caller = caller.map(|caller| (Role::Caller, caller));
        let region = (Role::Region, self.stock.region().as_fd());
        let own_sockets = self.own_sockets.iter();
        let own = own_sockets
            .map(|(role, socket)| (*role, socket.as_fd()))
            .chain(names_of(self.stock.bells()))
            .chain(caller)
            .chain([region]);
        let own = handover::duplicate(own).map_err(|error| error.to_string())?;
        let (refused, was_refused) = oneshot::channel();
        let invocation = self.invocation.clone();
        let log = self.log.clone();
        let next = move |mut descriptors: Vec<_>| {
            descriptors.extend(own);
            let name = image.name.display().to_string();
            info!(executable = name, "starting in this one's place");
            log.flush();
            let error = upgrade::exec(image, &invocation, descriptors);
            let _ = refused.send(format!("{name} cannot be started: {error}"));
        };
        // What it was not told yet the successor would not know of.
        systemd::told().await;
        self.fleet
            .tell(Order::HandOver(NextSupervisor(Box::new(next))));
        Err(was_refused
            .await
            .unwrap_or_else(|_| "the workers cannot be handed over now".to_owned()))
    }

    /// An upgrade changes the executable alone: sockets that could not be opened would leave nobody in charge.
    async fn check_unchanged(&self) -> Result<(), String> {
        let new = read(self.config_file.clone())
            .await?
            .map_err(|problems| problems.to_string())?;
        let keys = self.in_force.now().config.diff(&new).sockets();
        if keys.is_empty() {
            Ok(())
        } else {
            Err(format!(
                "the configuration file has another {} than is in force: reload or restart first",
                keys.join(", ")
            ))
        }
    }
}
