//! What a host shares with others is used no longer than it may: also where a worker is stopped, and where there is no
//! supervisor to say so.

use std::{io::Write as _, os::unix::net::UnixStream, sync::Arc};

use nix::sys::signal::Signal;
use tpp::{
    clock::boot_millis,
    handover::{
        Role, bells_of,
        meeting::{meeting_places, meeting_prefix},
        passing, word,
    },
    lending::Stock,
    pool::SlotIndex,
    region::Region,
    shared::{Deadlines, Tenure},
};

use crate::common::{
    client::Client, message::Request, processes, proxy::Proxy, settings::Settings,
    upstream::Upstream, wait_until,
};

const HOUR: u64 = 3_600_000;

/// One worker, and one session, which is a floating one.
struct Scene {
    upstream: Upstream,
    proxy: Proxy,
    worker: u32,
    stock: Stock,
}

impl Scene {
    /// Nobody but the kernel ends the worker while it is stopped.
    fn start() -> Self {
        let upstream = Upstream::start();
        let settings = Settings::in_front_of(&upstream)
            .accounts(&upstream, 1)
            .workers(1)
            .set("workers.worker_timeout_seconds", 600);
        let proxy = Proxy::start(&settings);
        let stock = region_of(&proxy);
        Self {
            worker: the_worker(&proxy),
            upstream,
            proxy,
            stock,
        }
    }

    /// The same with a supervisor that is stopped.
    fn without_a_supervisor() -> Self {
        let scene = Self::start();
        scene.proxy.signal_supervisor(Signal::SIGSTOP);
        share(&scene.stock);
        scene
    }

    /// A client whose request the upstream keeps.
    fn held(&self) -> Client {
        let mut client = self.proxy.client(&self.upstream);
        client.send(&Request::get("/gate/held"));
        wait_until("the upstream has the request", || {
            self.upstream.gates().waiting_at("held") == 1
        });
        client
    }
}

/// The region of a tpp, as a supervisor that takes over gets it from a worker.
fn region_of(proxy: &Proxy) -> Stock {
    let places = meeting_places(&meeting_prefix(&proxy.control_socket())).expect("a directory");
    let (_, place) = places.first().expect("a worker");
    let mut connection = UnixStream::connect(place).expect("the worker listens");
    connection.write_all(&[word::HAND_OVER]).expect("it reads");
    let received = passing::receive(&connection).expect("it answers");
    let (regions, bells): (Vec<_>, Vec<_>) = received
        .into_iter()
        .partition(|(role, _)| *role == Role::Region);
    let (_, region) = regions.into_iter().next().expect("a region");
    let region = Region::open(region).expect("of this layout");
    let bells = bells_of(region.seats().len(), bells).expect("all bells");
    Stock::new(Arc::new(region), bells)
}

/// Says in how many milliseconds floating slots are lent no more, cut, and their workers ended. Returns when the last is.
fn lend_for(stock: &Stock, [lend, cut, kill]: [u64; 3]) -> u64 {
    let now = boot_millis();
    let deadlines = Deadlines {
        lend_until: now + lend,
        cut_at: now + cut,
        kill_at: now + kill,
    };
    stock.set_deadlines(Tenure::Floating, deadlines);
    deadlines.kill_at
}

/// Makes the one session a floating one.
fn share(stock: &Stock) {
    let first = SlotIndex::new(0);
    let (_, origin) = stock.read_token(first, &mut Vec::new());
    stock.take_out_of_use(first);
    assert!(stock.set_tenure(first, Some(Tenure::Floating)));
    stock.copy(first, first, origin).expect("it fits");
}

fn the_worker(proxy: &Proxy) -> u32 {
    let workers = proxy.ready_workers();
    assert_eq!(workers.len(), 1);
    workers[0].pid
}

#[test]
fn a_stopped_worker_is_ended_by_the_kernel_before_its_session_may_be_anothers() {
    let scene = Scene::without_a_supervisor();
    let Scene {
        upstream,
        proxy,
        worker,
        stock,
    } = &scene;
    let kill_at = lend_for(stock, [5_000, 6_000, 7_000]);
    let client = scene.held();
    processes::stop(*worker);
    assert!(processes::is_alive(*worker));
    wait_until("the kernel ends it", || !processes::is_alive(*worker));
    assert!(boot_millis() >= kill_at, "not before its time");
    upstream.gates().open("held");
    proxy.signal_supervisor(Signal::SIGCONT);
    drop(client);
    wait_until("another one is there", || {
        proxy
            .ready_workers()
            .first()
            .is_some_and(|next| next.pid != *worker)
    });
}

#[test]
fn a_worker_that_holds_nothing_shared_outlives_any_stop() {
    let scene = Scene::without_a_supervisor();
    let Scene {
        upstream,
        proxy,
        worker,
        stock,
    } = &scene;
    lend_for(stock, [HOUR, HOUR, HOUR]);
    proxy.client(upstream).get("/who").ok();
    wait_until("it is given back", || stock.pool().census().in_use == 0);
    let kill_at = lend_for(stock, [0, 0, 500]);
    processes::stop(*worker);
    wait_until("its time is over", || boot_millis() > kill_at + 500);
    processes::send(*worker, Signal::SIGCONT);
    lend_for(stock, [HOUR, HOUR, HOUR]);
    proxy.client(upstream).get("/who").ok();
    assert!(processes::is_alive(*worker));
    proxy.signal_supervisor(Signal::SIGCONT);
    proxy.wait_until_all_is_back(1);
    upstream.assert_clean();
}

#[test]
fn deadlines_hold_while_the_supervisor_is_stopped() {
    let scene = Scene::without_a_supervisor();
    let Scene {
        upstream,
        proxy,
        worker,
        stock,
    } = &scene;
    lend_for(stock, [2_000, 3_000, HOUR]);
    let mut client = scene.held();
    assert_eq!(client.read_to_close(), b"", "cut off in the middle of it");
    assert!(processes::is_alive(*worker), "who runs is not killed");
    upstream.gates().open("held");
    let mut next = proxy.client(upstream);
    next.send(&Request::get("/who"));
    wait_until("it waits", || stock.pool().census().waiting == 1);
    proxy.signal_supervisor(Signal::SIGCONT);
    wait_until("it is counted", || {
        proxy.metric("tpp_connections_cut_total{reason=\"hosts\"}") == Some(1.0)
    });
    lend_for(stock, [HOUR, HOUR, HOUR]);
    next.read_answer().ok();
    drop(next);
    proxy.wait_until_all_is_back(1);
}

#[test]
fn a_request_that_comes_while_the_worker_is_stopped_is_not_sent_too_late() {
    let Scene {
        upstream,
        proxy,
        worker,
        stock,
    } = &Scene::start();
    share(stock);
    lend_for(stock, [HOUR, HOUR, HOUR]);
    let mut client = proxy.client(upstream);
    client.get("/who").ok();
    let seen = upstream.seen().len();
    processes::stop(*worker);
    client.send(&Request::get("/who"));
    // Of what it holds, and of the time left until it is killed, it knows only what it read.
    lend_for(stock, [0, HOUR, HOUR]);
    processes::send(*worker, Signal::SIGCONT);
    wait_until("it waits for another session", || {
        stock.pool().census().waiting == 1
    });
    assert_eq!(upstream.seen().len(), seen);
    lend_for(stock, [HOUR, HOUR, HOUR]);
    client.read_answer().ok();
    drop(client);
    proxy.wait_until_all_is_back(1);
    upstream.assert_clean();
}
