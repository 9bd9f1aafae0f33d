//! The whole picture.

use tpp::{
    config::DEFAULT_POOL,
    control::{BackendStatus, Health, PoolStatus, Status},
};

use super::{
    Page, Tone, certificates, changes, slow,
    text::{counted, grouped, short_span, span, visible, wrap},
    workers,
};

/// Columns of the labels, with the space after them.
const LABEL: usize = 10;

/// Supervisors that are told of.
const HISTORY: usize = 3;

/// Cells of the bar.
const BAR: usize = 20;

/// The status as it is at `now`, Unix seconds.
pub(crate) fn status(status: &Status, now: u64, page: Page) -> String {
    let mut text = heading(status, page);
    for (label, value, tone) in fields(status, now) {
        text += &field(label, &value, tone, page);
    }
    text + "\n" + &workers(&status.workers, page)
}

/// Health in a word, then a line or more for each reason.
fn heading(status: &Status, page: Page) -> String {
    let (word, tone) = match status.status {
        Health::Healthy => ("healthy", Tone::Good),
        Health::Degraded => ("degraded", Tone::Warning),
        Health::Unhealthy => ("unhealthy", Tone::Bad),
    };
    let mut text = format!(
        "tpp {}: {}\n",
        visible(&status.version),
        page.paint(word, tone)
    );
    for reason in &status.reasons {
        for (at, line) in wrap(&visible(reason), page.width.saturating_sub(4))
            .iter()
            .enumerate()
        {
            let bullet = if at == 0 { "  - " } else { "    " };
            text += &format!("{bullet}{}\n", page.paint(line, tone));
        }
    }
    text + "\n"
}

fn fields(status: &Status, now: u64) -> Vec<(&'static str, String, Tone)> {
    let pool = status.pool;
    let full = if pool.available == 0 {
        Tone::Warning
    } else {
        Tone::Plain
    };
    let mut fields = vec![("pool", pool_line(pool), full)];
    fields.extend(pools(status));
    if status.configured_tokens != pool.total {
        let configured = grouped(status.configured_tokens);
        fields.push((
            "tokens",
            format!("{} usable of {configured} configured", grouped(pool.total)),
            Tone::Warning,
        ));
    }
    fields.push(("queue", queue(status), Tone::Plain));
    if pool.waiting > 0 && status.idle_leases > 0 {
        fields.push(("", crowd(status), Tone::Warning));
    }
    if status.gateway.backends.len() > 1 {
        fields.push(backends(status));
    } else {
        fields.push(upstream(status));
    }
    fields.extend(changes::lines(&status.gateway));
    fields.extend(slow::slow(&status.slow));
    fields.push((
        "listen",
        visible(&status.listen.join(", ")).into(),
        Tone::Plain,
    ));
    fields.extend(certificates::lines(&status.certificates, now));
    fields.push(("config", config(status, now), Tone::Plain));
    if let Some(reload) = &status.last_reload {
        fields.push(("reload", visible(reload).into(), Tone::Plain));
    }
    let errors = counted(status.request_errors, "error");
    fields.push((
        "requests",
        format!("{} served, {errors} of tpp's own", grouped(status.requests)),
        Tone::Plain,
    ));
    let (pid, up) = (status.pid, span(status.uptime_seconds));
    let restarts = counted(status.worker_restarts, "unplanned worker restart");
    fields.push((
        "process",
        format!("{pid}, up {up}, {restarts}"),
        Tone::Plain,
    ));
    if status.supervisors.len() > 1 {
        fields.push(("history", history(status, now), Tone::Plain));
    }
    fields
}

fn queue(status: &Status) -> String {
    match status.pool.waiting {
        0 => "nobody waits".to_owned(),
        waiting => format!(
            "{} waiting, the longest for {}",
            grouped(waiting),
            short_span(status.longest_wait_ms)
        ),
    }
}

/// A line for each pool, unless there is but the one of a configuration without pools.
fn pools(status: &Status) -> impl Iterator<Item = (&'static str, String, Tone)> {
    let pools = &status.gateway.pools;
    let are_told = pools.len() > 1 || pools.iter().any(|pool| pool.name != DEFAULT_POOL);
    let told = pools.iter().enumerate().filter(move |_| are_told);
    told.map(|(at, pool)| {
        let numbers = pool.numbers;
        let line = format!(
            "{}, {}: {} of {} in use, {} configured, {} waiting",
            visible(&pool.name),
            visible(&pool.provider),
            grouped(numbers.in_use),
            grouped(numbers.total),
            grouped(pool.configured_tokens),
            grouped(numbers.waiting)
        );
        let tone = match numbers.total {
            0 => Tone::Bad,
            total if total < pool.configured_tokens => Tone::Warning,
            _ => Tone::Plain,
        };
        (if at == 0 { "pools" } else { "" }, line, tone)
    })
}

/// That connections which ask nothing hold what others wait for, and what helps.
fn crowd(status: &Status) -> String {
    format!(
        "{}, {} wait: lease.mode = \"request\" lends a token only while a request is served",
        counted(status.idle_leases, "idle lease"),
        grouped(status.pool.waiting)
    )
}

/// How the last supervisors came into charge of the pool, the latest first.
fn history(status: &Status, now: u64) -> String {
    let latest = status.supervisors.iter().rev().take(HISTORY);
    let told = latest.map(|event| {
        let (how, version) = (visible(&event.how), visible(&event.version));
        let ago = span(now.saturating_sub(event.at));
        let freed = match event.leases_freed {
            0 => String::new(),
            leases => format!(", {} of the dead freed", counted(leases, "lease")),
        };
        let workers = match event.workers {
            0 => String::new(),
            workers => format!(" with {}", counted(workers, "worker")),
        };
        format!("{how} {version} {ago} ago{workers}{freed}")
    });
    let told: Vec<_> = told.collect();
    told.join("; ")
}

fn upstream(status: &Status) -> (&'static str, String, Tone) {
    let (upstream, addresses) = (visible(&status.upstream), &status.upstream_addresses);
    if addresses.is_empty() {
        (
            "upstream",
            format!("{upstream}, no address known"),
            Tone::Bad,
        )
    } else if *addresses == [upstream.as_ref()] {
        ("upstream", upstream.into(), Tone::Plain)
    } else {
        (
            "upstream",
            format!("{upstream} at {}", visible(&addresses.join(", "))),
            Tone::Plain,
        )
    }
}

/// How many backends can serve, which cannot, and which hosts nobody serves.
fn backends(status: &Status) -> (&'static str, String, Tone) {
    let all = &status.gateway.backends;
    let down: Vec<_> = all.iter().filter(|one| !one.healthy).collect();
    let rests = |one: &&BackendStatus| one.healthy && (one.state != "ready" || one.weight == 0);
    let resting: Vec<_> = all.iter().filter(rests).collect();
    let able = all.len() - down.len() - resting.len();
    let mut told = format!("{able} of {} can serve", all.len());
    if !down.is_empty() {
        let names: Vec<_> = down.iter().map(|one| visible(&one.id)).collect();
        told.push_str(&format!("; down: {}", names.join(", ")));
    }
    if !resting.is_empty() {
        let names: Vec<_> = resting.iter().map(|one| visible(&one.id)).collect();
        told.push_str(&format!("; nothing new for {}", names.join(", ")));
    }
    let out: Vec<_> = all.iter().filter(|one| one.ejected.is_some()).collect();
    if !out.is_empty() {
        let names: Vec<_> = out.iter().map(|one| visible(&one.id)).collect();
        told.push_str(&format!("; left out: {}", names.join(", ")));
    }
    let domains = status.gateway.domains.iter();
    let unserved: Vec<_> = domains
        .filter(|domain| domain.healthy_backends == 0)
        .map(|domain| visible(&domain.domain))
        .collect();
    let tone = match (down.is_empty() && out.is_empty(), unserved.is_empty()) {
        (true, true) => Tone::Plain,
        (false, true) => Tone::Warning,
        (_, false) => {
            told.push_str(&format!("; nobody serves {}", unserved.join(", ")));
            Tone::Bad
        }
    };
    ("backends", told, tone)
}

fn config(status: &Status, now: u64) -> String {
    let file = if status.config_file.is_empty() {
        "built in".into()
    } else {
        visible(&status.config_file)
    };
    let age = span(now.saturating_sub(status.config_loaded_at));
    format!(
        "{file}, generation {}, in force for {age}",
        status.config_generation
    )
}

fn pool_line(pool: PoolStatus) -> String {
    let (in_use, total, free) = (
        grouped(pool.in_use),
        grouped(pool.total),
        grouped(pool.available),
    );
    format!("[{}] {in_use} of {total} in use, {free} free", bar(pool))
}

/// Empty only when nothing is in use, full only when nothing is free.
fn bar(pool: PoolStatus) -> String {
    let cells = BAR as u64;
    let used = match pool.in_use {
        0 => 0,
        in_use if in_use >= pool.total => cells,
        in_use => (in_use.saturating_mul(cells) / pool.total).max(1),
    };
    (0..cells)
        .map(|cell| if cell < used { '#' } else { '.' })
        .collect()
}

/// `label` and `value`, the value wrapped beside the label.
fn field(label: &str, value: &str, tone: Tone, page: Page) -> String {
    let mut text = String::new();
    for (at, line) in wrap(value, page.width.saturating_sub(LABEL))
        .iter()
        .enumerate()
    {
        let label = page.paint(
            &format!("{:LABEL$}", if at == 0 { label } else { "" }),
            Tone::Faint,
        );
        text += &format!("{label}{}\n", page.paint(line, tone));
    }
    text
}
