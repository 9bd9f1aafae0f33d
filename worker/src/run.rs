//! The process: takes over what was inherited, serves, drains, ends.

use std::{
    ffi::CString,
    os::fd::{IntoRawFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::prctl,
};
use parking_lot::Mutex;
use pingora_core::{
    listeners::{L4BufferSettings, ListenerConfig, Listeners, TcpSocketOptions},
    server::{Fds, configuration::ServerConf},
    services::{Service as _, listening::Service},
};
use pingora_proxy::http_proxy;
use tokio::{
    io::{Interest, unix::AsyncFd},
    net::UnixStream,
    sync::watch,
    task::JoinHandle,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tpp::{
    handover::Handover,
    pool::{Desk, Epoch, SeatIndex, WorkerSettings},
    region::Region,
};
use tracing::{info, warn};

use crate::{
    logging,
    proxy::Proxy,
    relay::Relay,
    signals::{Signals, supervisor_gone},
    upstream::KEEPALIVE,
    worker::{TICK, Worker},
};

/// How long a worker serves on when its supervisor is gone, for another to take its place.
const ORPHAN_LIMIT: Duration = Duration::from_secs(300);
/// How long connections that are cut may take to end.
const CUT_LIMIT: Duration = Duration::from_secs(5);
/// Room for the head of an answer and a small body, so that both leave in one write.
const WRITE_BUFFER: usize = 16 * 1024;

/// What the supervisor says on the command line.
#[derive(clap::Args, Debug)]
pub struct WorkerArgs {
    /// Index of the seat this worker takes
    #[arg(long)]
    pub seat: usize,
    /// How often the seat has been filled
    #[arg(long)]
    pub epoch: u64,
    /// Seats there are
    #[arg(long)]
    pub seats: usize,
    /// An inherited listening socket's address, in the order of the descriptors
    #[arg(long)]
    pub listen: Vec<String>,
}

/// Runs the worker until it is told to end and has drained.
///
/// # Errors
/// If what it should have inherited is missing or of another version, or serving ends by itself.
pub fn run(args: WorkerArgs) -> anyhow::Result<()> {
    // The name is for people; without it the process has the executable's.
    let _ = CString::new("tpp-worker").map(|name| prctl::set_name(&name));
    let handover = Handover::receive(args.seats, args.listen.len()).context("take over the inherited descriptors")?;
    let region = Arc::new(Region::open(handover.region)?);
    let desk = Desk::new(region, handover.bells, SeatIndex::new(args.seat), Epoch::new(args.epoch));
    let settings = desk.settings().context("read the settings")?;
    let mut log = logging::init(&settings)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the runtime")?;
    let listeners = args.listen.into_iter().zip(handover.listeners).collect();
    runtime.block_on(async {
        let signals = Signals::install().context("receive signals")?;
        let channel = channel(handover.channel).context("watch the supervisor")?;
        Process::start(desk, listeners, move |settings| log.follow(settings))?.until_told(signals, channel).await
    })
}

fn channel(descriptor: OwnedFd) -> std::io::Result<UnixStream> {
    let channel = std::os::unix::net::UnixStream::from(descriptor);
    channel.set_nonblocking(true)?;
    UnixStream::from_std(channel)
}

/// The worker at work.
pub(crate) struct Process {
    worker: Arc<Worker>,
    accepting: JoinHandle<()>,
    stop_accepting: watch::Sender<bool>,
}

impl Process {
    /// Begins to serve; `follow` is called with each change of the settings. Must be called on the runtime.
    pub(crate) fn start(
        desk: Arc<Desk>,
        listeners: Vec<(String, OwnedFd)>,
        follow: impl FnMut(&WorkerSettings) + Send + 'static,
    ) -> anyhow::Result<Self> {
        let worker = Worker::new(desk).context("read the settings")?;
        worker.tick();
        tokio::spawn(keep_time(Arc::clone(&worker)));
        tokio::spawn(answer_bell(Arc::clone(&worker), follow, bell(worker.desk())?));
        let (stop_accepting, stop) = watch::channel(false);
        let (mut service, fds) = service(&worker, listeners)?;
        let accepting = tokio::spawn(async move { service.start_service(Some(fds), stop, 1).await });
        Ok(Self { worker, accepting, stop_accepting })
    }

    /// Serves until TERM, or until the supervisor has been gone for long; then drains.
    async fn until_told(mut self, mut signals: Signals, mut channel: UnixStream) -> anyhow::Result<()> {
        // The service takes its sockets in its first step.
        tokio::task::yield_now().await;
        self.worker.desk().set_ready();
        info!(worker = self.worker.seat(), "worker ready");
        let orphaned = async {
            supervisor_gone(&mut channel).await;
            warn!("supervisor gone, serving on");
            sleep(ORPHAN_LIMIT).await;
        };
        tokio::select! {
            () = signals.terminate() => {}
            () = orphaned => {}
            _ = &mut self.accepting => bail!("the listening sockets could not be served"),
        }
        tokio::select! {
            () = self.drain() => info!(worker = self.worker.seat(), "worker drained"),
            () = signals.terminate() => warn!(worker = self.worker.seat(), open = self.worker.open(), "told to end at once"),
        }
        Ok(())
    }

    /// Accepts nothing new, and waits until no connection is left.
    pub(crate) async fn drain(&mut self) {
        let limit = self.worker.view().settings.drain_timeout;
        info!(worker = self.worker.seat(), open = self.worker.open(), limit_s = limit.as_secs(), "worker draining");
        self.worker.drain();
        self.stop_accepting.send_replace(true);
        // A panic while accepting has been reported; what is open is drained all the same.
        let _ = (&mut self.accepting).await;
        // Connections accepted last are tasks that have not begun.
        tokio::task::yield_now().await;
        if timeout(limit, self.worker.empty()).await.is_err() {
            let left = self.worker.cut_all();
            warn!(worker = self.worker.seat(), left, "time to drain is over");
            let _ = timeout(CUT_LIMIT, self.worker.empty()).await;
        }
    }
}

/// The service that accepts on the inherited sockets.
fn service(
    worker: &Arc<Worker>,
    listeners: Vec<(String, OwnedFd)>,
) -> anyhow::Result<(Service<Relay>, Arc<Mutex<Fds>>)> {
    let mut conf = ServerConf::default();
    let settings = &worker.view().settings;
    conf.threads = 1;
    conf.upstream_keepalive_pool_size = settings.max_idle_connections.div_ceil(settings.workers.max(1)).max(1);
    let relay = Relay::new(Arc::clone(worker), http_proxy(&Arc::new(conf), Proxy::new(Arc::clone(worker))));
    let mut endpoints = Listeners::new();
    let mut fds = Fds::new();
    for (address, socket) in listeners {
        // A blocking one would stop the only thread at the first accept.
        let flags = OFlag::from_bits_retain(fcntl(&socket, FcntlArg::F_GETFL)?);
        fcntl(&socket, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        let mut options = TcpSocketOptions::default();
        options.tcp_keepalive = Some(KEEPALIVE);
        // Unbuffered reads: heads and bodies are read into buffers of their own, and idle connections need none.
        let buffers = L4BufferSettings::new(0, WRITE_BUFFER);
        endpoints.add_listener(ListenerConfig::tcp(&address).tcp_socket_options(options).l4_buffer(buffers));
        fds.add(address, socket.into_raw_fd());
    }
    Ok((Service::with_listeners("tpp".to_owned(), endpoints, relay), Arc::new(Mutex::new(fds))))
}

async fn keep_time(worker: Arc<Worker>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        worker.tick();
    }
}

#[expect(deprecated, reason = "its unsafe successor asks that the descriptor stay the same and open: an OwnedFd's does")]
fn bell(desk: &Desk) -> anyhow::Result<AsyncFd<OwnedFd>> {
    let bell = desk.bell().try_clone_to_owned().context("watch the bell")?;
    AsyncFd::with_interest(bell, Interest::READABLE).context("watch the bell")
}

async fn answer_bell(worker: Arc<Worker>, mut follow: impl FnMut(&WorkerSettings), bell: AsyncFd<OwnedFd>) {
    // An error would mean that the runtime is ending.
    while let Ok(mut ready) = bell.readable().await {
        ready.clear_ready();
        worker.desk().answer_bell();
        if let Some(view) = worker.look() {
            follow(&view.settings);
            info!(worker = worker.seat(), "settings or addresses changed");
        }
    }
}
