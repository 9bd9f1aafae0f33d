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

/// Whom the certificate is for.
const NAME: &str = "tpp.test";

/// What a tpp with so many tokens is started with.
fn settings(upstream: &Upstream, authority: &Authority, tokens: usize) -> Settings {
    let settings = Settings::in_front_of(upstream)
        .accounts(upstream, tokens)
        .further(FRONT);
    with_files(settings, "one", &authority.issue(&[NAME]))
}

#[test]
fn leases_are_exclusive_and_whole_behind_tls_while_workers_die() {
    let (upstream, authority) = (Upstream::start(), Authority::new());
    let settings = settings(&upstream, &authority, 3);
    let proxy = Proxy::start(&settings);
    let tunnel = Tunnel::to(secure(&proxy), NAME, &authority);
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
                let issued = authority.issue(&[NAME]);
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

#[test]
fn who_comes_over_tls_stands_in_one_line_with_the_others_in_order_of_arrival() {
    let (upstream, authority) = (Upstream::start(), Authority::new());
    let proxy = Proxy::start(&settings(&upstream, &authority, 1));
    let tunnel = Tunnel::to(secure(&proxy), NAME, &authority);
    let connect = |place: u64| {
        let doors = [proxy.address(), tunnel.address];
        Client::connect_watched(doors[usize::from(!place.is_multiple_of(3))], &upstream)
    };
    let mut holder = connect(1);
    holder.get("/who").ok();
    let mut order = vec![holder.id()];
    let mut line = Vec::new();
    for place in 1..=6 {
        let mut client = connect(place);
        client.send(&Request::get("/who"));
        wait_until("one more waits", || proxy.pool().waiting == place);
        order.push(client.id());
        line.push(client);
    }
    drop(holder);
    for mut client in line {
        client.read_answer().ok();
    }
    let seen: Vec<_> = upstream.seen().iter().map(|seen| seen.conn).collect();
    assert_eq!(seen, order);
    proxy.wait_until_all_is_back(1);
    upstream.assert_clean();
}
