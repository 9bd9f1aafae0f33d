//! Tells systemd how things are: ready, alive, and the pool's numbers in one line.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::{MissedTickBehavior, interval, sleep};
use tpp::control::{Health, Status};

use crate::{
    outlook::{Outlook, status::status},
    system::systemd,
};

/// How often the line is renewed.
const EVERY: Duration = Duration::from_secs(1);
/// How often to look until tpp is ready.
const UNTIL_READY: Duration = Duration::from_millis(50);
/// How long readiness waits for the first token. With workers ready and the login server down tpp has started all
/// the same: clients wait in line, and to restart tpp would change nothing.
const FIRST_TOKEN: Duration = Duration::from_secs(10);

/// Runs as long as the supervisor does, if systemd started it. That it runs shows that the one thread of the supervisor is not stuck.
pub(crate) async fn announce(outlook: Arc<Outlook>) {
    if !systemd::listens() {
        return;
    }
    let started = Instant::now();
    // systemd.service(5) asks for a sign every half of the time.
    let watchdog = systemd::watchdog().map_or(EVERY, |limit| limit / 3);
    let mut ticks = interval(UNTIL_READY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_ready = false;
    let mut last_line = String::new();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = sleep(systemd::RETRY), if systemd::is_behind() => {
                systemd::catch_up();
                continue;
            }
        }
        systemd::feed_watchdog();
        let status = status(&outlook.glance());
        if !is_ready && has_started(&status, started.elapsed()) {
            is_ready = true;
            systemd::ready();
            ticks = interval(EVERY.min(watchdog));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        let line = line(&status);
        if line != last_line {
            systemd::status(&line);
            last_line = line;
        }
    }
}

fn has_started(status: &Status, after: Duration) -> bool {
    let serves = status.workers.iter().any(|worker| worker.state == "ready");
    serves && (status.pool.total > 0 || after >= FIRST_TOKEN)
}

fn line(status: &Status) -> String {
    let pool = status.pool;
    let ready = status
        .workers
        .iter()
        .filter(|worker| worker.state == "ready")
        .count();
    let health = match status.status {
        Health::Healthy => "healthy",
        Health::Degraded => "degraded",
        Health::Unhealthy => "unhealthy",
    };
    format!(
        "{health}: {} of {} tokens lent, {} waiting, {ready} workers ready",
        pool.in_use, pool.total, pool.waiting
    )
}
