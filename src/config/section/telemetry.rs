//! `[telemetry]`.

use std::{path::PathBuf, time::Duration};

use super::{
    YEAR,
    listener::CaFile,
    otlp_headers::{OTLP_HEADERS, OTLP_HEADERS_FILE, OtlpHeaders},
    section,
};
use crate::config::text::{
    choice::choice,
    key::{Default, Effect, Key, Kind},
    reader::{Reader, Table},
    shape,
    values::Read,
    write::{Map, Write},
};

section! {
    /// `[telemetry]`: what is said about the running system.
    #[derive(Debug, Clone, PartialEq, Eq)]
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
        /// Where spans and metrics go by OTLP; `None`: nowhere, and traces are none of tpp's business.
        pub otlp_endpoint: Option<String> = Key::text(
            "telemetry.otlp_endpoint",
            "a URL that begins with http:// or https://",
            shape::http_url,
            Default::Unset,
        )
        .takes(Effect::Restart)
        .variables(&["TPP_TELEMETRY_OTLP_ENDPOINT"]);
        /// How the collector is spoken to; `None`: by its port.
        pub otlp_protocol: Option<OtlpProtocol> = Key::new(
            "telemetry.otlp_protocol",
            Kind::Choice(OtlpProtocol::WORDS),
            Default::Unset,
        )
        .takes(Effect::Restart);
        /// Who vouches for it; `None`: those whom this machine trusts.
        pub otlp_ca_file: Option<CaFile> = Key::text(
            "telemetry.otlp_ca_file",
            "the path of a PEM file",
            shape::file_path,
            Default::Unset,
        )
        .takes(Effect::Restart);
        /// What it wants to see in the head of each export besides.
        pub otlp_headers: Option<OtlpHeaders> = OTLP_HEADERS;
        /// The file that they come from.
        pub otlp_headers_file: Option<PathBuf> = OTLP_HEADERS_FILE;
        /// How often metrics are sent there; `None`: never.
        pub otlp_metrics_interval: Option<Duration> =
            Key::number("telemetry.otlp_metrics_interval_seconds", (0, YEAR), 60)
                .zero("none are sent");
        /// Of the traces that begin here so many in a hundred are recorded.
        pub trace_sample_percent: u32 =
            Key::number("telemetry.trace_sample_percent", (0, 100), 1)
                .zero("none but those that a client has recorded");
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

choice! {
    /// How a collector is spoken to.
    pub enum OtlpProtocol {
        /// Messages in HTTP requests of their own.
        Http = "http/protobuf",
        /// gRPC.
        Grpc = "grpc",
    }
}

impl Read for Option<OtlpProtocol> {
    fn read(reader: &mut Reader<'_>, table: &Table<'_>, key: &Key) -> Self {
        let is_given = table.find(key).is_some();
        is_given.then(|| OtlpProtocol::read(reader, table, key))
    }
}

impl Write for Option<OtlpProtocol> {
    fn write(&self, key: &Key, map: &mut Map) {
        if let Some(protocol) = self {
            protocol.write(key, map);
        }
    }
}

/// The port on which collectors speak gRPC.
const GRPC_PORT: u16 = 4317;

impl Telemetry {
    /// What an administrator should know though it is no error.
    pub(in crate::config) fn warnings(&self) -> Vec<String> {
        let endpoint = self.otlp_endpoint.as_deref();
        let is_plain = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
        let mut list = Vec::new();
        if is_plain && self.otlp_ca_file.is_some() {
            list.push("telemetry.otlp_ca_file has no effect on a collector without TLS".to_owned());
        }
        if is_plain && self.otlp_headers.is_some() {
            list.push("telemetry.otlp_headers go to the collector without TLS".to_owned());
        }
        if endpoint.is_none() && (self.otlp_ca_file.is_some() || self.otlp_headers.is_some()) {
            list.push(
                "telemetry.otlp_ca_file and otlp_headers have no effect without otlp_endpoint"
                    .to_owned(),
            );
        }
        list
    }

    /// How the collector at `port` is spoken to.
    #[must_use]
    pub fn protocol_at(&self, port: Option<u16>) -> OtlpProtocol {
        self.otlp_protocol.unwrap_or(match port {
            Some(GRPC_PORT) => OtlpProtocol::Grpc,
            _ => OtlpProtocol::Http,
        })
    }

    /// Of the traces that begin here so many in a hundred are recorded; `None`: traces are none of tpp's business.
    #[must_use]
    pub fn trace_percent(&self) -> Option<u32> {
        self.otlp_endpoint
            .as_ref()
            .map(|_| self.trace_sample_percent)
    }
}
