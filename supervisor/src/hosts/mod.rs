//! Many hosts, one set of accounts: this host's part of it.
//!
//! What is to be done says [`tpp_hosts::Core`], a pure function. Here it gets its clock, its store and its hands: for each pool a
//! [`share`], all of them on a thread of their own, so that no login, list or scrape keeps a sign of life waiting. Orders about
//! slots go to the pool's refresher; deadlines, and what the next supervisor must know, go into the region at once.

mod engine;
mod identity;
mod life;
mod local;
mod lock;
mod report;
mod share;
mod words;

use std::{
    collections::BTreeMap,
    os::fd::OwnedFd,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::Context as _;
use tokio::sync::{mpsc, oneshot, watch};
use tpp::{
    config::{Config, Hosts as Wanted},
    shared::{Histogram, HistogramCounts},
};
use tpp_hosts::{Command, Status};
use tracing::{error, info};

pub use self::local::Refused;
pub(crate) use self::{
    engine::{Calls, MemberStatus},
    life::{give_away, stop_if_refused},
};
use self::{
    engine::{Engine, etcd::Etcd},
    lock::LifeLock,
    share::{Share, Wish},
};
use crate::pools::{Pools, Running, sharing::Sharing};

/// How often it is looked which pools there are.
const LOOK: Duration = Duration::from_secs(1);
/// How often the store's members are looked at.
const LOOK_AT_MEMBERS: Duration = Duration::from_secs(10);
/// What there is to see of one pool.
#[derive(Debug, Clone)]
pub(crate) struct SharedPool {
    /// As the core has it; `None`: it has not begun.
    pub(crate) status: Option<Status>,
    /// Whether this host has a part in it.
    pub(crate) is_ready: bool,
    /// Why it has not begun, or not yet.
    pub(crate) waits_for: Option<String>,
}

/// What there is to see.
#[derive(Debug, Clone, Default)]
struct Seen {
    /// By pool.
    pools: BTreeMap<String, SharedPool>,
    /// The store's members.
    members: Vec<MemberStatus>,
}

/// What was counted.
#[derive(Debug, Clone, Default)]
pub(crate) struct HostsCounts {
    /// What was asked of the store.
    pub(crate) calls: Vec<Calls>,
    /// How long it took until sessions that came here were lent.
    pub(crate) moves: HistogramCounts,
}

/// What all parts of the room share.
struct Common {
    wanted: Wanted,
    sharing: Sharing,
    name: String,
    machine: String,
    lock: LifeLock,
    engine: Etcd,
    seen: Mutex<Seen>,
    /// Written by the room's thread alone.
    moves: Histogram,
    /// Says why tpp must not run.
    refused: watch::Sender<Option<Refused>>,
}

/// This host's part in its cluster. Dropping it leaves the sessions as they are, for a successor.
pub(crate) struct Hosts {
    common: Arc<Common>,
    wishes: mpsc::UnboundedSender<ToThread>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// By pool.
type Shares = BTreeMap<String, Known>;

/// A share that was begun.
struct Known {
    wishes: mpsc::UnboundedSender<Wish>,
    /// How the pool is configured, as far as it knows.
    running: Running,
    /// It was told that the pool is gone.
    is_gone: bool,
}

/// What the thread is told.
enum ToThread {
    /// An operator's wish, for each pool.
    Wish(Command, oneshot::Sender<Result<(), String>>),
    /// Give everything away; answered when nothing is left.
    Leave(oneshot::Sender<()>),
    /// Drop everything as it is.
    End,
}

impl Hosts {
    /// Takes part as `config` says; `None`: it says nothing of other hosts.
    ///
    /// # Errors
    /// If a file cannot be read or locked, or the host has no name.
    pub(crate) fn begin(config: &Config, pools: &Arc<Pools>) -> anyhow::Result<Option<Self>> {
        let Some(wanted) = config.hosts.clone() else {
            return Ok(None);
        };
        let name = wanted.name.clone().unwrap_or_else(identity::host_name);
        anyhow::ensure!(
            tpp_hosts::keys::is_name(&name),
            "the machine's name {name:?} cannot be this host's: set hosts.name"
        );
        let state: &Path = &config.state_directory;
        std::fs::create_dir_all(state).with_context(|| state.display().to_string())?;
        let common = Arc::new(Common {
            engine: Etcd::new(&wanted)?,
            machine: identity::machine(state).context("read or make the id of this machine")?,
            lock: LifeLock::take(state)?,
            seen: Mutex::default(),
            moves: Histogram::default(),
            sharing: Sharing::of(&wanted),
            refused: watch::Sender::new(None),
            name,
            wanted,
        });
        let (wishes, received) = mpsc::unbounded_channel();
        let thread = {
            let (common, pools) = (Arc::clone(&common), Arc::clone(pools));
            thread::Builder::new()
                .name("hosts".to_owned())
                .spawn(move || run(common, pools, received))
                .context("start the thread that speaks to etcd")?
        };
        info!(
            host = common.name,
            cluster = common.wanted.cluster,
            "one of many hosts"
        );
        Ok(Some(Self {
            common,
            wishes,
            thread: Mutex::new(Some(thread)),
        }))
    }

    /// This host's name.
    pub(crate) fn name(&self) -> &str {
        &self.common.name
    }

    /// What every worker inherits, so that a later life knows when all of this one's have ended.
    ///
    /// # Errors
    /// If the system has no descriptors left.
    pub(crate) fn share_lock(&self) -> std::io::Result<OwnedFd> {
        self.common.lock.share()
    }

    /// The cluster's.
    pub(crate) fn cluster(&self) -> &str {
        self.common.wanted.cluster.as_deref().unwrap_or_default()
    }

    /// What was counted since this supervisor began.
    pub(crate) fn counts(&self) -> HostsCounts {
        HostsCounts {
            calls: self.common.engine.calls(),
            moves: self.common.moves.read(),
        }
    }

    /// Does as an operator wishes, in every pool.
    ///
    /// # Errors
    /// Why it is not done.
    pub(crate) async fn command(&self, command: Command) -> Result<(), String> {
        let (answer, answered) = oneshot::channel();
        let _ = self.wishes.send(ToThread::Wish(command, answer));
        answered
            .await
            .unwrap_or_else(|_| Err("tpp is stopping".to_owned()))
    }

    /// Gives away what this host has, as it falls free. Returns at once; [`Self::left`] waits for it.
    pub(crate) fn leave(&self) -> oneshot::Receiver<()> {
        let (answer, answered) = oneshot::channel();
        let _ = self.wishes.send(ToThread::Leave(answer));
        answered
    }

    /// Resolves with why tpp must not run with this configuration, if that is so.
    pub(crate) async fn refused(&self) -> Refused {
        let mut refused = self.common.refused.subscribe();
        loop {
            if let Some(refused) = refused.borrow_and_update().clone() {
                return refused;
            }
            if refused.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Hosts {
    /// Ends its thread, and returns when that is done: nothing of it may go on when a successor begins. Sessions stay as they are.
    pub(crate) fn end(&self) {
        let _ = self.wishes.send(ToThread::End);
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        self.end();
    }
}

impl Common {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn run(common: Arc<Common>, pools: Arc<Pools>, wishes: mpsc::UnboundedReceiver<ToThread>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => {
            runtime.block_on(keep(common, pools, wishes));
            // What a name server still keeps a thread with is nobody's business any more.
            runtime.shutdown_background();
        }
        Err(error) => error!(%error, "nothing speaks to etcd: floating sessions lapse"),
    }
}

/// Keeps a share for each pool, until it is told to end.
async fn keep(
    common: Arc<Common>,
    pools: Arc<Pools>,
    mut wishes: mpsc::UnboundedReceiver<ToThread>,
) {
    let mut shares = Shares::new();
    let members = tokio::spawn(look_at_members(Arc::clone(&common)));
    let mut looks = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            _ = looks.tick() => follow(&common, &pools, &mut shares),
            told = wishes.recv() => match told {
                Some(ToThread::Wish(command, answer)) => wish(&shares, command, answer),
                Some(ToThread::Leave(answer)) => leave(&shares, answer),
                Some(ToThread::End) | None => break,
            },
        }
    }
    members.abort();
}

/// Begins a share for each pool that is new, tells those whose pools have changed, or are gone.
fn follow(common: &Arc<Common>, pools: &Pools, shares: &mut Shares) {
    let running = pools.all();
    shares.retain(|_, share| !share.wishes.is_closed());
    for (name, share) in shares.iter_mut() {
        let stays = running.get(name).is_some_and(|pool| share.is_at(pool));
        if !stays && !share.is_gone {
            share.is_gone = true;
            common.seen().pools.remove(name);
            let _ = share.wishes.send(Wish::Gone);
        }
    }
    for (name, pool) in running {
        // What the accounts were used for before has to end first.
        let waits = is_shared_still(common, shares, &pool);
        match shares.get_mut(&name) {
            Some(share) if share.is_gone || share.running.is_as(&pool) => {}
            Some(share) => {
                let _ = share.wishes.send(Wish::Changed(Box::new(pool.clone())));
                share.running = pool;
            }
            None if waits => {}
            None => drop(shares.insert(name.clone(), begin(common, name, pool))),
        }
    }
}

fn begin(common: &Arc<Common>, name: String, pool: Running) -> Known {
    let (wishes, received) = mpsc::unbounded_channel();
    tokio::spawn(Share::run(Arc::clone(common), name, pool.clone(), received));
    Known {
        wishes,
        running: pool,
        is_gone: false,
    }
}

impl Known {
    /// Whether `pool` is the one it shares: in the same place, and not one of that name that came after it.
    fn is_at(&self, pool: &Running) -> bool {
        Arc::ptr_eq(&self.running.stock, &pool.stock)
    }
}

/// Whether a pool that is gone gives away accounts of the server that `pool` has.
fn is_shared_still(common: &Common, shares: &Shares, pool: &Running) -> bool {
    let upstream = pool.upstream(&common.sharing);
    let mut gone = shares.values().filter(|share| share.is_gone);
    gone.any(|share| share.running.upstream(&common.sharing) == upstream)
}

fn wish(shares: &Shares, command: Command, answer: oneshot::Sender<Result<(), String>>) {
    let asked: Vec<_> = shares
        .values()
        .filter(|share| !share.is_gone)
        .map(|share| {
            let (sender, answered) = oneshot::channel();
            let _ = share.wishes.send(Wish::Command(command.clone(), sender));
            answered
        })
        .collect();
    tokio::spawn(async move {
        let mut outcome = Ok(());
        for one in asked {
            let said = one
                .await
                .unwrap_or_else(|_| Err("the pool is gone".to_owned()));
            outcome = outcome.and(said);
        }
        let _ = answer.send(outcome);
    });
}

fn leave(shares: &Shares, answer: oneshot::Sender<()>) {
    let leaving: Vec<_> = shares
        .values()
        .map(|share| {
            let (sender, left) = oneshot::channel();
            let _ = share.wishes.send(Wish::Leave(sender));
            left
        })
        .collect();
    tokio::spawn(async move {
        for one in leaving {
            // One that is gone has nothing.
            let _ = one.await;
        }
        let _ = answer.send(());
    });
}

async fn look_at_members(common: Arc<Common>) {
    let mut looks = tokio::time::interval(LOOK_AT_MEMBERS);
    loop {
        looks.tick().await;
        let members = common.engine.status().await;
        common.seen().members = members;
    }
}
