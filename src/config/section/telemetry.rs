//! `[telemetry]`.

use super::section;
use crate::config::text::{
    choice::choice,
    key::{Default, Effect, Key},
    shape,
};

section! {
    /// `[telemetry]`: what is said about the running system.
    #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    pub struct Telemetry in "telemetry" {
        /// A `tracing` filter, such as `info` or `info,tpp_worker=debug`.
        pub log_filter: String = Key::text(
            "telemetry.log_filter",
            "off, error, warn, info, debug or trace, or such as \"info,tpp_worker=debug\"",
            shape::log_filter,
            Default::Text("info"),
        )
        .variables(&["TPP_TELEMETRY_LOG_FILTER", "RUST_LOG"]);
        /// Shape of the log lines.
        pub log_format: LogFormat =
            Key::choice("telemetry.log_format", LogFormat::WORDS).takes(Effect::Restart);
        /// Accepted for files that have it; nothing is exported yet.
        pub otlp_endpoint: Option<String> = Key::text(
            "telemetry.otlp_endpoint",
            "a URL that begins with http:// or https://",
            shape::http_url,
            Default::Unset,
        )
        .takes(Effect::Restart)
        .variables(&["TPP_TELEMETRY_OTLP_ENDPOINT"]);
    }
}

choice! {
    /// Shape of the log lines.
    pub enum LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

impl Telemetry {
    /// What an administrator should know though it is no error.
    pub(in crate::config) fn warnings(&self) -> Option<String> {
        let vain = "telemetry.otlp_endpoint is set, but nothing is exported yet";
        self.otlp_endpoint.as_ref().map(|_| vain.to_owned())
    }
}
