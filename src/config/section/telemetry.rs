//! `[telemetry]`.

use std::{path::PathBuf, time::Duration};

use super::{YEAR, section};
use crate::config::text::{
    choice::choice,
    key::{Default, Effect, Key},
    reader::{Reader, Table},
    shape,
    values::Read,
    write::{Map, Write},
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
        /// Where the log goes.
        pub log_output: LogOutput = Key::text(
            "telemetry.log_output",
            "\"stderr\" or the path of a file",
            shape::file_path,
            Default::Text("stderr"),
        )
        .takes(Effect::Restart);
        /// Where a line for each request goes.
        pub access_log: AccessLog = Key::text(
            "telemetry.access_log",
            "\"off\", \"stderr\" or the path of a file",
            shape::file_path,
            Default::Text("off"),
        );
        /// Shape of those lines.
        pub access_log_format: AccessLogFormat =
            Key::choice("telemetry.access_log_format", AccessLogFormat::WORDS);
        /// How often a line of the log tells what each pool has done; `None`: never.
        pub report_interval: Option<Duration> =
            Key::number("telemetry.report_interval_seconds", (0, YEAR), 0).zero("none is written");
    }
}

/// Where the log goes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum LogOutput {
    /// To standard error.
    Stderr,
    /// To this file's end; one that was moved away is followed by a new one.
    File(PathBuf),
}

/// Where a line for each request goes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum AccessLog {
    /// There is none.
    Off,
    /// To standard error.
    Stderr,
    /// To this file's end; one that was moved away is followed by a new one.
    File(PathBuf),
}

choice! {
    /// Shape of a request's line.
    pub enum AccessLogFormat {
        /// One JSON object a line.
        Json = "json",
        /// That of other servers' `combined` logs.
        Combined = "combined",
    }
}

/// A path is relative to the directory of the configuration.
impl Read for LogOutput {
    fn read(reader: &mut Reader<'_>, table: &Table<'_>, key: &Key) -> Self {
        match reader.text(table, key) {
            None | Some("stderr") => Self::Stderr,
            Some(path) => Self::File(reader.paths.resolve(path)),
        }
    }
}

impl Write for LogOutput {
    fn write(&self, key: &Key, map: &mut Map) {
        match self {
            Self::Stderr => "stderr".to_owned().write(key, map),
            Self::File(path) => path.write(key, map),
        }
    }
}

/// A path is relative to the directory of the configuration.
impl Read for AccessLog {
    fn read(reader: &mut Reader<'_>, table: &Table<'_>, key: &Key) -> Self {
        match reader.text(table, key) {
            None | Some("off") => Self::Off,
            Some("stderr") => Self::Stderr,
            Some(path) => Self::File(reader.paths.resolve(path)),
        }
    }
}

impl Write for AccessLog {
    fn write(&self, key: &Key, map: &mut Map) {
        match self {
            Self::Off => "off".to_owned().write(key, map),
            Self::Stderr => "stderr".to_owned().write(key, map),
            Self::File(path) => path.write(key, map),
        }
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
    pub(in crate::config) fn warnings(&self) -> Vec<String> {
        let is_vain = self.otlp_endpoint.is_some();
        let what = "telemetry.otlp_endpoint is set, but nothing is exported yet";
        is_vain.then(|| what.to_owned()).into_iter().collect()
    }
}
