//! Log lines, as the supervisor writes them too: on standard error, text or JSON.

use std::io::IsTerminal;

use anyhow::Context;
use tpp::{config::LogFormat, pool::WorkerSettings};
use tracing::{Level, error};
use tracing_subscriber::{
    EnvFilter, Layer, Registry, filter::filter_fn, fmt, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

/// Changes the filter of a running log.
#[derive(Debug)]
pub(crate) struct LogControl {
    filter: reload::Handle<EnvFilter, Registry>,
    text: String,
}

/// Begins to log as `settings` say.
///
/// # Errors
/// If the filter cannot be understood, or logging has begun before.
pub(crate) fn init(settings: &WorkerSettings) -> anyhow::Result<LogControl> {
    let text = settings.log_filter.clone();
    let filter = EnvFilter::try_new(&text).with_context(|| format!("telemetry.log_filter {text:?}"))?;
    let (filter, handle) = reload::Layer::new(filter);
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match settings.log_format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(lines.with_filter(filter_fn(|metadata| is_let_through(metadata.target(), *metadata.level()))))
        .try_init()
        .context("begin to log")?;
    // Pingora's DEBUG prints request heads, the token among their fields. It speaks through `log`, so this
    // closes it off before any filter is asked.
    log::set_max_level(log::LevelFilter::Info);
    Ok(LogControl { filter: handle, text })
}

/// Whether a library may say this at all. What `pingora_proxy` says of a request is said by tpp itself, at the
/// level it deserves: there, each client that leaves is an error.
fn is_let_through(target: &str, level: Level) -> bool {
    target.starts_with("tpp") || level <= Level::INFO && !target.starts_with("pingora_proxy")
}

impl LogControl {
    /// Puts a changed filter in force.
    pub(crate) fn follow(&mut self, settings: &WorkerSettings) {
        if self.text == settings.log_filter {
            return;
        }
        let changed = EnvFilter::try_new(&settings.log_filter)
            .map_err(anyhow::Error::from)
            .and_then(|filter| Ok(self.filter.reload(filter)?));
        match changed {
            Ok(()) => self.text.clone_from(&settings.log_filter),
            Err(error) => error!(%error, "log filter is unusable, the old one goes on"),
        }
        log::set_max_level(log::LevelFilter::Info);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_filter_lets_a_library_tell_what_it_carries() {
        assert!(!is_let_through("pingora_core::protocols", Level::DEBUG));
        assert!(!is_let_through("pingora_proxy::proxy_h1", Level::ERROR));
        assert!(is_let_through("pingora_core::services::listening", Level::ERROR));
        assert!(is_let_through("tpp_worker::held", Level::DEBUG));
    }
}
