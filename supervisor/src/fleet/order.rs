//! What the fleet can be told.

use std::{fmt, net::TcpListener, os::fd::OwnedFd, sync::Arc, time::Duration};

use tokio::sync::{mpsc, oneshot};
use tpp::{config::Config, front::SealedFront, handover::Role, plan::Sealed, pool::SeatIndex};

use crate::system::sockets::ForWorkers;

/// Told when all workers are ready and none is left to be replaced, with what was done; or why that failed.
pub(crate) type Answer = oneshot::Sender<Result<String, String>>;

/// What the fleet can be told.
#[derive(Debug)]
pub(crate) enum Order {
    /// Replace all workers one by one.
    Restart(Answer),
    /// Want other workers: more are started, fewer drained, and those with other sockets replaced one by one.
    Want(Wanted, Vec<ForWorkers>, Answer),
    /// Tell which sockets the workers accept on.
    TellSockets(oneshot::Sender<Vec<TcpListener>>),
    /// Have all workers act on this plan, and those that are started from now on.
    Plan(Arc<Sealed>),
    /// Have them all let clients in by this front door.
    Front(Arc<SealedFront>),
    /// Drain all workers and end. The second time: kill them.
    Stop,
    /// End, and leave the workers to the next supervisor.
    Leave,
    /// Have workers replaced that another supervisor left: all, or those that would be started otherwise now.
    Renew { all: bool, answer: Answer },
    /// Call the next supervisor with what it needs of the fleet. If it returns, all goes on as before.
    HandOver(NextSupervisor),
}

/// Takes the fleet's descriptors, and does not return if all goes well.
pub(crate) struct NextSupervisor(pub(crate) Box<TakeOver>);

/// What it does with the descriptors.
pub(crate) type TakeOver = dyn FnOnce(Vec<(Role, OwnedFd)>) + Send;

impl fmt::Debug for NextSupervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NextSupervisor")
    }
}

/// The wanted set of workers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// At most half the seats there can be: a successor needs one beside its forerunner.
    pub(crate) workers: usize,
    pub(crate) drain_timeout: Duration,
    pub(crate) worker_timeout: Duration,
    /// Between the order to stop and the drain; new connections are taken meanwhile.
    pub(crate) stop_delay: Duration,
}

impl Wanted {
    /// What `config` wants.
    pub(crate) fn of(config: &Config) -> Self {
        let workers = match config.workers.count {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            count => count,
        };
        Self {
            workers: workers.min(SeatIndex::CAPACITY / 2),
            drain_timeout: config.workers.drain_timeout,
            worker_timeout: config.workers.worker_timeout,
            stop_delay: config.workers.stop_delay,
        }
    }
}

/// By which the fleet is given orders.
#[derive(Debug, Clone)]
pub(crate) struct FleetHandle(mpsc::UnboundedSender<Order>);

impl FleetHandle {
    /// A handle, and what the fleet receives by it.
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Order>) {
        let (orders, received) = mpsc::unbounded_channel();
        (Self(orders), received)
    }

    /// Gives an order. False: the fleet has ended.
    pub(crate) fn tell(&self, order: Order) -> bool {
        self.0.send(order).is_ok()
    }

    /// Duplicates of the sockets that the workers accept on. None: the fleet has ended.
    pub(crate) async fn sockets(&self) -> Vec<TcpListener> {
        let (answer, answered) = oneshot::channel();
        self.tell(Order::TellSockets(answer));
        answered.await.unwrap_or_default()
    }

    /// Has the fleet do something, and waits until it is done.
    ///
    /// # Errors
    /// One line that says why it was not.
    pub(crate) async fn ask(&self, order: impl FnOnce(Answer) -> Order) -> Result<String, String> {
        let (answer, answered) = oneshot::channel();
        // A fleet that has ended drops the answer.
        self.tell(order(answer));
        answered
            .await
            .unwrap_or_else(|_| Err("tpp is stopping".to_owned()))
    }
}
