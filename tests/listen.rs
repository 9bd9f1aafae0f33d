//! Other addresses on the same port, wider or narrower than those before: no client is refused or lost on the way.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use crate::common::{
    client::Client, load::while_clients_work, proxy::Proxy, settings::Settings, upstream::Upstream,
    wait_until,
};

const USERS: usize = 4;

struct Scene {
    upstream: Upstream,
    settings: Settings,
    proxy: Proxy,
    port: u16,
}

fn start() -> Scene {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, USERS);
    let proxy = Proxy::start_copy(&settings);
    let port = proxy.address().port();
    Scene {
        upstream,
        settings,
        proxy,
        port,
    }
}

impl Scene {
    fn listen_on(&self, address: &str) {
        let listen = format!("\"{address}:{}\"", self.port);
        let settings = self.settings.clone().set("listen", listen);
        settings.write_to(self.proxy.directory());
    }

    /// Whether the address that only the wider socket takes is served.
    fn is_wide(&self) -> bool {
        TcpStream::connect((Ipv4Addr::new(127, 0, 0, 2), self.port)).is_ok()
    }

    /// Another supervisor, as a restart brings it, with another address; until all of its workers are its own.
    fn restart_on(&mut self, address: &str) {
        let before = self.proxy.worker_pids();
        self.proxy.kill_supervisor();
        self.listen_on(address);
        self.proxy.start_successor_elsewhere();
        wait_until("all workers are replaced", || {
            let workers = self.proxy.worker_pids();
            workers.len() == 2 && workers.iter().all(|pid| !before.contains(pid))
        });
        self.proxy.wait_until_ready(2);
    }
}

/// New connections all the time, one after another, none of which may fail.
fn knock(port: u16) {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    Client::connect(address).get("/who").ok();
}

#[test]
fn a_restart_to_all_addresses_and_back_loses_no_client() {
    let mut scene = start();
    let port = scene.port;
    let ((), rounds) = while_clients_work(
        USERS,
        |_| knock(port),
        || {
            assert!(!scene.is_wide());
            for _ in 0..2 {
                scene.restart_on("0.0.0.0");
                assert!(scene.is_wide());
                scene.restart_on("127.0.0.1");
                wait_until("the wider socket is closed", || !scene.is_wide());
            }
        },
    );
    assert!(rounds > USERS, "{rounds} rounds");
    assert_eq!(scene.proxy.status().supervisors.len(), 5);
    scene.proxy.wait_until_all_is_back(USERS as u64);
    scene.upstream.assert_clean();
}

#[test]
fn a_reload_to_all_addresses_and_back_loses_no_client() {
    let scene = start();
    let port = scene.port;
    let ((), rounds) = while_clients_work(
        USERS,
        |_| knock(port),
        || {
            for _ in 0..2 {
                for (address, is_wide) in [("0.0.0.0", true), ("127.0.0.1", false)] {
                    scene.listen_on(address);
                    let outcome = scene.proxy.ctl(&["reload"]);
                    assert_eq!(outcome.code, Some(0), "{outcome:?}");
                    wait_until("the new address is served, and no other", || {
                        scene.is_wide() == is_wide
                    });
                }
            }
        },
    );
    assert!(rounds > USERS, "{rounds} rounds");
    scene.proxy.wait_until_all_is_back(USERS as u64);
    scene.upstream.assert_clean();
}
