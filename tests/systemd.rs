//! What tpp tells systemd and gives it to keep, and what the next supervisor makes of it. A socket plays systemd's part
//! (sd_notify(3), sd_listen_fds(3)); `make systemd-test` runs the real one.

use std::{
    io::{IoSliceMut, Write},
    mem::MaybeUninit,
    net::TcpStream,
    os::{fd::OwnedFd, unix::net::UnixDatagram},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::common::{
    client::Client, message::Request, processes, proxy::Proxy, settings::Settings,
    upstream::Upstream, wait_until,
};
use nix::sys::signal::Signal;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

/// A service manager with a descriptor store. Like the real one it listens all the time: a sender that is not heard
/// would wait.
struct Manager {
    books: Arc<Mutex<Books>>,
    stop: Arc<AtomicBool>,
    listener: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Books {
    told: Vec<String>,
    kept: Vec<(String, OwnedFd)>,
}

impl Manager {
    fn new(path: &Path) -> Self {
        Self::on(UnixDatagram::bind(path).expect("bind the manager's socket"))
    }

    fn on(socket: UnixDatagram) -> Self {
        socket
            .set_read_timeout(Some(Duration::from_millis(20)))
            .expect("a timeout");
        let books = Arc::<Mutex<Books>>::default();
        let stop = Arc::<AtomicBool>::default();
        let listener = thread::spawn({
            let (books, stop) = (Arc::clone(&books), Arc::clone(&stop));
            move || {
                while !stop.load(Relaxed) {
                    if let Some((text, descriptors)) = receive(&socket) {
                        books
                            .lock()
                            .expect("no panic under it")
                            .note(&text, descriptors);
                    }
                }
            }
        });
        Self {
            books,
            stop,
            listener: Some(listener),
        }
    }

    #[track_caller]
    fn wait_for(&self, line: &str) {
        wait_until(line, || self.was_told(|told| told == line));
    }

    fn was_told(&self, what: impl Fn(&str) -> bool) -> bool {
        let books = self.books.lock().expect("no panic under it");
        books.told.iter().any(|told| what(told))
    }

    fn count(&self, beginning: &str) -> usize {
        let books = self.books.lock().expect("no panic under it");
        let names = books.kept.iter().map(|(name, _)| name);
        names.filter(|name| name.starts_with(beginning)).count()
    }

    /// Gives out all that it keeps.
    fn give_out(&self) -> Vec<(String, OwnedFd)> {
        std::mem::take(&mut self.books.lock().expect("no panic under it").kept)
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(listener) = self.listener.take() {
            drop(listener.join());
        }
    }
}

impl Books {
    fn note(&mut self, text: &str, descriptors: Vec<OwnedFd>) {
        let name = text.lines().find_map(|line| line.strip_prefix("FDNAME="));
        let name = name.unwrap_or_default().to_owned();
        for line in text.lines() {
            match line {
                "FDSTOREREMOVE=1" => self.kept.retain(|(kept, _)| *kept != name),
                "FDSTORE=1" => assert_eq!(descriptors.len(), 1, "{text}"),
                line => self.told.push(line.to_owned()),
            }
        }
        for descriptor in descriptors {
            self.kept.push((name.clone(), descriptor));
        }
    }
}

/// One message with what comes with it; none within the socket's time.
fn receive(socket: &UnixDatagram) -> Option<(String, Vec<OwnedFd>)> {
    let mut text = [0; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut slices = [IoSliceMut::new(&mut text)];
    let message = recvmsg(socket, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC).ok()?;
    let rights = control.drain().filter_map(|ancillary| match ancillary {
        RecvAncillaryMessage::ScmRights(received) => Some(received),
        _ => None,
    });
    let descriptors = rights.flatten().collect();
    let text = String::from_utf8_lossy(&text[..message.bytes]).into_owned();
    Some((text, descriptors))
}

struct Scene {
    upstream: Upstream,
    manager: Manager,
    variables: Vec<(String, String)>,
    proxy: Proxy,
}

fn start(accounts: usize) -> Scene {
    let upstream = Upstream::start();
    let directory = tempfile::tempdir().expect("make a directory");
    let path = directory.path().join("notify");
    let manager = Manager::new(&path);
    let variables = vec![
        ("NOTIFY_SOCKET".to_owned(), path.display().to_string()),
        ("WATCHDOG_USEC".to_owned(), "3000000".to_owned()),
    ];
    let settings = Settings::in_front_of(&upstream)
        .accounts(&upstream, accounts)
        .workers(2);
    let settings = variables.iter().fold(settings, |settings, (name, value)| {
        settings.variable(name, value)
    });
    let proxy = Proxy::start_copy_in(directory, &settings);
    manager.wait_for("READY=1");
    Scene {
        upstream,
        manager,
        variables,
        proxy,
    }
}

#[test]
fn systemd_is_told_of_readiness_life_and_numbers() {
    let scene = start(2);
    let manager = &scene.manager;
    manager.wait_for("WATCHDOG=1");
    manager.wait_for("STATUS=healthy: 0 of 2 tokens lent, 0 waiting, 2 workers ready");
    let mut client = scene.proxy.client(&scene.upstream);
    client.get("/who").ok();
    manager.wait_for("STATUS=healthy: 1 of 2 tokens lent, 0 waiting, 2 workers ready");
    scene.proxy.signal_supervisor(Signal::SIGHUP);
    manager.wait_for("RELOADING=1");
    assert!(manager.was_told(|line| line.starts_with("MONOTONIC_USEC=")));
    drop(client);
    scene.proxy.signal_supervisor(Signal::SIGTERM);
    manager.wait_for("STOPPING=1");
}

#[test]
fn a_manager_that_does_not_read_holds_nothing_up_and_misses_nothing() {
    let upstream = Upstream::start();
    let directory = tempfile::tempdir().expect("make a directory");
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("bind the manager's socket");
    let settings = Settings::in_front_of(&upstream)
        .accounts(&upstream, 2)
        .workers(2)
        .variable("NOTIFY_SOCKET", &path.display().to_string());
    let proxy = Proxy::start_copy_in(directory, &settings);
    let mut client = proxy.client(&upstream);
    client.get("/who").ok();
    let before = proxy.worker_pids();
    assert_eq!(proxy.ctl(&["restart"]).code, Some(0));
    proxy.signal_supervisor(Signal::SIGHUP);
    wait_until("it was reloaded", || proxy.status().last_reload.is_some());
    drop(client);
    wait_until("those before are gone", || {
        proxy.worker_pids().iter().all(|pid| !before.contains(pid))
    });
    assert!(proxy.log().contains("systemd takes no messages now"));
    let manager = Manager::on(socket);
    for line in ["READY=1", "RELOADING=1"] {
        manager.wait_for(line);
    }
    manager.wait_for("STATUS=healthy: 0 of 2 tokens lent, 0 waiting, 2 workers ready");
    wait_until("what a successor needs is kept, and no more", || {
        let kept = ["region", "listen", "health", "plan", "process-", "channel-"];
        kept.map(|name| manager.count(name)) == [1, 1, 1, 1, 2, 2]
    });
    for worker in proxy.workers() {
        assert_eq!(manager.count(&format!("process-{}", worker.pid)), 1);
    }
    proxy.signal_supervisor(Signal::SIGTERM);
    manager.wait_for("STOPPING=1");
}

#[test]
fn a_stop_does_not_wait_for_a_manager_that_never_reads() {
    let upstream = Upstream::start();
    let directory = tempfile::tempdir().expect("make a directory");
    let path = directory.path().join("notify");
    let _deaf = UnixDatagram::bind(&path).expect("bind the manager's socket");
    let settings = Settings::in_front_of(&upstream)
        .accounts(&upstream, 1)
        .variable("NOTIFY_SOCKET", &path.display().to_string());
    let mut proxy = Proxy::start_copy_in(directory, &settings);
    assert_eq!(proxy.upgrade(None).code, Some(0));
    proxy.signal_supervisor(Signal::SIGTERM);
    assert_eq!(proxy.wait_for_exit().code(), Some(0));
    proxy.assert_gone();
}

#[test]
fn readiness_waits_for_a_token_and_not_for_ever() {
    let mut upstream = Upstream::start();
    upstream.go_down();
    let directory = tempfile::tempdir().expect("make a directory");
    let path = directory.path().join("notify");
    let manager = Manager::new(&path);
    let settings = Settings::in_front_of(&upstream)
        .known_account("user0", 1)
        .variable("NOTIFY_SOCKET", &path.display().to_string());
    let proxy = Proxy::start_without_tokens(&settings);
    // A service that never becomes ready would be ended, and started again, without end.
    manager.wait_for("READY=1");
    assert_eq!(proxy.pool().total, 0);
}

#[test]
fn what_a_successor_needs_is_kept_and_no_more() {
    let scene = start(1);
    let manager = &scene.manager;
    let seats = manager.count("bell-");
    assert!(seats >= 32, "a bell for each seat: {seats}");
    for (name, count) in [
        ("region", 1),
        ("listen", 1),
        ("health", 1),
        ("process-", 2),
        ("channel-", 2),
    ] {
        assert_eq!(manager.count(name), count, "{name}");
    }
    assert_eq!(scene.proxy.ctl(&["restart"]).code, Some(0));
    wait_until("those of the replaced workers are dropped", || {
        (manager.count("process-"), manager.count("channel-")) == (2, 2)
    });
    for worker in scene.proxy.workers() {
        assert_eq!(manager.count(&format!("process-{}", worker.pid)), 1);
    }
}

#[test]
fn with_all_processes_dead_the_sockets_and_tokens_live_on() {
    let mut scene = start(2);
    let proxy = &mut scene.proxy;
    let mut lost = proxy.client(&scene.upstream);
    lost.get("/who").ok();
    let logins = scene.upstream.attempts().len();
    proxy.kill_supervisor();
    for pid in proxy.worker_pids() {
        processes::send(pid, Signal::SIGKILL);
    }
    wait_until("all are dead", || proxy.processes().is_empty());
    // Nobody lives who could accept; the socket does.
    let mut early = TcpStream::connect(proxy.address()).expect("it waits in the backlog");
    early
        .write_all(b"GET /who HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        .expect("it is taken in");
    let kept = scene.manager.give_out();
    proxy.start_successor_with(&scene.variables, kept);
    let answer = std::io::read_to_string(early).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    proxy.wait_until_all_is_back(2);
    assert_eq!(
        scene.upstream.attempts().len(),
        logins,
        "the tokens are still good"
    );
    let events = proxy.status().supervisors;
    let last = events.last().expect("an event");
    assert_eq!(
        (last.how.as_str(), last.workers, last.leases_freed),
        ("adopted", 0, 1)
    );
}

#[test]
fn workers_whose_channels_are_kept_do_not_notice_a_new_supervisor() {
    let mut scene = start(2);
    let proxy = &mut scene.proxy;
    let mut client = proxy.client(&scene.upstream);
    client.get("/who").ok();
    let workers = proxy.worker_pids();
    proxy.kill_supervisor();
    client.get("/who").ok();
    let kept = scene.manager.give_out();
    proxy.start_successor_with(&scene.variables, kept);
    assert_eq!(proxy.worker_pids(), workers);
    client.send(&Request::get("/who"));
    client.read_answer().ok();
    assert!(!proxy.log().contains("the supervisor is gone"));
    // The next one finds all of it again.
    wait_until("it is kept anew", || {
        scene.manager.count("channel-") == 2 && scene.manager.count("region") == 1
    });
    Client::connect(proxy.address()).get("/who").ok();
}

#[test]
fn a_descriptor_of_another_name_is_none_of_our_business() {
    let mut scene = start(1);
    scene.proxy.kill_supervisor();
    let stray = tempfile::tempfile().expect("a file");
    let mut kept = scene.manager.give_out();
    kept.insert(0, ("tpp.socket".to_owned(), stray.into()));
    scene.proxy.start_successor_with(&scene.variables, kept);
    scene.proxy.client(&scene.upstream).get("/who").ok();
}
