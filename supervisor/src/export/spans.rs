//! Workers' records as OTLP has spans, with the names of OpenTelemetry's conventions for HTTP.

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::KeyValue,
    trace::v1::{
        ResourceSpans, ScopeSpans, Span as Exported, SpanFlags, Status, span::SpanKind as Role,
        status::StatusCode,
    },
};
use prost::Message;
use tpp::spans::{Record, Span, SpanKind};

use super::words::{Resource, number, scope, text};

/// Methods that the conventions know; any other is `_OTHER`, so that no client makes names without end.
const METHODS: [&str; 9] = [
    "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE",
];
/// What the access log says of a client that left before it was told anything: no status of HTTP.
const CLIENT_GONE: u16 = 499;
/// In a trace's flags: it is recorded.
const SAMPLED: u32 = 1;

/// `records` as one export.
pub(super) fn message(records: &[Record], resource: Resource) -> Vec<u8> {
    let spans = records.iter().filter_map(Record::span);
    let scope_spans = ScopeSpans {
        scope: Some(scope()),
        spans: spans.map(|span| exported(&span)).collect(),
        ..ScopeSpans::default()
    };
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![scope_spans],
            ..ResourceSpans::default()
        }],
    };
    request.encode_to_vec()
}

fn exported(span: &Span<'_>) -> Exported {
    let error = error_type(span);
    let mut attributes = attributes(span);
    attributes.extend(error.clone().map(|error| text("error.type", error)));
    let code = error.map_or(StatusCode::Unset, |_| StatusCode::Error);
    Exported {
        trace_id: span.trace.to_be_bytes().to_vec(),
        span_id: span.id.to_be_bytes().to_vec(),
        parent_span_id: match span.parent {
            0 => Vec::new(),
            parent => parent.to_be_bytes().to_vec(),
        },
        flags: flags(span),
        name: name(span).to_owned(),
        kind: match span.kind {
            SpanKind::Server => Role::Server,
            SpanKind::Attempt => Role::Client,
            SpanKind::TokenWait | SpanKind::QueueWait => Role::Internal,
        }
        .into(),
        start_time_unix_nano: span.began,
        end_time_unix_nano: span.began.saturating_add(span.lasted),
        attributes,
        status: Some(Status {
            code: code.into(),
            ..Status::default()
        }),
        ..Exported::default()
    }
}

/// It is recorded, and whether its parent is elsewhere.
fn flags(span: &Span<'_>) -> u32 {
    let is_remote = span.kind == SpanKind::Server && span.parent != 0;
    let remote = if is_remote {
        SpanFlags::ContextIsRemoteMask as u32
    } else {
        0
    };
    SAMPLED | SpanFlags::ContextHasIsRemoteMask as u32 | remote
}

fn name<'a>(span: &Span<'a>) -> &'a str {
    match span.kind {
        SpanKind::TokenWait => "wait for a token",
        SpanKind::QueueWait => "wait in the queue",
        SpanKind::Server | SpanKind::Attempt => known_method(span).unwrap_or("HTTP"),
    }
}

fn known_method(span: &Span<'_>) -> Option<&'static str> {
    let mut known = METHODS.into_iter();
    known.find(|known| known.as_bytes() == span.method)
}

fn attributes(span: &Span<'_>) -> Vec<KeyValue> {
    match span.kind {
        SpanKind::Server => of_server(span),
        SpanKind::Attempt => of_attempt(span),
        SpanKind::TokenWait | SpanKind::QueueWait => vec![text("tpp.proxy", said(span.name))],
    }
}

fn of_server(span: &Span<'_>) -> Vec<KeyValue> {
    let mut list = of_method(span);
    list.extend([
        text("url.scheme", scheme(span)),
        text("url.path", said(span.path)),
        text("client.address", said(span.client)),
    ]);
    if !span.name.is_empty() {
        list.push(text("tpp.proxy", said(span.name)));
    }
    let authority = said(span.host);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse::<u16>().ok()),
        _ => (authority.as_str(), None),
    };
    if !host.is_empty() {
        list.push(text("server.address", host));
    }
    list.extend(port.map(|port| number("server.port", port)));
    list.extend(of_version(span));
    list.extend(of_status(span));
    list
}

fn of_attempt(span: &Span<'_>) -> Vec<KeyValue> {
    let host = said(span.host);
    let authority = if host.contains(':') {
        format!("[{host}]:{}", span.port)
    } else {
        format!("{host}:{}", span.port)
    };
    let url = format!("{}://{authority}{}", scheme(span), said(span.path));
    let mut list = of_method(span);
    list.extend([
        text("url.full", url),
        text("server.address", host),
        number("server.port", span.port),
        text("tpp.backend", said(span.name)),
    ]);
    if span.resends > 0 {
        list.push(number("http.request.resend_count", span.resends));
    }
    list.extend(of_version(span));
    list.extend(of_status(span));
    list
}

fn of_method(span: &Span<'_>) -> Vec<KeyValue> {
    const KEY: &str = "http.request.method";
    match known_method(span) {
        Some(known) => vec![text(KEY, known)],
        None => vec![
            text(KEY, "_OTHER"),
            text("http.request.method_original", said(span.method)),
        ],
    }
}

fn of_status(span: &Span<'_>) -> Option<KeyValue> {
    let is_said = !matches!(span.status, 0 | CLIENT_GONE);
    is_said.then(|| number("http.response.status_code", span.status))
}

fn of_version(span: &Span<'_>) -> Option<KeyValue> {
    let number = span.version.number();
    (!number.is_empty()).then(|| text("network.protocol.version", number))
}

fn scheme(span: &Span<'_>) -> &'static str {
    if span.is_tls { "https" } else { "http" }
}

/// `None`: it did not fail. A server has not failed by what its client did wrong.
fn error_type(span: &Span<'_>) -> Option<String> {
    let least = match span.kind {
        SpanKind::Server => 500,
        SpanKind::Attempt => 400,
        SpanKind::TokenWait | SpanKind::QueueWait => return None,
    };
    if span.error.is_empty() {
        (span.status >= least).then(|| span.status.to_string())
    } else {
        Some(said(span.error))
    }
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
