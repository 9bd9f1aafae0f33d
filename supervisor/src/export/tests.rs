use opentelemetry_proto::tonic::{
    collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{KeyValue, any_value::Value as Said},
    metrics::v1::{metric::Data, number_data_point::Value},
    trace::v1::{Span as Exported, span::SpanKind as Role, status::StatusCode},
};
use prost::Message;
use tpp::spans::{Record, Span, SpanKind, Version};

use super::*;
use crate::outlook::{metrics::families, snapshot::examples};

fn span() -> Span<'static> {
    Span {
        kind: SpanKind::Server,
        trace: 7 << 64 | 8,
        id: 9,
        parent: 10,
        began: 1_000_000_000,
        lasted: 500,
        status: 200,
        port: 8848,
        resends: 0,
        is_tls: false,
        version: Version::Http11,
        method: b"GET",
        error: b"",
        name: b"default",
        host: b"[::1]:8080",
        client: b"192.0.2.1",
        path: b"/a",
    }
}

fn exported(span: &Span<'_>) -> Exported {
    let message = spans::message(&[Record::of(span)], words::resource("x"));
    let request = ExportTraceServiceRequest::decode(&*message).unwrap();
    let group = &request.resource_spans[0];
    assert!(group.resource.is_some());
    group.scope_spans[0].spans[0].clone()
}

fn said(list: &[KeyValue], key: &str) -> Option<String> {
    let found = list.iter().find(|one| one.key == key)?;
    Some(match found.value.as_ref()?.value.as_ref()? {
        Said::StringValue(text) => text.clone(),
        Said::IntValue(number) => number.to_string(),
        other => panic!("{key}: {other:?}"),
    })
}

fn code(span: &Exported) -> Option<StatusCode> {
    StatusCode::try_from(span.status.as_ref()?.code).ok()
}

#[test]
fn a_request_is_a_server_span_with_the_conventions_names() {
    let server = exported(&span());
    assert_eq!(server.trace_id, (7_u128 << 64 | 8).to_be_bytes());
    assert_eq!(server.span_id, 9_u64.to_be_bytes());
    assert_eq!(server.parent_span_id, 10_u64.to_be_bytes());
    assert_eq!(server.kind, i32::from(Role::Server));
    assert_eq!(
        (server.start_time_unix_nano, server.end_time_unix_nano),
        (1_000_000_000, 1_000_000_500)
    );
    for (key, value) in [
        ("http.request.method", Some("GET")),
        ("url.scheme", Some("http")),
        ("url.path", Some("/a")),
        ("client.address", Some("192.0.2.1")),
        ("server.address", Some("[::1]")),
        ("server.port", Some("8080")),
        ("network.protocol.version", Some("1.1")),
        ("http.response.status_code", Some("200")),
        ("error.type", None),
    ] {
        assert_eq!(said(&server.attributes, key).as_deref(), value, "{key}");
    }
    assert_eq!(code(&server), Some(StatusCode::Unset));
    let first = exported(&Span {
        parent: 0,
        ..span()
    });
    assert!(first.parent_span_id.is_empty());
}

#[test]
fn who_failed_is_said_by_the_rules_for_servers_and_clients() {
    let failed = |kind, status, error: &'static str| {
        let error = error.as_bytes();
        let span = exported(&Span {
            kind,
            status,
            error,
            ..span()
        });
        (code(&span), said(&span.attributes, "error.type"))
    };
    let error = |why: &str| (Some(StatusCode::Error), Some(why.to_owned()));
    let none = (Some(StatusCode::Unset), None);
    assert_eq!(failed(SpanKind::Server, 404, ""), none);
    assert_eq!(failed(SpanKind::Server, 503, ""), error("503"));
    assert_eq!(failed(SpanKind::Attempt, 404, ""), error("404"));
    let gone = failed(SpanKind::Server, 499, "client_gone");
    assert_eq!(gone, error("client_gone"));
    assert_eq!(failed(SpanKind::TokenWait, 0, ""), none);
}

#[test]
fn no_client_makes_names_of_its_own() {
    let odd = exported(&Span {
        method: b"BREW\xff",
        ..span()
    });
    assert_eq!(odd.name, "HTTP");
    let method = said(&odd.attributes, "http.request.method");
    assert_eq!(method.as_deref(), Some("_OTHER"));
    let original = said(&odd.attributes, "http.request.method_original");
    assert_eq!(original.as_deref(), Some("BREW\u{fffd}"));
}

#[test]
fn an_attempt_names_the_server_and_how_often_it_was_sent() {
    let attempt = exported(&Span {
        kind: SpanKind::Attempt,
        host: b"::1",
        resends: 2,
        is_tls: true,
        version: Version::Http2,
        ..span()
    });
    for (key, value) in [
        ("url.full", "https://[::1]:8848/a"),
        ("server.address", "::1"),
        ("server.port", "8848"),
        ("http.request.resend_count", "2"),
        ("network.protocol.version", "2"),
        ("tpp.backend", "default"),
    ] {
        assert_eq!(said(&attempt.attributes, key).as_deref(), Some(value));
    }
}

#[test]
fn of_an_attempt_that_was_never_answered_no_version_is_told() {
    let attempt = exported(&Span {
        kind: SpanKind::Attempt,
        version: Version::Unknown,
        status: 0,
        ..span()
    });
    assert_eq!(said(&attempt.attributes, "network.protocol.version"), None);
}

#[test]
fn metrics_are_those_of_the_text_with_buckets_each_by_itself() {
    let mut snapshot = examples::snapshot(1, 2);
    snapshot.numbers.totals.requests = 17;
    let wait = &mut snapshot.numbers.totals.acquisition_wait;
    (wait.buckets[0], wait.buckets[8], wait.buckets[15]) = (3, 2, 1);
    wait.sum_micros = 4_500_000;
    let message = metrics::message(&families(&snapshot), 1_700_000_000, words::resource("x"));
    let request = ExportMetricsServiceRequest::decode(&*message).unwrap();
    let all = &request.resource_metrics[0].scope_metrics[0].metrics;
    let data = |name: &str| {
        let metric = all.iter().find(|metric| metric.name == name);
        metric.unwrap().data.clone().unwrap()
    };
    let Data::Sum(sum) = data("tpp_requests_total") else {
        panic!("a counter is a sum");
    };
    assert!(sum.is_monotonic);
    let point = &sum.data_points[0];
    assert_eq!(point.value, Some(Value::AsDouble(17.0)));
    assert_eq!(point.start_time_unix_nano, 1_700_000_000_000_000_000);
    assert!(point.time_unix_nano > point.start_time_unix_nano);
    let Data::Gauge(gauge) = data("tpp_tokens_total") else {
        panic!("a gauge is one");
    };
    assert_eq!(gauge.data_points[0].value, Some(Value::AsDouble(2.0)));
    let Data::Histogram(histogram) = data("tpp_acquisition_wait_seconds") else {
        panic!("a histogram is one");
    };
    let point = &histogram.data_points[0];
    assert_eq!((point.count, point.sum), (6, Some(4.5)));
    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
    assert_eq!((point.bucket_counts[0], point.bucket_counts[8]), (3, 2));
    assert_eq!(point.bucket_counts.last(), Some(&1));
    assert!(all.len() > 30, "{}", all.len());
}
