//! Where the worker's log lines go, and what may be among them.

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tpp::{
    config::{LogFormat, LogOutput},
    lending::WorkerSettings,
    log_file::log_file,
    log_lines::{LogLines, ROOM},
};
use tracing::{Level, Metadata, warn};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{FilterFn, LevelFilter, ParseError, filter_fn},
    fmt,
    layer::SubscriberExt,
    reload,
    util::SubscriberInitExt,
};

/// How long a muffled line is not repeated.
const MUFFLED: Duration = Duration::from_secs(1);

/// Keeps a line that every request could cause from being written for every request.
#[derive(Debug, Default)]
pub(crate) struct Muffler(Mutex<Option<Instant>>);

impl Muffler {
    /// Whether the line was not written for a while.
    pub(crate) fn may_speak(&self) -> bool {
        let mut last = self.0.lock();
        let may = last.is_none_or(|last| last.elapsed() >= MUFFLED);
        if may {
            *last = Some(Instant::now());
        }
        may
    }
}

/// Changes the filter of a running worker.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    filter: reload::Handle<EnvFilter, Registry>,
    lines: LogLines,
}

/// How long the last lines of a process may take.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Starts logging. A second start in one process changes nothing.
pub(crate) fn start(settings: &WorkerSettings) -> Log {
    let out: Box<dyn Write + Send> = match &settings.log_output {
        LogOutput::Stderr => Box::new(io::stderr()),
        LogOutput::File(path) => Box::new(log_file(path)),
    };
    let written = LogLines::new(out, ROOM, |dropped| {
        warn!(
            dropped,
            "log lines were dropped: their reader stood still, or they could not be written"
        );
    });
    let writer = written.clone();
    let make = move || writer.clone();
    let (filter, handle) = reload::Layer::new(filter(&settings.log_filter));
    let lines = match settings.log_format {
        LogFormat::Text => fmt::layer().with_writer(make).with_ansi(false).boxed(),
        LogFormat::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_writer(make)
            .boxed(),
    };
    // An error means that the process logs already.
    let _ = tracing_subscriber::registry()
        .with(filter)
        .with(cap())
        .with(lines)
        .try_init();
    Log {
        filter: handle,
        lines: written,
    }
}

impl Log {
    /// Waits for the lines so far, for a while: before the process ends.
    pub(crate) fn flush(&self) {
        self.lines.flush(LAST_LINES);
    }

    /// Lines that were dropped because nobody read them.
    pub(crate) fn dropped(&self) -> u64 {
        self.lines.dropped()
    }

    /// Puts another filter in force.
    pub(crate) fn set_filter(&self, directives: &str) {
        let _ = self.filter.reload(filter(directives));
    }
}

/// The configuration was checked before it was published; what cannot be read all the same is not followed.
fn filter(directives: &str) -> EnvFilter {
    let nothing = EnvFilter::default().add_directive(LevelFilter::OFF.into());
    let mut each = directives.split(',').filter(|one| !one.is_empty());
    // One by one, as the supervisor does: so that none is told of which no line of a release can match.
    let read = each.try_fold(nothing, |filter, one| {
        Ok::<_, ParseError>(filter.add_directive(one.parse()?))
    });
    read.unwrap_or_else(|error| {
        warn!(%error, "log filter unreadable, logging at info");
        EnvFilter::new("info")
    })
}

/// Lets pass from the libraries below us nothing under info, whatever the filter says: their details may hold what was
/// sent on a connection, the tokens among it.
fn cap() -> FilterFn<fn(&Metadata<'_>) -> bool> {
    filter_fn(|metadata| metadata.target().starts_with("tpp") || *metadata.level() <= Level::INFO)
}
