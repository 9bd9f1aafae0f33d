//! Other hosts, and what each has.

use tpp::control::{EtcdStatus, HostLine, HostsStatus, SharedPoolStatus};

use super::{
    Page, Tone,
    table::{Cell, Kind, Row, Table},
    text::{compact, visible},
};

/// A table for each pool, and the members of etcd.
pub(crate) fn hosts(status: &HostsStatus, page: Page) -> String {
    let mut text = String::new();
    for (name, pool) in &status.pools {
        let title = format!("pool {}, {}", visible(name), phase(pool));
        text += &format!("{}\n", page.paint(&title, Tone::Heading));
        if !pool.hosts.is_empty() {
            text += &table(pool).render(page);
        }
        for remark in &pool.remarks {
            text += &format!("{}\n", page.paint(&visible(remark), Tone::Warning));
        }
        text += &format!("{}\n", moves(pool));
    }
    for member in &status.members {
        text += &format!("{}\n", line_of(member, page));
    }
    text
}

fn phase(pool: &SharedPoolStatus) -> String {
    match &pool.waits_for {
        Some(what) => format!("waits for {}", visible(what)),
        None => format!(
            "{}: {} sessions, {} unclaimed; records in format {}; lending for {:.1} s more, home {} s",
            visible(&pool.phase),
            pool.sessions,
            pool.unclaimed,
            pool.format,
            seconds(pool.lend_margin_ms),
            pool.home_margin_ms / 1000
        ),
    }
}

fn moves(pool: &SharedPoolStatus) -> String {
    let moved: u64 = pool.moved.values().sum();
    format!(
        "{moved} sessions moved here or away, {} lapses, fenced {} times",
        pool.lapses, pool.fenced
    )
}

fn table(pool: &SharedPoolStatus) -> Table<12> {
    let columns = [
        ("HOST", Kind::Elastic),
        ("STATE", Kind::Word),
        ("BEAT", Kind::Number),
        ("HAS", Kind::Number),
        ("HOME", Kind::Number),
        ("IN USE", Kind::Number),
        ("IDLE", Kind::Number),
        ("WAITING", Kind::Number),
        ("OLDEST", Kind::Number),
        ("VERSION", Kind::Word),
        ("FORMATS", Kind::Word),
        ("CONFIG", Kind::Word),
    ];
    Table {
        columns,
        rows: pool.hosts.iter().map(row).collect(),
    }
}

fn row(host: &HostLine) -> Row<12> {
    let tone = match host.state.as_str() {
        "live" => Tone::Good,
        "leaving" => Tone::Warning,
        _ => Tone::Bad,
    };
    let mark = if host.me { " *" } else { "" };
    let config = if host.differs {
        Cell::toned(format!("{} differs", visible(&host.config)), Tone::Warning)
    } else {
        visible(&host.config).into()
    };
    let cells = [
        format!("{}{mark}", visible(&host.name)).into(),
        Cell::toned(visible(&host.state), tone),
        format!("{:.1} s", seconds(host.beat_ms)).into(),
        compact(u64::from(host.floating + host.home)).into(),
        compact(u64::from(host.home)).into(),
        compact(u64::from(host.in_use)).into(),
        compact(u64::from(host.idle)).into(),
        compact(u64::from(host.waiting)).into(),
        format!("{:.1} s", seconds(host.oldest_ms)).into(),
        visible(&host.version).into(),
        formats(host).into(),
        config,
    ];
    Row { cells, note: None }
}

fn formats(host: &HostLine) -> String {
    let [oldest, newest] = host.formats;
    if oldest == newest {
        newest.to_string()
    } else {
        format!("{oldest}-{newest}")
    }
}

fn line_of(member: &EtcdStatus, page: Page) -> String {
    let endpoint = visible(&member.endpoint);
    let (said, tone) = match (&member.version, &member.trouble) {
        (None, trouble) => {
            let why = trouble.as_deref().unwrap_or("no answer");
            (format!("no answer: {}", visible(why)), Tone::Bad)
        }
        (Some(version), Some(trouble)) => (
            format!("{}, {}", visible(version), visible(trouble)),
            Tone::Warning,
        ),
        (Some(version), None) => {
            let size = member.db_bytes / (1 << 20);
            (format!("{}, {size} MiB", visible(version)), Tone::Plain)
        }
    };
    page.paint(&format!("etcd {endpoint}: {said}"), tone)
}

fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}
