//! The supervisor's life: open, publish, start the parts, follow the signals, end.

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::{Arc, Mutex},
};

use anyhow::Context;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, oneshot, watch},
};
use tpp::{
    bells::BellBoard,
    config::Config,
    pool::{Stock, WorkerSettings},
    region::{Geometry, Region},
};
use tracing::{info, warn};

use crate::{
    control::ControlSocket,
    doorbell,
    fleet::{self, Fleet, Order},
    http,
    logging::Log,
    panel::{Identity, InForce, Panel, Started},
    process::Launch,
    refresh::{Refresher, Setup},
    reload::Reloader,
    sockets::listen,
    upstream::{self, UpstreamAddresses},
};

/// Least room for slots and seats: more accounts and workers can come without a new region.
const LEAST_SLOTS: usize = 4096;
const LEAST_SEATS: usize = 32;
const MOST_SLOTS: usize = tpp::pool::SlotIndex::CAPACITY;
const MOST_SEATS: usize = tpp::pool::SeatIndex::CAPACITY;

/// Runs until told to stop.
///
/// # Errors
/// If something it needs at start is not to be had: an address, the control socket, memory.
pub fn run(config: Config, config_file: PathBuf, log: Log) -> anyhow::Result<()> {
    runtime()?.block_on(async {
        let supervisor = Supervisor::prepare(config, config_file, log)?;
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

/// A supervisor that has all it needs and has started nothing yet.
pub(crate) struct Supervisor {
    config: Config,
    config_file: PathBuf,
    log: Log,
    listeners: Vec<(SocketAddr, TcpListener)>,
    health: (SocketAddr, TcpListener),
    control: ControlSocket,
    stock: Arc<Stock>,
    workers: usize,
}

impl Supervisor {
    pub(crate) fn prepare(config: Config, config_file: PathBuf, log: Log) -> anyhow::Result<Self> {
        config
            .warnings()
            .iter()
            .for_each(|warning| warn!("{warning}"));
        let workers = worker_count(&config);
        let open = |key, address| {
            let listener = listen(key, address)?;
            let address = listener
                .local_addr()
                .with_context(|| format!("address of {address}"))?;
            anyhow::Ok((address, listener))
        };
        let listeners = config
            .listen
            .iter()
            .map(|&address| open("listen", address))
            .collect::<Result<_, _>>()?;
        let health = open("health_listen", config.health_listen)?;
        let control = ControlSocket::bind(&config.control_socket)?;
        let stock = Arc::new(create_stock(&config, workers)?);
        Ok(Self {
            config,
            config_file,
            log,
            listeners,
            health,
            control,
            stock,
            workers,
        })
    }

    /// Addresses that take clients.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.iter().map(|(address, _)| *address)
    }

    /// Address of the health endpoint.
    pub(crate) fn health_address(&self) -> SocketAddr {
        self.health.0
    }

    pub(crate) async fn run(self) -> anyhow::Result<()> {
        // Registered first: a signal that comes while we start is not lost.
        let signals = Signals::register()?;
        for (address, _) in &self.listeners {
            info!(%address, "listening for clients");
        }
        info!(address = %self.health.0, "listening for health checks");
        info!(path = %self.config.control_socket.display(), "listening for tppctl");
        let (rings, bell) = watch::channel(());
        let doorbell = doorbell::answer(&self.stock, rings)?;
        let setup = Setup::of(&self.config)?;
        let refresher = Refresher::new(setup, Arc::clone(&self.stock), bell.clone());
        let listen = self
            .addresses()
            .map(|address| address.to_string())
            .collect();
        let launch = launch(self.listeners);
        let fleet = Fleet::new(
            Arc::clone(&self.stock),
            launch,
            wanted(&self.config, self.workers),
        );
        let (orders, received) = mpsc::unbounded_channel();
        let upstream = UpstreamAddresses::default();
        let (upstream_sender, upstream_receiver) = watch::channel(self.config.upstream.clone());
        let panel = Arc::new(Panel {
            identity: Identity {
                listen,
                health_listen: self.health.0.to_string(),
                config_file: self.config_file,
                started: Started::now(),
            },
            stock: Arc::clone(&self.stock),
            fleet: fleet.report(),
            refresher: refresher.handle(),
            upstream: upstream.clone(),
            orders: orders.clone(),
            in_force: Mutex::new(InForce::first(self.config)),
            reloader: Reloader {
                upstream: upstream_sender,
                log: self.log,
                turn: tokio::sync::Mutex::default(),
            },
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
        tokio::spawn(upstream::follow(
            upstream_receiver,
            self.stock,
            upstream,
            bell,
        ));
        tokio::spawn(refresher.run());
        tokio::spawn(signals.follow(orders, Arc::clone(&panel)));
        let health = tokio::spawn(http::serve(self.health.1, panel.clone(), until_stop()));
        let control = tokio::spawn(self.control.serve(panel, until_stop()));
        fleet.run(received).await;
        stopped.send_replace(true);
        for (what, server) in [("health endpoint", health), ("control socket", control)] {
            server.await.context(what)?.context(what)?;
        }
        info!("stopped");
        Ok(())
    }
}

pub(crate) fn worker_count(config: &Config) -> usize {
    match config.workers.count {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        count => count,
    }
    // A successor needs a seat beside its forerunner.
    .min(MOST_SEATS / 2)
}

fn create_stock(config: &Config, workers: usize) -> anyhow::Result<Stock> {
    let sessions = config.sessions();
    let geometry = Geometry {
        slots: (2 * sessions)
            .next_multiple_of(64)
            .clamp(LEAST_SLOTS, MOST_SLOTS),
        seats: (4 * workers).clamp(LEAST_SEATS, MOST_SEATS),
        token_bytes: config.token.max_token_bytes,
    };
    let region = Region::create(geometry)?;
    if let Err(error) = region.lock_tokens(sessions) {
        info!(%error, "tokens are not locked in memory: raise the limit (LimitMEMLOCK) to keep them out of swap");
    }
    let bells = BellBoard::create(geometry.seats).context("create the workers' bells")?;
    let stock = Stock::new(Arc::new(region), bells);
    stock.publish_settings(&WorkerSettings::of(config, workers))?;
    Ok(stock)
}

fn launch(listeners: Vec<(SocketAddr, TcpListener)>) -> Launch {
    let handed = listeners
        .into_iter()
        .map(|(address, listener)| (address.to_string(), listener.into()));
    Launch {
        listeners: handed.collect(),
    }
}

pub(crate) fn wanted(config: &Config, workers: usize) -> fleet::Wanted {
    fleet::Wanted {
        workers,
        drain_timeout: config.workers.drain_timeout,
        worker_timeout: config.workers.worker_timeout,
    }
}

/// The signals the supervisor acts on.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    user1: Signal,
    hangup: Signal,
}

impl Signals {
    fn register() -> anyhow::Result<Self> {
        let register = |kind| signal(kind).context("register for a signal");
        Ok(Self {
            terminate: register(SignalKind::terminate())?,
            interrupt: register(SignalKind::interrupt())?,
            user1: register(SignalKind::user_defined1())?,
            hangup: register(SignalKind::hangup())?,
        })
    }

    async fn follow(mut self, orders: mpsc::UnboundedSender<Order>, panel: Arc<Panel>) {
        loop {
            let order = tokio::select! {
                _ = self.terminate.recv() => Order::Stop,
                _ = self.interrupt.recv() => Order::Stop,
                _ = self.user1.recv() => Order::Restart(oneshot::channel().0),
                _ = self.hangup.recv() => {
                    // The outcome stands in the log and in the status.
                    let _ = panel.reload().await;
                    continue;
                }
            };
            if orders.send(order).is_err() {
                return;
            }
        }
    }
}
