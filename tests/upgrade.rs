//! Another executable takes a supervisor's place, and whoever has to do with tpp meanwhile is answered.

use std::{fs, os::unix::fs::PermissionsExt, thread};

use nix::sys::signal::Signal;

use crate::{
    common::{
        message::Request, processes, proxy::Proxy, settings::Settings, upstream::Upstream,
        wait_until,
    },
    succession::{account, last_event, seats, start},
};

#[test]
fn an_upgrade_starts_another_executable_in_place() {
    let (upstream, _, mut proxy) = start(3);
    let mut kept = proxy.client(&upstream);
    let user = account(&mut kept);
    let (pid, workers) = (proxy.status().pid, seats(&proxy));
    let logins = upstream.attempts().len();
    let image = proxy.another_image("tpp-next");
    let outcome = proxy.upgrade(Some(&image));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.out.contains("2 workers ready"), "{outcome:?}");
    assert!(proxy.runs_image(&image));
    assert_eq!(proxy.status().pid, pid);
    let name = processes::proc_text(pid, "comm").expect("the process is there");
    assert_eq!(name, "tpp\n");
    let event = last_event(&proxy);
    assert_eq!((event.how.as_str(), event.workers), ("upgraded", 2));
    let ready = proxy.ready_workers();
    assert_eq!(ready.len(), 2);
    assert!(
        ready
            .iter()
            .all(|one| !workers.iter().any(|old| old.1 == one.pid)),
        "all workers are replaced"
    );
    let answer = kept.get("/who").ok();
    assert_eq!(answer.json()["user"], user.as_str());
    assert!(answer.closes(), "the forerunner drains");
    assert_eq!(upstream.attempts().len(), logins);
    drop(kept);
    proxy.wait_until_all_is_back(3);
    upstream.assert_clean();
}

#[test]
fn a_signal_upgrades_to_the_file_that_is_there_now() {
    let (upstream, _, proxy) = start(1);
    let image = proxy.image();
    proxy.replace_image();
    assert!(!proxy.runs_image(image));
    proxy.signal_supervisor(Signal::SIGUSR2);
    wait_until("the new file runs", || proxy.runs_image(image));
    wait_until("all workers are replaced", || {
        proxy.log().contains("2 workers ready")
    });
    proxy.client(&upstream).get("/who").ok();
}

#[test]
fn an_executable_that_cannot_take_over_is_refused() {
    let (upstream, settings, mut proxy) = start(1);
    let workers = seats(&proxy);
    let script = proxy.directory().join("not-tpp");
    fs::write(&script, "no executable").expect("write a file");
    let refusals = [
        ("/bin/true", "/bin/true is no tpp that can take over"),
        ("/nonexistent/tpp", "/nonexistent/tpp cannot be run: "),
        (script.to_str().expect("UTF-8"), "not-tpp cannot be run: "),
    ];
    for (image, reason) in refusals {
        let outcome = proxy.upgrade(Some(image.as_ref()));
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        assert!(outcome.err.contains(reason), "{outcome:?}");
    }
    let wrong = settings.set("workers.drain_timeout_seconds", "\"soon\"");
    wrong.write_to(proxy.directory());
    let outcome = proxy.upgrade(None);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(
        outcome.err.contains("workers.drain_timeout_seconds"),
        "{outcome:?}"
    );
    assert_eq!(seats(&proxy), workers, "nothing has changed");
    assert_eq!(proxy.status().supervisors.len(), 1);
    proxy.client(&upstream).get("/who").ok();
}

#[test]
fn an_upgrade_does_not_undo_a_stop() {
    let (upstream, _, mut proxy) = start(1);
    let mut client = proxy.client(&upstream);
    client.send(&Request::get("/gate/open"));
    wait_until("it is in service", || {
        upstream.gates().waiting_at("open") == 1
    });
    proxy.signal_supervisor(Signal::SIGTERM);
    wait_until("all workers drain", || {
        let workers = proxy.workers();
        workers.iter().all(|worker| worker.state == "draining")
    });
    let outcome = proxy.ctl(&["upgrade"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    upstream.gates().open("open");
    client.read_answer().ok();
    drop(client);
    assert_eq!(proxy.wait_for_exit().code(), Some(0));
    proxy.assert_gone();
}

#[test]
fn roots_that_cannot_be_read_are_found_before_an_upgrade() {
    let (upstream, settings, mut proxy) = start(1);
    let wrong = settings
        .set("upstream.tls", true)
        .set("upstream.ca_file", "\"absent.pem\"");
    wrong.write_to(proxy.directory());
    let outcome = proxy.upgrade(None);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.err.contains("absent.pem"), "{outcome:?}");
    proxy.client(&upstream).get("/who").ok();
}

#[test]
fn an_upgrade_is_refused_while_the_file_asks_for_other_sockets() {
    let (upstream, settings, mut proxy) = start(1);
    let other = settings.set("listen", "[\"127.0.0.1:0\", \"127.0.0.2:0\"]");
    other.write_to(proxy.directory());
    let outcome = proxy.upgrade(None);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(
        outcome.err.contains("another listen than is in force"),
        "{outcome:?}"
    );
    assert_eq!(proxy.ctl(&["reload"]).code, Some(0));
    assert_eq!(proxy.upgrade(None).code, Some(0));
    proxy.client(&upstream).get("/who").ok();
}

#[test]
fn whoever_waits_for_tpp_while_it_is_upgraded_is_answered_by_the_new_one() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream)
        .accounts(&upstream, 1)
        .set("telemetry.log_filter", "\"debug\"");
    let mut proxy = Proxy::start_copy(&settings);
    let pid = proxy.status().pid;
    // Takes its time to say that it can take over: meanwhile a reload and another upgrade wait for their turns.
    let slow = proxy.directory().join("slow-tpp");
    let go_on = proxy.directory().join("go-on");
    let script = format!(
        "#!/bin/sh\nif test \"$1\" = check; then while ! test -e {}; do sleep 0.02; done; fi\nexec {} \"$@\"\n",
        go_on.display(),
        proxy.image().display()
    );
    fs::write(&slow, script).expect("write a script");
    fs::set_permissions(&slow, fs::Permissions::from_mode(0o700)).expect("make it one to run");
    let slow = slow.to_str().expect("a path in UTF-8");
    let outcomes = thread::scope(|scope| {
        let first = scope.spawn(|| proxy.ctl(&["upgrade", slow]));
        wait_until("it is asked whether it can take over", || {
            let children = proxy.processes();
            let is_asked = |&pid: &u32| {
                processes::proc_text(pid, "cmdline").is_ok_and(|line| line.contains("--takes-over"))
            };
            children.iter().any(is_asked)
        });
        let others = [&["reload"][..], &["upgrade"]];
        let others = others.map(|words| scope.spawn(|| proxy.ctl(words)));
        wait_until("all three are with the supervisor", || {
            let log = proxy.log();
            ["command=Reload", "command=Upgrade { path: None }"]
                .iter()
                .all(|command| log.contains(command))
        });
        fs::write(&go_on, "").expect("let it go on");
        let mut all = vec![first.join().expect("no panic")];
        all.extend(others.map(|one| one.join().expect("no panic")));
        all
    });
    for outcome in &outcomes {
        assert_eq!(outcome.code, Some(0), "{outcomes:?}");
    }
    assert!(outcomes[0].out.contains("upgraded to"), "{outcomes:?}");
    assert!(outcomes[2].out.contains("upgraded to"), "{outcomes:?}");
    let status = proxy.status();
    assert_eq!(status.pid, pid);
    assert_eq!(
        status.supervisors.len(),
        3,
        "both upgrades were carried out"
    );
    proxy.learn_addresses();
    proxy.client(&upstream).get("/who").ok();
}
