//! As process 1 of a container tpp inherits the processes that lose their parent there. A subreaper (prctl(2)) inherits them
//! in the same way, and can be one anywhere.

use std::{env, fs, os::unix::process::CommandExt, process::Command};

use crate::common::{processes, proxy::Proxy, settings::Settings, upstream::Upstream, wait_until};
use nix::sys::{prctl, signal::Signal};

/// The words of `sh` that become [`become_a_subreaper`], and that what comes after them: the executable, `--config`, a file.
const BECOME: &str =
    "export BECOME=\"$1\" CONFIG=\"$3\"; exec \"$0\" --ignored --exact orphans::become_a_subreaper";
/// Its children, and theirs.
const FAMILIES: usize = 5;

#[test]
#[ignore = "the other test starts it in a process of its own, which becomes tpp"]
#[expect(clippy::zombie_processes, reason = "tpp is to take their ends")]
fn become_a_subreaper() {
    let [image, config] = ["BECOME", "CONFIG"].map(|name| env::var_os(name).expect(name));
    prctl::set_child_subreaper(true).expect("become a subreaper");
    for _ in 0..FAMILIES {
        // Some end before tpp runs, some later; some lose their parent before they end.
        let mut family = Command::new("sh");
        family.args(["-c", "sleep 1 & sleep 2 & (exit 3) & exit 4"]);
        family.spawn().expect("start a shell");
    }
    let error = Command::new(image).arg("--config").arg(config).exec();
    panic!("tpp is not started: {error}");
}

/// The states of the processes whose parent is `pid`, but for tpp's workers.
fn foreign_children(pid: u32) -> Vec<String> {
    let all = fs::read_dir("/proc").expect("read /proc");
    let pids = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let stats = pids.filter_map(|pid| processes::proc_text(pid, "stat").ok());
    let is_foreign = |stat: &String| {
        let (name, rest) = stat.rsplit_once(')').expect("a name in brackets");
        let parent = rest.split_whitespace().nth(1);
        parent == Some(pid.to_string().as_str()) && !name.contains("tpp-worker")
    };
    stats.filter(is_foreign).collect()
}

#[test]
fn what_others_leave_to_tpp_is_reaped_and_its_own_workers_ends_are_told_as_they_were() {
    let upstream = Upstream::start();
    let own = env::current_exe().expect("the own executable");
    let own = own.to_str().expect("a path in UTF-8");
    let settings = Settings::in_front_of(&upstream)
        .accounts(&upstream, 2)
        .workers(2)
        .started_through(&["sh", "-c", BECOME, own]);
    let proxy = Proxy::start(&settings);
    let mut killed = 0;
    // Its own die while the others do.
    for _ in 0..4 {
        let victim = proxy.ready_workers()[0].pid;
        processes::send(victim, Signal::SIGKILL);
        killed += 1;
        wait_until("it is followed by another one", || {
            proxy.status().worker_restarts == killed && proxy.ready_workers().len() == 2
        });
    }
    let log = proxy.log();
    let told = log.matches("worker died: its leases are back");
    assert_eq!(told.count() as u64, killed);
    assert_eq!(
        log.matches("how=\"killed by SIGKILL\"").count() as u64,
        killed,
        "{log}"
    );
    wait_until("all that ended is reaped", || {
        foreign_children(proxy.supervisor_pid()).is_empty()
    });
    // Another one in its place inherits them, too, and knows its workers from them.
    assert_eq!(proxy.ctl(&["upgrade"]).code, Some(0));
    assert_eq!(proxy.ready_workers().len(), 2);
    assert_eq!(foreign_children(proxy.supervisor_pid()), [""; 0]);
}
