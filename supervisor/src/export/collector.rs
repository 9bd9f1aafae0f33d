//! A collector, spoken to by OTLP over gRPC or over plain HTTP.
//!
//! A gRPC call without a stream is one HTTP/2 request whose body is a message behind five bytes, and whose answer says in a trailer how
//! it went: no more of gRPC is needed here.

use std::{fmt, time::Duration};

use axum::http::{self, HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Limited};
use opentelemetry_proto::tonic::collector::{
    metrics::v1::ExportMetricsServiceResponse, trace::v1::ExportTraceServiceResponse,
};
use prost::Message;
use reqwest::{Client, Url, redirect, retry};
use rustls::RootCertStore;
use tpp::{
    config::{OtlpHeaders, OtlpProtocol, Telemetry},
    tls,
};

/// For one export, from the connect to the last byte of the answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Of an answer's body, what is read, bytes.
const MOST_ANSWER: usize = 64 * 1024;
/// Longest time that a collector may ask to be spared.
const LONGEST_SPARED: Duration = Duration::from_secs(30);
/// Before a message of gRPC: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// What is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    Traces,
    Metrics,
}

impl Signal {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
        }
    }

    fn path(self, protocol: OtlpProtocol) -> &'static str {
        match (self, protocol) {
            (Self::Traces, OtlpProtocol::Http) => "v1/traces",
            (Self::Metrics, OtlpProtocol::Http) => "v1/metrics",
            (Self::Traces, OtlpProtocol::Grpc) => {
                "opentelemetry.proto.collector.trace.v1.TraceService/Export"
            }
            (Self::Metrics, OtlpProtocol::Grpc) => {
                "opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
            }
        }
    }

    /// How many parts of an export its answer says were turned down.
    fn refused(self, answer: &[u8]) -> u64 {
        let refused = match self {
            Self::Traces => ExportTraceServiceResponse::decode(answer)
                .ok()
                .and_then(|answer| Some(answer.partial_success?.rejected_spans)),
            Self::Metrics => ExportMetricsServiceResponse::decode(answer)
                .ok()
                .and_then(|answer| Some(answer.partial_success?.rejected_data_points)),
        };
        refused.map_or(0, |refused| u64::try_from(refused).unwrap_or(0))
    }
}

/// Why there is nobody to send to.
#[derive(Debug, thiserror::Error)]
pub(super) enum SetupError {
    #[error("telemetry.otlp_endpoint: {0}")]
    Url(String),
    #[error("telemetry.otlp_endpoint: {0}")]
    Trust(#[from] tls::TrustError),
    #[error("telemetry.otlp_headers: {0}")]
    Header(#[from] http::Error),
    #[error("HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

/// Why an export was not taken.
#[derive(Debug)]
pub(super) enum Failure {
    /// The collector cannot be reached, or does not answer.
    Unreachable(String),
    /// It answers that it cannot take it now; how long it wants to be spared, if it says so.
    Busy(String, Option<Duration>),
    /// It does not want it.
    Refused(String),
}

impl Failure {
    /// Whether another try may help.
    pub(super) fn may_pass(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }

    /// How long to wait for it, if the collector says so.
    pub(super) fn wait(&self) -> Option<Duration> {
        match self {
            Self::Busy(_, wait) => wait.map(|wait| wait.min(LONGEST_SPARED)),
            Self::Unreachable(_) | Self::Refused(_) => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) | Self::Busy(why, _) | Self::Refused(why) => f.write_str(why),
        }
    }
}

/// A collector.
#[derive(Debug)]
pub(super) struct Collector {
    client: Client,
    endpoint: Url,
    protocol: OtlpProtocol,
}

impl Collector {
    /// The one at `endpoint`, spoken to as `telemetry` has it.
    ///
    /// # Errors
    /// If it is no URL with a host, or nobody could be trusted there.
    pub(super) fn at(endpoint: &str, telemetry: &Telemetry) -> Result<Self, SetupError> {
        let wrong = |error: &dyn fmt::Display| SetupError::Url(error.to_string());
        let mut endpoint = Url::parse(endpoint).map_err(|error| wrong(&error))?;
        if !endpoint.path().ends_with('/') {
            // So that what is joined to it stands below.
            endpoint.set_path(&format!("{}/", endpoint.path()));
        }
        let protocol = telemetry.protocol_at(endpoint.port_or_known_default());
        let roots = match endpoint.scheme() {
            "https" => tls::roots_of(telemetry.otlp_ca_file.as_ref())?,
            _ => RootCertStore::empty(),
        };
        let mut tls = tls::config_of(roots)?;
        let builder = Client::builder().no_proxy();
        let builder = match protocol {
            OtlpProtocol::Grpc => {
                tls.alpn_protocols = vec![b"h2".to_vec()];
                builder.http2_prior_knowledge()
            }
            OtlpProtocol::Http => builder.http1_only(),
        };
        let client = builder
            .tls_backend_preconfigured(tls)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            .timeout(TIMEOUT)
            .user_agent(concat!("tpp/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers_of(telemetry)?)
            .build()?;
        Ok(Self {
            client,
            endpoint,
            protocol,
        })
    }

    /// Where it is; the rest of its URL may hold a password.
    pub(super) fn host(&self) -> &str {
        self.endpoint.host_str().unwrap_or_default()
    }

    /// Sends `message` once. Returns how many of its parts were turned down.
    pub(super) async fn send(&self, signal: Signal, message: &[u8]) -> Result<u64, Failure> {
        let url = self.endpoint.join(signal.path(self.protocol));
        let url = url.map_err(|error| Failure::Refused(error.to_string()))?;
        let request = self.client.post(url);
        let request = match self.protocol {
            OtlpProtocol::Http => request
                .header(header::CONTENT_TYPE, "application/x-protobuf")
                .body(Bytes::copy_from_slice(message)),
            OtlpProtocol::Grpc => request
                .header(header::CONTENT_TYPE, "application/grpc")
                .header(header::TE, "trailers")
                .body(framed(message)?),
        };
        let answer = request.send().await.map_err(|error| unreachable(&error))?;
        let answer = http::Response::<reqwest::Body>::from(answer);
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, MOST_ANSWER).collect().await;
        let body =
            body.map_err(|error| Failure::Unreachable(format!("read the answer: {error}")))?;
        let trailers = body.trailers().cloned().unwrap_or_default();
        let body = body.to_bytes();
        match self.protocol {
            OtlpProtocol::Http => judge(head.status, &head.headers)?,
            OtlpProtocol::Grpc => judge_call(head.status, &head.headers, &trailers)?,
        }
        let said = match self.protocol {
            OtlpProtocol::Http => &body[..],
            OtlpProtocol::Grpc => body.get(PREFIX..).unwrap_or_default(),
        };
        Ok(signal.refused(said))
    }
}

/// What it is told in each head besides. They show in no log.
fn headers_of(telemetry: &Telemetry) -> Result<HeaderMap, SetupError> {
    let fields = telemetry.otlp_headers.iter().flat_map(OtlpHeaders::iter);
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(http::Error::from)?;
        let mut value = HeaderValue::from_str(value.expose()).map_err(http::Error::from)?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

/// A message of gRPC, not compressed.
fn framed(message: &[u8]) -> Result<Bytes, Failure> {
    let length = u32::try_from(message.len());
    let length = length.map_err(|error| Failure::Refused(error.to_string()))?;
    let mut framed = BytesMut::with_capacity(PREFIX + message.len());
    framed.put_u8(0);
    framed.put_u32(length);
    framed.put_slice(message);
    Ok(framed.freeze())
}

/// The innermost cause says most.
fn unreachable(error: &reqwest::Error) -> Failure {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    Failure::Unreachable(if error.is_timeout() {
        format!("no answer within {} s", TIMEOUT.as_secs())
    } else {
        cause.to_string()
    })
}

/// What an answer of plain HTTP says (OTLP specification, "Failures").
fn judge(status: StatusCode, headers: &HeaderMap) -> Result<(), Failure> {
    match status.as_u16() {
        200..=299 => Ok(()),
        429 | 502 | 503 | 504 => {
            let wait = headers.get(header::RETRY_AFTER);
            let seconds = wait.and_then(|wait| wait.to_str().ok()?.parse().ok());
            let wait = seconds.map(Duration::from_secs);
            Err(Failure::Busy(format!("status {status}"), wait))
        }
        _ => Err(Failure::Refused(format!("status {status}"))),
    }
}

/// What the answer to a call says: in its trailers, or, of one that has no body, in its head.
fn judge_call(
    status: StatusCode,
    headers: &HeaderMap,
    trailers: &HeaderMap,
) -> Result<(), Failure> {
    let said = |name: &str| {
        let value = trailers.get(name).or_else(|| headers.get(name))?;
        value.to_str().ok()
    };
    let Some(code) = said("grpc-status") else {
        judge(status, headers)?;
        return Err(Failure::Busy(
            "an answer without grpc-status".to_owned(),
            None,
        ));
    };
    let why = || {
        let message = said("grpc-message").unwrap_or_default();
        format!("grpc-status {code} {message}")
            .trim_end()
            .to_owned()
    };
    match code {
        "0" => Ok(()),
        // Cancelled, deadline exceeded, resource exhausted, aborted, out of range, unavailable, data loss.
        "1" | "4" | "8" | "10" | "11" | "14" | "15" => Err(Failure::Busy(why(), None)),
        _ => Err(Failure::Refused(why())),
    }
}
