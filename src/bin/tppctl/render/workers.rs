//! The table of workers.

use tpp::control::WorkerStatus;

use super::{
    Page, Tone,
    table::{Cell, Grid, Kind, Row, Table},
    text::{compact, short_span, span, visible},
};

/// A line for each worker, and below it how its last predecessor ended.
pub(crate) fn workers(workers: &[WorkerStatus], page: Page) -> String {
    if workers.is_empty() {
        return "no workers\n".into();
    }
    workers_table(workers).render(page)
}

/// The same, for another layout.
pub(crate) fn workers_grid(workers: &[WorkerStatus]) -> Grid {
    workers_table(workers).grid()
}

fn workers_table(workers: &[WorkerStatus]) -> Table<11> {
    let columns = [
        ("SEAT", Kind::Number),
        ("STATE", Kind::Word),
        ("PID", Kind::Number),
        ("UP", Kind::Number),
        ("BEAT", Kind::Number),
        ("CONNS", Kind::Number),
        ("LEASES", Kind::Number),
        ("WAIT", Kind::Number),
        ("REQS", Kind::Number),
        ("ERRS", Kind::Number),
        ("DIED", Kind::Number),
    ];
    Table {
        columns,
        rows: workers.iter().map(row).collect(),
    }
}

fn row(worker: &WorkerStatus) -> Row<11> {
    let tone = match worker.state.as_str() {
        "ready" => Tone::Good,
        "stalled" | "backoff" => Tone::Bad,
        _ => Tone::Warning,
    };
    // A seat whose worker has ended and whose next is not yet due has no process.
    let process = |text: String| if worker.pid == 0 { "-".into() } else { text };
    let cells = [
        worker.seat.to_string().into(),
        Cell::toned(visible(&worker.state), tone),
        process(worker.pid.to_string()).into(),
        process(span(worker.uptime_seconds)).into(),
        process(short_span(worker.heartbeat_age_ms)).into(),
        compact(worker.connections).into(),
        compact(worker.leases).into(),
        compact(worker.waiting).into(),
        compact(worker.requests).into(),
        compact(worker.errors).into(),
        compact(worker.restarts).into(),
    ];
    let note = worker
        .last_exit
        .as_ref()
        .map(|exit| Cell::toned(format!("last exit: {}", visible(exit)), Tone::Faint));
    Row { cells, note }
}
