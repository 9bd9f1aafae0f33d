//! The stage: a worker between a client and an upstream that the test plays byte by byte.

use std::{
    future::Future,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};
use tpp::{
    bells::BellBoard,
    config::{
        Abandoned, AccessLog, AccessLogFormat, Client, HostHeader, Lease, LeaseMode, LogFormat,
        LogOutput, Outlier, Proxy, Reset, Retry, TokenScope, TrustedProxies, Upstream,
        UpstreamHttp2,
    },
    lending::{Desk, Stock, TokenSettings, WorkerSettings},
    plan::{Place, Plan, Sealed},
    pool::{Census, Origin, SlotIndex},
    region::{Geometry, Region},
};

pub(super) use super::peer::Peer;
use crate::{clock::TICK, door::accept::accept, worker::Worker};

/// The plainest request.
pub(super) const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
/// Long enough for anything that comes at all.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for what must come.
pub(super) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("{what}: did not happen"))
}

/// Polls until `claim` holds.
pub(super) async fn until(what: &str, mut claim: impl FnMut() -> bool) {
    soon(what, async {
        while !claim() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

fn upstream(port: u16) -> Upstream {
    Upstream {
        host: "127.0.0.1".into(),
        port,
        tls: false,
        ca_file: None,
        verify: true,
        connect_timeout: PATIENCE,
        tls_handshake_timeout: PATIENCE,
        response_header_timeout: None,
        read_timeout: None,
        tunnel_timeout: None,
        idle_timeout: PATIENCE,
        max_idle_connections: 100,
        host_header: HostHeader::Auto,
        server_name: None,
        http2: UpstreamHttp2::Off,
        proxy: Proxy::None,
    }
}

/// Settings without any bound, for an upstream at `port`.
pub(crate) fn settings(port: u16) -> WorkerSettings {
    WorkerSettings {
        trust_forwarded: false,
        trusted_proxies: TrustedProxies::From(Vec::new()),
        workers: 1,
        orphan_timeout: Duration::from_secs(300),
        drain_timeout: PATIENCE,
        upstream: upstream(port),
        client: Client {
            max_connections: None,
            max_connections_per_address: None,
            head_timeout: None,
            stall_timeout: None,
            min_rate: None,
            exchange_timeout: None,
        },
        token: TokenSettings {
            renew_on: vec![401],
            scope: TokenScope::Backend,
            login_from_clients: true,
            login_path: "/api/login".into(),
            login_timeout: PATIENCE,
        },
        lease: Lease {
            mode: LeaseMode::Connection,
            wait_timeout: None,
            max_waiting: None,
            idle_timeout: None,
            contended_idle: None,
            max_hold: None,
            max_hold_grace: PATIENCE,
            abandoned: Abandoned::Release,
            abandoned_wait: PATIENCE,
            reset: Reset::None,
        },
        retry: Retry {
            attempts: 1,
            budget_percent: 20,
        },
        outlier: Outlier::default(),
        log_filter: "info".into(),
        log_format: LogFormat::Text,
        log_output: LogOutput::Stderr,
        access_log: AccessLog::Off,
        access_log_format: AccessLogFormat::Json,
        trace_percent: None,
        has_api: false,
    }
}

/// A worker with everything around it. All of it runs on the test's own thread.
pub(super) struct Stage {
    pub(super) stock: Stock,
    pub(super) worker: Arc<Worker>,
    pub(super) address: SocketAddr,
    listener: std::net::TcpListener,
    upstream: TcpListener,
    plan: Mutex<Plan>,
    tasks: Vec<JoinHandle<()>>,
}

/// Where the stage's tokens come from.
pub(super) const ORIGIN: Origin = Origin::new(1);

/// An address where they may go.
pub(super) fn place(address: SocketAddr) -> Place {
    Place {
        address,
        origin: ORIGIN,
    }
}

/// A plan as it comes over the channel.
pub(super) fn received(plan: &Plan) -> (Sealed, Plan) {
    let sealed = Sealed::of(plan).unwrap();
    Sealed::read(sealed.as_fd().try_clone_to_owned().unwrap()).unwrap()
}

/// A worker at the next seat, with its ticks.
fn hire(
    stock: &Stock,
    listener: &std::net::TcpListener,
    plan: &Plan,
    tasks: &mut Vec<JoinHandle<()>>,
) -> Arc<Worker> {
    let (seat, epoch) = stock.fill_seat(0).unwrap();
    let bells = stock.bells().try_clone().unwrap();
    let desk = Desk::new(Arc::clone(stock.region()), bells, seat, epoch);
    let worker = Worker::new(desk, received(plan));
    let socket = OwnedFd::from(listener.try_clone().unwrap());
    let accepting = accept(&worker, vec![("the test's".to_owned(), socket)]).unwrap();
    worker.desk.set_ready();
    let ticking = Arc::clone(&worker);
    tasks.push(tokio::spawn(async move {
        let _accepting = accepting;
        let mut ticks = tokio::time::interval(TICK / 5);
        loop {
            ticks.tick().await;
            ticking.desk.heartbeat();
            ticking.desk.answer_bell();
            ticking.look_at_deadlines();
            ticking.look_at_leases();
            ticking.timers.tick(&ticking.clock);
            let _ = ticking.relieve_crowd();
            ticking.view().tend(ticking.clock.now());
        }
    }));
    worker
}

impl Stage {
    /// A worker over `slots` slots, their tokens installed, with its settings changed by `change`.
    pub(super) async fn new(slots: usize, change: impl FnOnce(&mut WorkerSettings)) -> Self {
        let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream_address = upstream.local_addr().unwrap();
        let geometry = Geometry {
            slots: 64,
            seats: 2,
            token_bytes: 256,
        };
        let region = Region::with_room(geometry, 32 << 20).unwrap();
        region.set_slots_used(slots);
        let stock = Stock::new(Arc::new(region), BellBoard::create(2).unwrap());
        let mut settings = settings(upstream_address.port());
        change(&mut settings);
        let plan = Plan::plain(1, settings, vec![place(upstream_address)]);
        stock.put_plan_in_force(plan.generation);
        for slot in 0..slots {
            stock
                .install(
                    SlotIndex::new(slot),
                    format!("token-{slot}-1").as_bytes(),
                    ORIGIN,
                )
                .unwrap();
        }
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut tasks = Vec::new();
        Self {
            address: listener.local_addr().unwrap(),
            worker: hire(&stock, &listener, &plan, &mut tasks),
            plan: Mutex::new(plan),
            stock,
            listener,
            upstream,
            tasks,
        }
    }

    /// A second worker on the same socket.
    pub(super) fn second_worker(&mut self) -> Arc<Worker> {
        let plan = self.plan.lock().unwrap().clone();
        hire(&self.stock, &self.listener, &plan, &mut self.tasks)
    }

    /// Has the worker act on another plan.
    pub(super) fn put_in_force(&self, change: impl FnOnce(&mut Plan)) {
        let mut plan = self.plan.lock().unwrap();
        plan.generation += 1;
        change(&mut plan);
        self.worker.take_plan(received(&plan));
        self.stock.put_plan_in_force(plan.generation);
    }

    /// Runs `part` beside the test, until the stage is struck.
    pub(super) fn play(&mut self, part: impl Future<Output = ()> + Send + 'static) {
        self.tasks.push(tokio::spawn(part));
    }

    /// A client, connected.
    pub(super) async fn client(&self) -> Peer {
        Peer::new(
            soon("connect", TcpStream::connect(self.address))
                .await
                .unwrap(),
        )
    }

    /// The worker's next connection to the upstream.
    pub(super) async fn upstream(&self) -> Peer {
        Peer::new(self.upstream_socket().await)
    }

    /// The worker's next connection to the upstream, bare.
    pub(super) async fn upstream_socket(&self) -> TcpStream {
        let accepted = soon("the worker connects", self.upstream.accept()).await;
        accepted.unwrap().0
    }

    /// Whether the worker has tried to connect to the upstream. Only good once it must have.
    pub(super) async fn upstream_is_untouched(&self) -> bool {
        timeout(Duration::ZERO, self.upstream.accept())
            .await
            .is_err()
    }

    /// From now on the upstream answers whatever comes with 204, by itself.
    pub(super) async fn answer_all(&mut self) {
        let unused = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = std::mem::replace(&mut self.upstream, unused);
        self.play(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let mut peer = Peer::new(upstream.accept().await.unwrap().0);
                connections.spawn(async move {
                    while !peer.is_at_end().await {
                        peer.head().await;
                        peer.send("HTTP/1.1 204 No Content\r\n\r\n").await;
                    }
                });
            }
        });
    }

    /// Stops listening as the upstream.
    pub(super) async fn lose_upstream(&mut self) {
        self.upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    }

    pub(super) fn census(&self) -> Census {
        self.stock.pool().census()
    }

    /// Waits until so many slots are lent.
    pub(super) async fn in_use(&self, slots: u64) {
        until(&format!("{slots} slots in use"), || {
            self.census().in_use == slots
        })
        .await;
    }

    /// Waits until so many stand in line.
    pub(super) async fn waiting(&self, clients: u64) {
        until(&format!("{clients} in line"), || {
            self.worker.desk.waiting() == clients
        })
        .await;
    }

    /// Has `client` send `request`; returns the new connection on which the upstream has read its head.
    pub(super) async fn asked(&self, client: &mut Peer, request: impl AsRef<[u8]>) -> Peer {
        client.send(request).await;
        let mut upstream = self.upstream().await;
        upstream.head().await;
        upstream
    }

    /// Sends `request` and lets the upstream answer 200, the body `said`. Returns what the upstream read.
    pub(super) async fn exchange(
        &self,
        client: &mut Peer,
        upstream: &mut Peer,
        request: &str,
    ) -> String {
        client.send(request).await;
        let head = upstream.head().await;
        upstream
            .send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsaid")
            .await;
        assert!(client.head().await.starts_with("HTTP/1.1 200 OK\r\n"));
        assert_eq!(client.exactly(4).await, "said");
        head
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
