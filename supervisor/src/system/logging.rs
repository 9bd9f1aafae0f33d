//! Log lines: on standard error, as text for people or JSON for machines, with the same field names.

use anyhow::Context;
use tpp::config::{LogFormat, Telemetry};
use tracing::Level;
use tracing_subscriber::{
    EnvFilter, Layer, Registry, filter::filter_fn, fmt, layer::SubscriberExt, reload,
    util::SubscriberInitExt,
};

/// The log, once it has begun: what is written can be changed.
#[derive(Debug, Clone)]
pub struct Log(reload::Handle<EnvFilter, Registry>);

impl Log {
    /// Begins to log as `telemetry` says.
    ///
    /// # Errors
    /// If the filter cannot be understood, or logging has begun before.
    pub fn begin(telemetry: &Telemetry) -> anyhow::Result<Self> {
        let (filter, handle) = reload::Layer::new(parse(&telemetry.log_filter)?);
        // Libraries below info may print what they carry, a password or a token among it: no filter may ask for that.
        let no_library_details = filter_fn(|metadata| {
            metadata.target().starts_with("tpp") || *metadata.level() <= Level::INFO
        });
        let lines = fmt::layer().with_writer(std::io::stderr);
        let lines = match telemetry.log_format {
            LogFormat::Text => lines
                .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
                .boxed(),
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
        };
        tracing_subscriber::registry()
            .with(filter)
            .with(lines.with_filter(no_library_details))
            .try_init()
            .context("begin to log")?;
        Ok(Self(handle))
    }

    /// Puts another filter in force.
    ///
    /// # Errors
    /// If it cannot be understood; the old one stays.
    pub fn set_filter(&self, directives: &str) -> anyhow::Result<()> {
        self.0
            .reload(parse(directives)?)
            .context("change the log filter")
    }
}

fn parse(directives: &str) -> anyhow::Result<EnvFilter> {
    EnvFilter::try_new(directives).with_context(|| format!("telemetry.log_filter {directives:?}"))
}
