//! A tpp that exports, and its access log.

use std::{fs, path::Path};

use opentelemetry_proto::tonic::{
    common::v1::{KeyValue, any_value::Value as Said},
    trace::v1::Span,
};
use serde_json::Value;

use super::{
    collector::Collector,
    common::{
        client::Client, message::Request, proxy::Proxy, settings::Settings, upstream::Upstream,
        wait_for,
    },
};

/// The ways to a collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Http,
    Grpc,
}

/// What a tpp needs to export all spans to `collector`, and to log.
pub(super) fn exporting(settings: Settings, collector: &Collector, way: Way) -> Settings {
    let (address, protocol) = match way {
        Way::Http => (collector.http, "http/protobuf"),
        Way::Grpc => (collector.grpc, "grpc"),
    };
    settings
        .set("telemetry.otlp_endpoint", format!("\"http://{address}\""))
        .set("telemetry.otlp_protocol", format!("\"{protocol}\""))
        .set("telemetry.otlp_metrics_interval_seconds", 1)
        .set("telemetry.trace_sample_percent", 100)
        .set("telemetry.access_log", "\"{directory}/access.log\"")
}

/// The same in front of `upstream`, with so many tokens.
pub(super) fn before(
    upstream: &Upstream,
    tokens: usize,
    collector: &Collector,
    way: Way,
) -> Settings {
    let settings = Settings::in_front_of(upstream).accounts(upstream, tokens);
    exporting(settings, collector, way)
}

/// All lines of the access log so far.
pub(super) fn lines(directory: &Path) -> Vec<Value> {
    let text = fs::read_to_string(directory.join("access.log")).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    whole.lines().map(parse).collect()
}

/// The line of the request for `path`, once it is there.
pub(super) fn line_of(proxy: &Proxy, path: &str) -> Value {
    wait_for(&format!("a line for {path}"), || {
        let mut all = lines(proxy.directory()).into_iter();
        all.find(|line| line["path"] == path)
    })
}

/// The trace that a line is of.
pub(super) fn trace_of(line: &Value) -> &str {
    line["trace_id"].as_str().expect("a trace")
}

/// Asks on a connection of its own, with further fields.
pub(super) fn ask(proxy: &Proxy, path: &str, fields: &[(&str, &str)]) -> u16 {
    let request = fields
        .iter()
        .fold(Request::get(path), |request, (name, value)| {
            request.field(name, value)
        });
    let request = request.field("Connection", "close");
    Client::connect(proxy.address()).ask(&request).status
}

/// An attribute, as text.
pub(super) fn attribute(list: &[KeyValue], key: &str) -> Option<String> {
    let found = list.iter().find(|one| one.key == key)?;
    let value = found.value.as_ref().and_then(|value| value.value.as_ref());
    Some(match value.expect("a value") {
        Said::StringValue(text) => text.clone(),
        Said::IntValue(number) => number.to_string(),
        other => panic!("{key}: {other:?}"),
    })
}

/// The one that `is`.
pub(super) fn one<'s>(spans: &'s [Span], what: &str, is: impl Fn(&Span) -> bool) -> &'s Span {
    let mut found = spans.iter().filter(|span| is(span));
    let span = found.next();
    assert!(found.next().is_none(), "{what}: several in {spans:#?}");
    span.unwrap_or_else(|| panic!("{what}: none in {spans:#?}"))
}

/// How long it lasted, milliseconds.
pub(super) fn millis(span: &Span) -> f64 {
    (span.end_time_unix_nano - span.start_time_unix_nano) as f64 / 1e6
}
