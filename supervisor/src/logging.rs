//! Log lines: on standard error, as text for people or JSON for machines, with the same field names.

use anyhow::Context;
use tpp::config::{LogFormat, Telemetry};
use tracing::Level;
use tracing_subscriber::{
    EnvFilter, Layer, filter::filter_fn, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

/// Begins to log as `telemetry` says.
///
/// # Errors
/// If the filter cannot be understood, or logging has begun before.
pub fn init(telemetry: &Telemetry) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&telemetry.log_filter)
        .with_context(|| format!("telemetry.log_filter {:?}", telemetry.log_filter))?;
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
        .with(lines.with_filter(no_library_details).with_filter(filter))
        .try_init()
        .context("begin to log")
}
