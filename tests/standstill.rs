//! Workers that stand still while their supervisor is gone, all of them at once: they live, so nothing is taken from them.

use std::{thread, time::Duration};

use crate::common::{
    client::Client, processes, proxy::Proxy, settings::Settings, upstream::Upstream,
};
use nix::sys::signal::Signal;

/// The account that `client` works with.
fn account(client: &mut Client) -> String {
    let answer = client.get("/who").ok();
    answer.json()["user"].as_str().expect("a user").to_owned()
}

#[test]
fn workers_that_all_stood_still_for_a_while_are_waited_for_and_keep_what_they_hold() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream)
        .accounts(&upstream, 2)
        .workers(2)
        .set("workers.worker_timeout_seconds", 60);
    let mut proxy = Proxy::start_copy(&settings);
    let mut clients = [proxy.client(&upstream), proxy.client(&upstream)];
    let users = clients.each_mut().map(account);
    let logins = upstream.attempts().len();
    let workers = proxy.worker_pids();
    assert_eq!(workers.len(), 2);
    workers.iter().for_each(|pid| processes::stop(*pid));
    proxy.kill_supervisor();
    thread::scope(|scope| {
        scope.spawn(|| {
            // Longer than a look at a process that answers takes.
            thread::sleep(Duration::from_secs(3));
            workers
                .iter()
                .for_each(|pid| processes::send(*pid, Signal::SIGCONT));
        });
        proxy.start_successor();
    });
    let event = proxy.status().supervisors.pop().expect("its own start");
    assert_eq!(
        (event.how.as_str(), event.workers, event.leases_freed),
        ("adopted", 2, 0)
    );
    assert_eq!(proxy.worker_pids(), workers);
    assert_eq!(clients.each_mut().map(account), users);
    assert_eq!(upstream.attempts().len(), logins);
    drop(clients);
    proxy.wait_until_all_is_back(2);
    upstream.assert_clean();
}
