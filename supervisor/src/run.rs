//! The supervisor's life: start the parts, follow the signals, end.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
    sync::{Arc, Mutex},
};

use anyhow::Context;
use tokio::sync::{mpsc, oneshot, watch};
use tpp::{
    config::Config,
    control::{Reply, SupervisorEvent},
    estate::{self, Role, meeting_prefix},
};
use tracing::{info, warn};

use crate::{
    announce,
    control::reply_to,
    doorbell,
    fleet::{self, Fleet, Order},
    http,
    logging::Log,
    panel::{Identity, InForce, Panel, Started, unix_seconds},
    prepare::{Accession, Supervisor, image},
    process::Launch,
    refresh::{Refresher, Setup},
    reload::Reloader,
    signals::{Request, Signals},
    succession::{history, upgrade::Invocation},
    systemd,
    upstream::{self, UpstreamAddresses},
};

/// Runs until told to stop. `inherited` is what a predecessor or systemd handed over.
///
/// # Errors
/// If something it needs at start is not to be had: an address, the control socket, memory.
pub fn run(
    config: Config,
    config_file: PathBuf,
    log: Log,
    inherited: Vec<(Role, OwnedFd)>,
) -> anyhow::Result<()> {
    runtime()?.block_on(async {
        let supervisor = Supervisor::prepare(config, config_file, log, inherited)?;
        supervisor.run().await
    })
}

/// The supervisor's runtime: one thread is plenty for work that is small and slow.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")
}

impl Supervisor {
    pub(crate) async fn run(mut self) -> anyhow::Result<()> {
        // Registered first: a signal that comes while we start is not lost.
        let signals = Signals::register()?;
        self.say_where();
        self.note_accession();
        let own_sockets = self.own_sockets().context("duplicate the own sockets")?;
        let (rings, bell) = watch::channel(());
        let doorbell = doorbell::answer(&self.stock, rings)?;
        let setup = Setup::of(&self.config)?;
        let refresher = Refresher::new(setup, Arc::clone(&self.stock), bell.clone())?;
        let fleet = self.fleet()?;
        let (orders, received) = mpsc::unbounded_channel();
        renew_workers(self.accession, self.asker.take(), &orders);
        let upstream = UpstreamAddresses::default();
        let (upstream_sender, upstream_receiver) = watch::channel(self.config.upstream.clone());
        let configurations = &self.stock.region().supervisors().configurations;
        configurations.add(1);
        let listeners = self.listeners.iter().map(|(listening, _)| *listening);
        let in_force = InForce::first(self.config, listeners.collect(), configurations.get());
        // From here on the fleet alone has them: what is closed there is closed.
        drop(self.listeners);
        let panel = Arc::new(Panel {
            identity: Identity {
                health_listen: self.health.0.to_string(),
                config_file: self.config_file,
                started: Started::now(),
            },
            stock: Arc::clone(&self.stock),
            fleet: fleet.report(),
            refresher: refresher.handle(),
            upstream: upstream.clone(),
            orders: orders.clone(),
            in_force: Mutex::new(in_force),
            reloader: Reloader {
                upstream: upstream_sender,
                log: self.log,
                turn: tokio::sync::Mutex::default(),
            },
            invocation: Invocation::of_this_process().context("find the own executable")?,
            own_sockets,
        });
        let (stopped, stop) = watch::channel(false);
        let until_stop = move || {
            let mut stop = stop.clone();
            async move {
                // The sender lives as long as we wait.
                let _ = stop.wait_for(|stopped| *stopped).await;
            }
        };
        tokio::spawn(doorbell);
        let following = tokio::spawn(upstream::follow(
            upstream_receiver,
            self.stock,
            upstream,
            bell,
        ));
        let refreshing = tokio::spawn(refresher.run());
        tokio::spawn(follow(signals, orders, Arc::clone(&panel)));
        tokio::spawn(announce::announce(panel.clone()));
        let health = tokio::spawn(http::serve(self.health.1, panel.clone(), until_stop()));
        let control = tokio::spawn(self.control.serve(panel, until_stop()));
        fleet.run(received).await;
        // From here on the pool may be another supervisor's to write to.
        refreshing.abort();
        following.abort();
        stopped.send_replace(true);
        for (what, server) in [("health endpoint", health), ("control socket", control)] {
            server.await.context(what)?.context(what)?;
        }
        info!("stopped");
        Ok(())
    }

    fn say_where(&self) {
        for address in self.addresses() {
            info!(%address, "listening for clients");
        }
        info!(address = %self.health.0, "listening for health checks");
        info!(path = %self.config.control_socket.display(), "listening for tppctl");
    }

    fn note_accession(&self) {
        let event = SupervisorEvent {
            at: unix_seconds(),
            how: self.accession.word().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            workers: self.found.workers.len() as u64,
            leases_freed: self.found.leases_freed,
        };
        if self.accession != Accession::Started {
            let tokens = self.stock.pool().census().usable;
            info!(
                how = event.how,
                version = event.version,
                workers = event.workers,
                tokens,
                leases_freed = event.leases_freed,
                "took over from the supervisor before"
            );
        }
        history::note(&self.stock, event);
    }

    /// The sockets that are neither the workers' nor in the region, for a successor in this one's place.
    fn own_sockets(&self) -> io::Result<Vec<(Role, OwnedFd)>> {
        estate::duplicate([
            (Role::Health, self.health.1.as_fd()),
            (Role::Control, self.control.as_fd()),
        ])
    }

    fn fleet(&mut self) -> anyhow::Result<Fleet> {
        let sockets = self.listeners.iter().map(|(listening, socket)| {
            Ok((listening.bound.to_string(), socket.try_clone()?.into()))
        });
        let launch = Launch {
            listeners: sockets
                .collect::<io::Result<_>>()
                .context("duplicate the listening sockets")?,
            meeting_prefix: meeting_prefix(&self.config.control_socket),
            image: image()?,
        };
        // What is not gone on with must not come back at the next start; what is, is kept anew.
        self.inherited.iter().for_each(|name| systemd::forget(name));
        let region = (Role::Region, self.stock.region().as_fd());
        let health = (Role::Health, self.health.1.as_fd());
        systemd::keep_all(launch.sockets().chain([region, health]));
        systemd::keep_all(self.stock.bells().named());
        let wanted = wanted(&self.config, self.workers);
        let mut fleet = Fleet::new(Arc::clone(&self.stock), launch, wanted);
        fleet.adopt(std::mem::take(&mut self.found.workers));
        fleet.adopt_strangers(std::mem::take(&mut self.strangers));
        Ok(fleet)
    }
}

/// Has those workers replaced that a predecessor started otherwise than we would, and tells who waits for it.
fn renew_workers(
    accession: Accession,
    asker: Option<std::os::unix::net::UnixStream>,
    orders: &mpsc::UnboundedSender<Order>,
) {
    if accession == Accession::Started {
        return;
    }
    let all = accession == Accession::Upgraded;
    let (answer, answered) = oneshot::channel();
    // The fleet has not begun yet, and so not ended.
    let _ = orders.send(Order::Renew { all, answer });
    tokio::spawn(async move {
        let outcome = answered.await;
        if let Some(asker) = asker {
            let version = env!("CARGO_PKG_VERSION");
            let reply = match outcome {
                Ok(Ok(done)) => Reply::Done(format!("upgraded to {version}: {done}")),
                Ok(Err(reason)) => Reply::Failed(format!(
                    "upgraded to {version}, but not all workers are replaced: {reason}"
                )),
                Err(_) => Reply::Failed("tpp is stopping".to_owned()),
            };
            reply_to(asker, reply).await;
        }
    });
}

pub(crate) fn wanted(config: &Config, workers: usize) -> fleet::Wanted {
    fleet::Wanted {
        workers,
        drain_timeout: config.workers.drain_timeout,
        worker_timeout: config.workers.worker_timeout,
    }
}

/// Does what signals ask for. A reload or an upgrade that takes its time keeps no other signal waiting.
async fn follow(mut signals: Signals, orders: mpsc::UnboundedSender<Order>, panel: Arc<Panel>) {
    loop {
        let order = match signals.next().await {
            Request::Stop => Order::Stop,
            Request::Leave => {
                warn!("ending alone: the workers serve on until a supervisor takes them over");
                Order::Leave
            }
            Request::Restart => Order::Restart(oneshot::channel().0),
            // The outcome of both stands in the log, and in the status.
            Request::Reload => {
                let panel = Arc::clone(&panel);
                tokio::spawn(async move {
                    systemd::reloading();
                    let _ = panel.reload().await;
                    systemd::ready();
                });
                continue;
            }
            Request::Upgrade => {
                let panel = Arc::clone(&panel);
                tokio::spawn(async move { panel.upgrade(None, None).await });
                continue;
            }
        };
        if orders.send(order).is_err() {
            return;
        }
    }
}
