//! What is done to tpp and its upstream.

use std::{fs, thread, time::Duration};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::{
    common::{processes, upstream::Login},
    judge::WORKER_TIMEOUT,
    scene::{Scene, Supervisor, Wrong},
};

/// Something to do. Its two numbers, from 0 to 999, choose the details.
pub(crate) type Fault = fn(&mut Scene, usize, usize) -> bool;

/// All faults: name, how many times out of all it is chosen, deed.
pub(crate) const FAULTS: [(&str, usize, Fault); 20] = [
    ("worker killed", 5, kill_worker),
    ("worker stopped", 4, stop_worker),
    ("worker made to hang", 1, hang_worker),
    ("supervisor killed", 4, kill_supervisor),
    ("supervisor killed in an upgrade", 1, kill_in_upgrade),
    ("supervisor stopped", 2, stop_supervisor),
    ("reload", 4, reload),
    ("reload of a bad file", 1, reload_bad),
    ("restart", 1, restart),
    ("restart by signal", 1, restart_by_signal),
    ("upgrade", 2, upgrade),
    ("upgrade by signal", 2, upgrade_by_signal),
    ("all tokens expired", 1, expire_all),
    ("a token expired", 4, expire_one),
    ("login outage", 1, fail_logins),
    ("login outage for one", 1, fail_logins_of_one),
    ("move to another upstream", 2, move_to_another),
    ("upstream cut", 4, cut_upstream),
    ("upstream away", 2, take_upstream_away),
    ("nothing", 3, |_, _, _| true),
];

/// From `least` to `most` milliseconds.
fn millis(least: usize, most: usize, choice: usize) -> Duration {
    Duration::from_millis((least + (most - least) * choice / 1000) as u64)
}

/// A worker that may be struck so that one is left to serve, and to be found by the next supervisor.
fn victim(scene: &Scene, choice: usize) -> Option<u32> {
    let standing = scene.standing();
    let mut running = scene.proxy.worker_pids();
    running.retain(|pid| !standing.contains(pid));
    running.sort_unstable();
    let victim = *running.get(choice % running.len().max(1))?;
    let is_left = |pid: &u32| *pid != victim && running.contains(pid);
    let replaced = scene.supervisor == Supervisor::Up;
    (replaced || scene.last_ready.iter().any(is_left)).then_some(victim)
}

fn kill_worker(scene: &mut Scene, choice: usize, _: usize) -> bool {
    let Some(pid) = victim(scene, choice) else {
        return false;
    };
    // Stopped wherever it is, so that what it holds can be read; it never goes on.
    let held = scene.stop(pid);
    scene.judge.note_death(held);
    processes::send(pid, Signal::SIGKILL);
    true
}

fn stop_worker(scene: &mut Scene, choice: usize, length: usize) -> bool {
    let Some(pid) = victim(scene, choice) else {
        return false;
    };
    let held = scene.stop(pid);
    scene.judge.note_stop(held);
    // Long enough to be passed by, too short to be killed.
    scene.right_later(millis(5, 1500, length), Wrong::Stopped(pid));
    true
}

fn hang_worker(scene: &mut Scene, choice: usize, length: usize) -> bool {
    let Some(pid) = victim(scene, choice) else {
        return false;
    };
    let held = scene.stop(pid);
    scene.judge.note_death(held);
    let most = WORKER_TIMEOUT + Duration::from_secs(2);
    scene.right_later(most + millis(0, 1000, length), Wrong::Hanging(pid));
    true
}

fn kill_supervisor(scene: &mut Scene, _: usize, length: usize) -> bool {
    if !scene.find_ready_workers() {
        return false;
    }
    scene.supervisor_dies(millis(0, 2500, length));
    true
}

fn stop_supervisor(scene: &mut Scene, _: usize, length: usize) -> bool {
    if !scene.find_ready_workers() {
        return false;
    }
    scene.trouble_logins();
    processes::stop(scene.proxy.supervisor_pid());
    scene.supervisor = Supervisor::Stopped;
    scene.right_later(millis(100, 3000, length), Wrong::Supervisor);
    true
}

/// Other accounts and workers. Without a supervisor to read it, the file waits for the next one.
fn reload(scene: &mut Scene, tokens: usize, workers: usize) -> bool {
    scene.change_settings(6 + tokens % 5, 2 + workers % 3);
    if tokens.is_multiple_of(2) && scene.supervisor == Supervisor::Up {
        scene.proxy.signal_supervisor(Signal::SIGHUP);
        return true;
    }
    if !scene.can_be_asked() {
        return true;
    }
    let outcome = scene.proxy.ctl(&["reload"]);
    assert_eq!(
        outcome.code,
        Some(0),
        "the configuration is good: {outcome:?}"
    );
    true
}

/// A reload with the other server in it, for the same accounts and others.
fn move_to_another(scene: &mut Scene, tokens: usize, workers: usize) -> bool {
    // Tokens that were drawn there before are long forgotten; to count on them would be a mistake that shows.
    scene.tokens_expire();
    scene.judge.note_move();
    scene.servers.move_to_other();
    reload(scene, tokens, workers)
}

/// Refused, and nothing changes.
fn reload_bad(scene: &mut Scene, which: usize, _: usize) -> bool {
    if !scene.can_be_asked() {
        return false;
    }
    let bad = ["listen = [", "[workers]\ncount = -1\n", "", "colour = 1\n"][which % 4];
    fs::write(scene.proxy.config_file(), bad).expect("write the configuration");
    let outcome = scene.proxy.ctl(&["reload"]);
    scene.settings.write_to(scene.proxy.directory());
    assert_eq!(outcome.code, Some(78), "{outcome:?}");
    true
}

fn restart(scene: &mut Scene, _: usize, _: usize) -> bool {
    scene.can_be_asked() && {
        let outcome = scene.proxy.ctl(&["restart"]);
        scene.may_be_refused(&outcome);
        true
    }
}

fn restart_by_signal(scene: &mut Scene, _: usize, _: usize) -> bool {
    if scene.supervisor == Supervisor::Up {
        scene.proxy.signal_supervisor(Signal::SIGUSR1);
    }
    scene.supervisor == Supervisor::Up
}

fn upgrade(scene: &mut Scene, where_to: usize, _: usize) -> bool {
    if !scene.can_be_asked() {
        return false;
    }
    let another = where_to.is_multiple_of(2);
    let image = if another {
        Some(
            scene
                .proxy
                .another_image(["tpp.0", "tpp.1"][where_to / 2 % 2]),
        )
    } else {
        scene.proxy.replace_image();
        None
    };
    let outcome = scene.proxy.upgrade(image.as_deref());
    scene.may_be_refused(&outcome);
    true
}

fn upgrade_by_signal(scene: &mut Scene, _: usize, _: usize) -> bool {
    if !scene.can_be_asked() {
        return false;
    }
    scene.proxy.replace_image();
    scene.proxy.signal_supervisor(Signal::SIGUSR2);
    scene.upgrading = true;
    true
}

/// At any time between the order and the last worker's replacement.
fn kill_in_upgrade(scene: &mut Scene, delay: usize, length: usize) -> bool {
    if !scene.find_ready_workers() {
        return false;
    }
    // Who may be killed until the next supervisor is there depends on how far it came.
    scene.last_ready.clear();
    scene.proxy.replace_image();
    scene.proxy.signal_supervisor(Signal::SIGUSR2);
    thread::sleep(millis(0, 300, delay));
    scene.supervisor_dies(millis(0, 1500, length));
    true
}

fn expire_all(scene: &mut Scene, _: usize, _: usize) -> bool {
    scene.tokens_expire();
    scene.servers.expire_all();
    true
}

fn expire_one(scene: &mut Scene, which: usize, _: usize) -> bool {
    let user = scene.users[which % scene.users.len()].clone();
    scene.tokens_expire();
    scene.servers.expire(&user);
    true
}

/// No login succeeds for a while, and all tokens must be renewed.
fn fail_logins(scene: &mut Scene, how: usize, length: usize) -> bool {
    scene.trouble_logins();
    scene.servers.script_logins(failure(how));
    scene.servers.expire_all();
    scene.right_later(millis(50, 1500, length), Wrong::Logins);
    true
}

fn fail_logins_of_one(scene: &mut Scene, how: usize, length: usize) -> bool {
    let user = scene.users[how % scene.users.len()].clone();
    scene.trouble_logins();
    scene.servers.script_login(&user, failure(how));
    scene.servers.expire(&user);
    scene.right_later(millis(50, 3000, length), Wrong::LoginsOf(user));
    true
}

fn failure(how: usize) -> Login {
    match how % 5 {
        0 => Login::Close,
        1 => Login::Html(503),
        2 => Login::Result(json!("")),
        3 => Login::Refuse("The account is locked."),
        _ => Login::Garbage,
    }
}

fn cut_upstream(scene: &mut Scene, _: usize, _: usize) -> bool {
    if scene.is_upstream_away() {
        return false;
    }
    scene.upstream_goes();
    scene.servers.cut_connections();
    scene.upstream_is_back();
    true
}

fn take_upstream_away(scene: &mut Scene, _: usize, length: usize) -> bool {
    if scene.is_upstream_away() {
        return false;
    }
    scene.upstream_goes();
    scene.servers.go_down();
    scene.right_later(millis(20, 1500, length), Wrong::Upstream);
    true
}
