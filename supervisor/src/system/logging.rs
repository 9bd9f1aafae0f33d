//! Log lines: on standard error or in a file, as text for people or JSON for machines, with the same field names.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use anyhow::Context;
use tpp::{
    config::{LogFormat, LogOutput, Telemetry},
    log_file::log_file,
    log_lines::{LogLines, ROOM},
};
use tracing::{Level, warn};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{LevelFilter, ParseError, filter_fn},
    fmt,
    layer::SubscriberExt,
    reload,
    util::SubscriberInitExt,
};

/// The log, once it has begun: what is written can be changed.
#[derive(Debug, Clone)]
pub struct Log {
    filter: reload::Handle<EnvFilter, Registry>,
    lines: LogLines,
}

/// How long the last lines of a process may take.
const LAST_LINES: Duration = Duration::from_secs(1);

impl Log {
    /// Begins to log as `telemetry` says.
    ///
    /// # Errors
    /// If the filter cannot be understood, the file cannot be written, or logging has begun before.
    pub fn begin(telemetry: &Telemetry) -> anyhow::Result<Self> {
        let (filter, handle) = reload::Layer::new(parse(&telemetry.log_filter)?);
        // Libraries below info may print what they carry, a password or a token among it: no filter may ask for that.
        let no_library_details = filter_fn(|metadata| {
            metadata.target().starts_with("tpp") || *metadata.level() <= Level::INFO
        });
        let written = LogLines::new(output(&telemetry.log_output)?, ROOM, |dropped| {
            warn!(
                dropped,
                "log lines were dropped: their reader stood still, or they could not be written"
            );
        });
        let writer = written.clone();
        let lines = fmt::layer().with_writer(move || writer.clone());
        let lines = match telemetry.log_format {
            LogFormat::Text => lines
                .with_ansi(telemetry.log_output == LogOutput::Stderr && io::stderr().is_terminal())
                .boxed(),
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
        };
        tracing_subscriber::registry()
            .with(filter)
            .with(lines.with_filter(no_library_details))
            .try_init()
            .context("begin to log")?;
        Ok(Self {
            filter: handle,
            lines: written,
        })
    }

    /// Waits for the lines so far, for a while. To be called before the process ends, or becomes another one.
    pub fn flush(&self) {
        self.lines.flush(LAST_LINES);
    }

    /// Lines that were dropped because nobody read them.
    pub(crate) fn dropped(&self) -> u64 {
        self.lines.dropped()
    }

    /// Puts another filter in force.
    ///
    /// # Errors
    /// If it cannot be understood; the old one stays.
    pub fn set_filter(&self, directives: &str) -> anyhow::Result<()> {
        self.filter
            .reload(parse(directives)?)
            .context("change the log filter")
    }
}

/// # Errors
/// If it is a file that cannot be written: whoever starts tpp is told so, rather than nobody by a log that is nowhere.
fn output(output: &LogOutput) -> anyhow::Result<Box<dyn Write + Send>> {
    Ok(match output {
        LogOutput::Stderr => Box::new(io::stderr()),
        LogOutput::File(path) => {
            let mut file = log_file(path);
            let opened = file.open_now();
            opened.with_context(|| format!("telemetry.log_output {}", path.display()))?;
            Box::new(file)
        }
    })
}

/// One by one: read as a whole, a filter that asks for `trace` would have its library write to standard error that a release
/// has no such lines.
fn parse(directives: &str) -> anyhow::Result<EnvFilter> {
    let nothing = EnvFilter::default().add_directive(LevelFilter::OFF.into());
    let mut each = directives.split(',').filter(|one| !one.is_empty());
    each.try_fold(nothing, |filter, one| {
        Ok::<_, ParseError>(filter.add_directive(one.parse()?))
    })
    .with_context(|| format!("telemetry.log_filter {directives:?}"))
}
