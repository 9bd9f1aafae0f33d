//! Orders, from `tppctl` and from signals: each is answered when it is carried out.

use std::{
    convert::Infallible,
    os::fd::{AsFd, BorrowedFd},
    path::{Path, PathBuf},
};

use tokio::sync::oneshot;
use tpp::{
    config::{self, ProcessVars},
    control::{Command, Reply},
    estate::{self, Role},
};
use tracing::{error, info};

use super::Panel;
use crate::{
    control::Operator,
    fleet::{Answer, Heir, Order},
    http::Source,
    succession::upgrade,
};

impl Panel {
    /// Has the fleet do something, and waits until it is done.
    ///
    /// # Errors
    /// One line that says why it was not.
    pub(crate) async fn ask_fleet(
        &self,
        order: impl FnOnce(Answer) -> Order,
    ) -> Result<String, String> {
        let (answer, answered) = oneshot::channel();
        // A fleet that has ended drops the answer.
        let _ = self.orders.send(order(answer));
        answered
            .await
            .unwrap_or_else(|_| Err("tpp is stopping".to_owned()))
    }

    async fn restart(&self) -> Reply {
        match self.ask_fleet(Order::Restart).await {
            Ok(done) => Reply::Done(format!("all workers replaced: {done}")),
            Err(reason) => Reply::Failed(reason),
        }
    }

    /// Starts another executable in this one's place. Returns only if that fails.
    pub(crate) async fn upgrade(
        &self,
        path: Option<PathBuf>,
        asker: Option<BorrowedFd<'_>>,
    ) -> Reply {
        let executable = self.invocation.successor(path);
        let outcome = self.try_upgrade(&executable, asker).await;
        let Err(reason) = outcome;
        error!(reason, "upgrade refused: this executable goes on");
        Reply::Failed(reason)
    }

    async fn try_upgrade(
        &self,
        executable: &Path,
        asker: Option<BorrowedFd<'_>>,
    ) -> Result<Infallible, String> {
        let config_file = &self.identity.config_file;
        if config_file.as_os_str().is_empty() {
            return Err("tpp dev cannot be upgraded in place".to_owned());
        }
        // A reload under way ends first, and none begins.
        let _turn = self.reloader.turn.lock().await;
        upgrade::check(executable, config_file).await?;
        self.check_unchanged()?;
        let asker = asker.map(|asker| (Role::Asker, asker));
        let region = (Role::Region, self.stock.region().as_fd());
        let own_sockets = self.own_sockets.iter();
        let own = own_sockets
            .map(|(role, socket)| (*role, socket.as_fd()))
            .chain(self.stock.bells().named())
            .chain(asker)
            .chain([region]);
        let own = estate::duplicate(own).map_err(|error| error.to_string())?;
        let (refused, was_refused) = oneshot::channel();
        let invocation = self.invocation.clone();
        let executable = executable.to_owned();
        let heir = move |mut estate: Vec<_>| {
            estate.extend(own);
            info!(executable = %executable.display(), "starting in this one's place");
            let error = upgrade::exec(&executable, &invocation, &estate);
            let _ = refused.send(format!(
                "{} cannot be started: {error}",
                executable.display()
            ));
        };
        let _ = self.orders.send(Order::Bequeath(Heir(Box::new(heir))));
        Err(was_refused
            .await
            .unwrap_or_else(|_| "the workers cannot be handed over now".to_owned()))
    }

    /// An upgrade changes the executable alone: sockets that could not be opened would leave nobody in charge.
    fn check_unchanged(&self) -> Result<(), String> {
        let new = config::load(&self.identity.config_file, &ProcessVars)
            .map_err(|problems| problems.to_string())?;
        let keys = self.in_force().config.diff(&new).sockets();
        if keys.is_empty() {
            Ok(())
        } else {
            Err(format!(
                "the configuration file has another {} than is in force: reload or restart first",
                keys.join(", ")
            ))
        }
    }

    async fn refresh(&self, user: Option<String>) -> Reply {
        let unknown = user
            .as_ref()
            .map(|user| format!("no account has the user name {user:?}"));
        match (self.refresher.renew(user).await, unknown) {
            (0, Some(unknown)) => Reply::Failed(unknown),
            (slots, _) => Reply::Done(format!("logging in anew for {slots} slots")),
        }
    }
}

impl Operator for Panel {
    async fn run(&self, command: Command, asker: BorrowedFd<'_>) -> Reply {
        match command {
            Command::Status => Reply::Status(Box::new(self.status())),
            Command::Workers => Reply::Workers(self.workers()),
            Command::Tokens => Reply::Tokens(self.tokens()),
            Command::Refresh { user } => self.refresh(user).await,
            Command::Restart => self.restart().await,
            Command::Reload => self.reload().await,
            Command::Upgrade { path } => self.upgrade(path, Some(asker)).await,
        }
    }
}
