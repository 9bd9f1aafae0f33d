//! Where the worker's log lines go, and what may be among them.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tpp::{config::LogFormat, lending::WorkerSettings};
use tracing::{Level, Metadata, warn};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{FilterFn, filter_fn},
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
pub(crate) struct Log(reload::Handle<EnvFilter, Registry>);

/// Starts logging to standard error. A second start in one process changes nothing.
pub(crate) fn start(settings: &WorkerSettings) -> Log {
    let (filter, handle) = reload::Layer::new(filter(&settings.log_filter));
    let lines = match settings.log_format {
        LogFormat::Text => fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(false)
            .boxed(),
        LogFormat::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_writer(std::io::stderr)
            .boxed(),
    };
    // An error means that the process logs already.
    let _ = tracing_subscriber::registry()
        .with(filter)
        .with(cap())
        .with(lines)
        .try_init();
    Log(handle)
}

impl Log {
    /// Puts another filter in force.
    pub(crate) fn set_filter(&self, directives: &str) {
        let _ = self.0.reload(filter(directives));
    }
}

/// The configuration was checked before it was published; what cannot be read all the same is not followed.
fn filter(directives: &str) -> EnvFilter {
    EnvFilter::try_new(directives).unwrap_or_else(|error| {
        warn!(%error, "log filter unreadable, logging at info");
        EnvFilter::new("info")
    })
}

/// Lets pass from the libraries below us nothing under info, whatever the filter says: their details may hold what was
/// sent on a connection, the tokens among it.
fn cap() -> FilterFn<fn(&Metadata<'_>) -> bool> {
    filter_fn(|metadata| metadata.target().starts_with("tpp") || *metadata.level() <= Level::INFO)
}
