//! Who has to do with a tpp while another executable takes its place.

use std::{fs, os::unix::fs::PermissionsExt, thread};

use crate::common::{processes, proxy::Proxy, settings::Settings, upstream::Upstream, wait_until};

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
