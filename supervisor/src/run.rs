//! The supervisor's life: start the parts, follow the signals, end.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::TcpListener,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::PathBuf,
    sync::{Arc, Mutex},
};

use anyhow::Context;
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
};
use tpp::{
    clock::unix_seconds,
    config::Config,
    control::{Reply, SupervisorEvent},
    front::SealedFront,
    handover::{Role, meeting::meeting_prefix, names_of},
    lending::{Stock, WorkerSettings},
    plan::Sealed,
};
use tracing::info;

use crate::{
    acme::{self, Acme},
    desired::{Desired, first_state},
    doorbell,
    doors::{all::Doors, announce::announce, control::reply_to},
    export::Exporting,
    fleet::{Fleet, FleetHandle, Order, TICK},
    front::{self, FrontDoor},
    hosts::{Hosts, give_away, stop_if_refused},
    in_force::InForce,
    orders::{Orders, Reload, Upgrade, signals::follow},
    outlook::{Outlook, Started, answers},
    plans::{Inputs, Plans, keep, known},
    pools::{Pools, sharing::Sharing},
    prepare::{Prepared, StartKind, image},
    process::Launch,
    reports,
    succession::{history, upgrade::Invocation},
    system::{children, signals::Signals, sockets::Listening, systemd, ticks::Ticks},
};

pub use crate::{hosts::Refused, plans::check_hosts};

/// Runs until told to stop. `inherited` is what a predecessor or systemd handed over.
///
/// # Errors
/// If something it needs at start is not to be had: an address, the control socket, memory.
pub fn run(
    config: Config,
    config_file: PathBuf,
    log: crate::system::logging::Log,
    inherited: Vec<(Role, OwnedFd)>,
) -> anyhow::Result<()> {
    let runtime = runtime()?;
    let ended = runtime
        .block_on(async { run_prepared(Prepared::of(config, config_file, log, inherited)?).await });
    // What a name server or a file still keeps a thread with is nobody's business any more.
    runtime.shutdown_background();
    ended
}

/// The supervisor's runtime: one thread is plenty for work that is small and slow.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")
}

/// Starts the parts, follows the signals, and ends.
pub(crate) async fn run_prepared(mut prepared: Prepared) -> anyhow::Result<()> {
    let (signals, ticks) = (Signals::listen()?, Ticks::every(TICK)?);
    prepared.say_where();
    note_start(&prepared);
    let stock = Arc::clone(&prepared.stock);
    let (rings, bell) = watch::channel(());
    tokio::spawn(doorbell::answer(&stock, rings)?);
    let (handle, received) = FleetHandle::new();
    let predecessor = prepared.predecessor.take();
    let state = first_state(&prepared.config);
    let mut inputs = Inputs {
        settings: WorkerSettings::of(&prepared.config, prepared.wanted.workers),
        gateway: Arc::clone(&state.gateway),
        addresses: BTreeMap::new(),
        out: BTreeSet::new(),
    };
    inputs.addresses = known(inputs.names(), &BTreeMap::new(), predecessor.as_ref());
    let sharing = prepared.config.hosts.as_ref().map(Sharing::of);
    let pools = Arc::new(Pools::new(Arc::clone(&stock), bell.clone(), sharing));
    let publisher = (Arc::clone(&stock), handle.clone(), Arc::clone(&pools));
    let (plans, plan) = Plans::first(publisher, inputs, predecessor.as_ref())?;
    let (hosts, life) = part_of(&prepared, &pools)?;
    let refused = hosts.as_ref().map(|hosts| stop_if_refused(hosts, &handle));
    let plans = Arc::new(plans);
    let acme = Arc::new(Acme::first(&state));
    let desired = Arc::new(Desired::new(Arc::clone(&plans), state));
    let (front, sealed) = front_door(&mut prepared, &handle, &acme)?;
    let fleet = fleet(&mut prepared, (Arc::new(plan), sealed), life)?;
    let turn = Arc::<tokio::sync::Mutex<()>>::default();
    let caller = prepared.caller.take();
    renew_workers(prepared.start_kind, (caller, &turn), &handle);
    let parts = Parts {
        report: fleet.report(),
        fleet: handle.clone(),
        plans: Arc::clone(&plans),
        desired,
        front: Arc::new(front),
        acme,
        turn: Arc::clone(&turn),
        hosts: hosts.clone(),
    };
    let (orders, outlook, doors) = parts.join(prepared)?;
    let keeping = tokio::spawn(keep(plans, stock, bell));
    tokio::spawn(follow(signals, handle, Arc::clone(&orders), hosts.clone()));
    begin_by_themselves(&outlook, turn);
    let exporting = Exporting::begin(&outlook);
    let servers = doors.open(orders, outlook);
    // A task of its own: the runtime wakes its first one by a system call.
    let fleet = tokio::spawn(fleet.run(ticks, received));
    let workers_stay = fleet.await.context("look after the workers")?;
    if let Some(exporting) = exporting {
        exporting.end(workers_stay).await;
    }
    let_go(&pools, hosts.as_deref(), workers_stay).await;
    keeping.abort();
    servers.close().await?;
    systemd::told().await;
    info!("stopped");
    outcome(refused).await
}

/// An error, if it ended because etcd speaks against its configuration.
async fn outcome(refused: Option<JoinHandle<Refused>>) -> anyhow::Result<()> {
    match refused.filter(JoinHandle::is_finished) {
        Some(refused) => Err(refused.await?.into()),
        None => Ok(()),
    }
}

/// Ends the sessions, unless workers stay that use them. From here on the pool may be another supervisor's to write to.
async fn let_go(pools: &Pools, hosts: Option<&Hosts>, workers_stay: bool) {
    if let Some(hosts) = hosts {
        give_away(hosts, workers_stay).await;
    }
    if !workers_stay {
        pools.log_out().await;
    }
    pools.leave();
}

/// This host's part among others, if there are any, and what every worker inherits of it.
fn part_of(
    prepared: &Prepared,
    pools: &Arc<Pools>,
) -> anyhow::Result<(Option<Arc<Hosts>>, Option<OwnedFd>)> {
    let hosts = Hosts::begin(&prepared.config, pools)?.map(Arc::new);
    let life = hosts.as_ref().map(|hosts| hosts.share_lock()).transpose();
    let life = life.context("share the lock of this host's life")?;
    Ok((hosts, life))
}

/// The front door as it is to be first, and all of it that is sent to workers.
fn front_door(
    prepared: &mut Prepared,
    handle: &FleetHandle,
    acme: &Acme,
) -> anyhow::Result<(FrontDoor, Option<Arc<SealedFront>>)> {
    let sockets: Vec<_> = prepared.listeners.iter().map(|(one, _)| *one).collect();
    let wanted = front::Wanted::of(&prepared.config, &sockets);
    let former = prepared.former_front.take();
    FrontDoor::first(handle.clone(), (wanted, acme.own()), former)
}

/// Begins what goes on by itself to the end of the process: what changes of the front door without an order, what tells of the state, and
/// what sees to children that are nobody's.
fn begin_by_themselves(outlook: &Arc<Outlook>, turn: Arc<tokio::sync::Mutex<()>>) {
    let by = (Arc::clone(&outlook.front), Arc::clone(&outlook.plans));
    let acme = Arc::clone(&outlook.acme);
    tokio::spawn(acme::run(acme, by, outlook.desired.follow()));
    tokio::spawn(front::watch(Arc::clone(&outlook.front), turn));
    tokio::spawn(announce(Arc::clone(outlook)));
    tokio::spawn(reports::write(Arc::clone(outlook)));
    tokio::spawn(answers::watch(Arc::clone(outlook)));
    tokio::spawn(children::reap_orphans());
}

/// Handles of the parts, for those that look at them and give them orders.
struct Parts {
    report: Arc<Mutex<crate::fleet::FleetReport>>,
    fleet: FleetHandle,
    plans: Arc<Plans>,
    desired: Arc<Desired>,
    front: Arc<FrontDoor>,
    acme: Arc<Acme>,
    turn: Arc<tokio::sync::Mutex<()>>,
    hosts: Option<Arc<Hosts>>,
}

impl Parts {
    /// Joins them with what was prepared. What is dropped of that is the fleet's alone from here on.
    fn join(self, prepared: Prepared) -> anyhow::Result<(Arc<Orders>, Arc<Outlook>, Doors)> {
        let Prepared {
            config,
            config_file,
            log,
            listeners,
            health,
            api,
            control,
            stock,
            ..
        } = prepared;
        let in_force = first_in_force(config, &listeners, &stock);
        let doors = Doors::of(health.1, api, control);
        let outlook = Arc::new(Outlook {
            stock: Arc::clone(&stock),
            fleet: self.report,
            plans: Arc::clone(&self.plans),
            desired: Arc::clone(&self.desired),
            front: Arc::clone(&self.front),
            acme: self.acme,
            in_force: Arc::clone(&in_force),
            health_listen: health.0.to_string(),
            api_listen: doors.api.as_ref().map(ToString::to_string),
            config_file: config_file.clone(),
            started: Started::now(),
            log: log.clone(),
            seen: Mutex::default(),
            scrapes: Default::default(),
            answers: Default::default(),
            hosts: self.hosts,
        });
        let orders = Orders {
            outlook: Arc::clone(&outlook),
            fleet: self.fleet.clone(),
            pools: Arc::clone(self.plans.pools()),
            upgrade: Upgrade {
                config_file: config_file.clone(),
                in_force: Arc::clone(&in_force),
                stock: Arc::clone(&stock),
                fleet: self.fleet.clone(),
                invocation: Invocation::of_this_process().context("find the own executable")?,
                log: log.clone(),
                own_sockets: doors.duplicates().context("duplicate the own sockets")?,
                turn: Arc::clone(&self.turn),
            },
            reload: Reload {
                config_file,
                in_force,
                stock,
                fleet: self.fleet,
                log,
                plans: self.plans,
                desired: self.desired,
                front: self.front,
                turn: self.turn,
            },
        };
        Ok((Arc::new(orders), outlook, doors))
    }
}

fn first_in_force(
    config: Config,
    listeners: &[(Listening, TcpListener)],
    stock: &Stock,
) -> Arc<InForce> {
    let addresses = listeners.iter().map(|(listening, _)| *listening).collect();
    let configurations = &stock.region().supervisors().configurations;
    configurations.add(1);
    Arc::new(InForce::first(config, addresses, configurations.get()))
}

fn note_start(prepared: &Prepared) {
    let event = SupervisorEvent {
        at: unix_seconds(),
        how: prepared.start_kind.word().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        workers: prepared.found.workers.len() as u64,
        leases_freed: prepared.found.leases_freed,
    };
    if prepared.start_kind != StartKind::Started {
        let tokens = prepared.stock.pool().census().usable;
        info!(
            how = event.how,
            version = event.version,
            workers = event.workers,
            tokens,
            leases_freed = event.leases_freed,
            "took over from the supervisor before"
        );
    }
    history::note(&prepared.stock, event);
}

/// The fleet, with the workers that a predecessor left.
fn fleet(
    prepared: &mut Prepared,
    papers: (Arc<Sealed>, Option<Arc<SealedFront>>),
    life: Option<OwnedFd>,
) -> anyhow::Result<Fleet> {
    let sockets = prepared
        .listeners
        .iter()
        .map(|(listening, socket)| Ok((listening.bound.to_string(), socket.try_clone()?.into())));
    let launch = Launch {
        listeners: sockets
            .collect::<std::io::Result<_>>()
            .context("duplicate the listening sockets")?,
        meeting_prefix: meeting_prefix(&prepared.config.control_socket),
        image: image()?,
        life,
    };
    // What is not gone on with must not come back at the next start; what is, is kept anew.
    prepared
        .inherited
        .iter()
        .for_each(|name| systemd::forget(name));
    let stock: &Stock = &prepared.stock;
    let region = (Role::Region, stock.region().as_fd());
    let health = (Role::Health, prepared.health.1.as_fd());
    let api = prepared
        .api
        .iter()
        .map(|socket| (Role::Api, socket.as_fd()));
    systemd::keep_all(launch.sockets().chain([region, health]).chain(api));
    systemd::keep_all(names_of(stock.bells()));
    let mut fleet = Fleet::new(Arc::clone(&prepared.stock), launch, papers, prepared.wanted);
    fleet.adopt(std::mem::take(&mut prepared.found.workers));
    fleet.adopt_former(std::mem::take(&mut prepared.former));
    Ok(fleet)
}

/// Has those workers replaced that a predecessor started otherwise than we would, and tells who waits for it.
fn renew_workers(
    start_kind: StartKind,
    (caller, turn): (Option<UnixStream>, &Arc<tokio::sync::Mutex<()>>),
    fleet: &FleetHandle,
) {
    // Another upgrade, which would end this process, waits until the caller of this one is answered.
    let turn = caller
        .as_ref()
        .and_then(|_| Arc::clone(turn).try_lock_owned().ok());
    if start_kind == StartKind::Started {
        return;
    }
    let all = start_kind == StartKind::Upgraded;
    let (answer, answered) = oneshot::channel();
    // The fleet has not begun yet, and so not ended.
    fleet.tell(Order::Renew { all, answer });
    tokio::spawn(async move {
        let outcome = answered.await;
        if let Some(caller) = caller {
            let version = env!("CARGO_PKG_VERSION");
            let reply = match outcome {
                Ok(Ok(done)) => Reply::Done(format!("upgraded to {version}: {done}")),
                Ok(Err(reason)) => Reply::Failed(format!(
                    "upgraded to {version}, but not all workers are replaced: {reason}"
                )),
                Err(_) => Reply::Failed("tpp is stopping".to_owned()),
            };
            reply_to(caller, reply).await;
        }
        drop(turn);
    });
}
