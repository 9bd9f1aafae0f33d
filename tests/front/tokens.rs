//! What is promised of leases holds behind TLS as well, in the judgement of the test's upstream: while clients come and go,
//! workers are killed, and certificates change.

use nix::sys::signal::Signal;

use super::{
    browser::Authority,
    common::{
        client::Client, load::while_clients_work, message::Request, processes, proxy::Proxy,
        settings::Settings, upstream::Upstream, wait_until,
    },
    scene::{secure, with_files},
    tunnel::Tunnel,
};

const FRONT: &str = "\n[[listeners]]\naddress = \"127.0.0.2:0\"\ntls = true\n\
                     [[certificates]]\nname = \"one\"\ncert_file = \"one.pem\"\nkey_file = \"one.key\"\n";

/// One connection with a few requests. A worker that dies may end it, and nothing else may.
fn come_and_go(to: &Tunnel, upstream: &Upstream) {
    let Ok(mut client) = Client::try_connect_watched(to.address, upstream.oracle()) else {
        return;
    };
    for _ in 0..3 {
        match client.try_ask(&Request::get("/who")) {
            Ok(answer) => assert_eq!(answer.status, 200, "{answer:?}"),
            Err(_) => return,
        }
    }
}

#[test]
fn leases_are_exclusive_and_whole_behind_tls_while_workers_die() {
    let upstream = Upstream::start();
    let authority = Authority::new();
    let names = ["tpp.test"];
    let issued = authority.issue(&names);
    let settings = Settings::in_front_of(&upstream)
        .accounts(&upstream, 3)
        .further(FRONT);
    let settings = with_files(settings, "one", &issued);
    let proxy = Proxy::start(&settings);
    let tunnel = Tunnel::to(secure(&proxy), "tpp.test", &authority);
    let (kills, rounds) = while_clients_work(
        8,
        |_| come_and_go(&tunnel, &upstream),
        || {
            for _ in 0..3 {
                let served = upstream.seen().len();
                wait_until("requests are served", || {
                    upstream.seen().len() > served + 20
                });
                let doomed = proxy.ready_workers()[0].pid;
                processes::send(doomed, Signal::SIGKILL);
                wait_until("it is replaced", || {
                    let workers = proxy.ready_workers();
                    workers.len() == 2 && workers.iter().all(|one| one.pid != doomed)
                });
                let issued = authority.issue(&names);
                with_files(settings.clone(), "one", &issued).write_to(proxy.directory());
                assert_eq!(proxy.ctl(&["reload"]).code, Some(0));
            }
            3
        },
    );
    assert!(rounds > 0);
    proxy.wait_until_all_is_back(3);
    assert_eq!(proxy.status().worker_restarts, kills);
    upstream.assert_clean();
}
