//! Spans: of each request, wait and attempt, as client, upstream and access log have them.

use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind as Role, status::StatusCode};
use serde_json::Value;

use super::{
    collector::{Collector, hex},
    common::{
        client::Client, message::Request, origin::Origin, place::Place, proxy::Proxy,
        settings::Settings, upstream::Upstream, wait_until,
    },
    scene::{Way, ask, attribute, before, exporting, line_of, millis, one, trace_of},
    tls::TlsDoor,
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

fn is(role: Role) -> impl Fn(&Span) -> bool {
    move |span| span.kind == i32::from(role)
}

/// What the upstream was told of the last request for `target`.
fn told(upstream: &Upstream, target: &str, field: &str) -> Option<String> {
    let seen = upstream.seen();
    let seen = seen.iter().rfind(|seen| seen.target == target);
    let seen = seen.expect("it has come there");
    seen.head.field(field).map(str::to_owned)
}

#[track_caller]
fn assert_close(span: f64, line: &Value, field: &str) {
    let logged = line[field].as_f64().expect("a number");
    // The line has whole microseconds.
    assert!(
        (span - logged).abs() < 0.002,
        "{span} ms, {field} in {line}"
    );
}

#[track_caller]
fn assert_attributes(span: &Span, expected: &[(&str, &str)]) {
    for (key, value) in expected {
        let found = attribute(&span.attributes, key);
        assert_eq!(found.as_deref(), Some(*value), "{key} of {span:#?}");
    }
}

#[track_caller]
fn assert_times(server: &Span, attempt: &Span, line: &Value) {
    // All of the request's time is in the log, to the microsecond.
    let logged = [
        "token_wait_ms",
        "queue_wait_ms",
        "upstream_latency_ms",
        "proxy_latency_ms",
    ];
    let logged: f64 = logged
        .iter()
        .filter_map(|field| line[*field].as_f64())
        .sum();
    assert!((millis(server) - logged).abs() < 0.01, "{server:#?} {line}");
    let upstream_ms = line["upstream_latency_ms"].as_f64().expect("a number");
    assert!(millis(attempt) >= upstream_ms - 0.01, "{attempt:#?} {line}");
    assert!(attempt.start_time_unix_nano >= server.start_time_unix_nano);
    assert!(attempt.end_time_unix_nano <= server.end_time_unix_nano);
}

#[track_caller]
fn assert_resource(collector: &Collector, proxy: &Proxy) {
    let resource = &collector.resources()[0].attributes;
    assert_eq!(attribute(resource, "service.name").as_deref(), Some("tpp"));
    let version = attribute(resource, "service.version");
    assert_eq!(version.as_deref(), Some(env!("CARGO_PKG_VERSION")));
    let listen = proxy.address().to_string();
    let instance = attribute(resource, "service.instance.id").expect("an instance");
    assert!(instance.ends_with(&format!("/{listen}")), "{instance}");
}

#[test]
fn each_protocol_brings_the_spans_of_a_request_as_the_log_has_it() {
    for way in [Way::Http, Way::Grpc] {
        let (upstream, collector) = (Upstream::start(), Collector::start());
        let proxy = Proxy::start(&before(&upstream, 2, &collector, way));
        assert_eq!(ask(&proxy, "/delay/50?key=secret", &[]), 200);
        let line = line_of(&proxy, "/delay/50");
        let spans = collector.spans_of(trace_of(&line), 2);
        assert_eq!(spans.len(), 2, "{spans:#?}");
        let server = one(&spans, "server", is(Role::Server));
        let attempt = one(&spans, "attempt", is(Role::Client));
        assert!(server.parent_span_id.is_empty(), "{server:#?}");
        assert_eq!(attempt.parent_span_id, server.span_id);
        let backend = upstream.address();
        assert_eq!(
            (server.name.as_str(), attempt.name.as_str()),
            ("GET", "GET")
        );
        assert_attributes(
            server,
            &[
                ("http.request.method", "GET"),
                ("http.response.status_code", "200"),
                ("url.scheme", "http"),
                ("url.path", "/delay/50"),
                ("server.address", "tpp.test"),
                ("client.address", "127.0.0.1"),
                ("network.protocol.version", "1.1"),
                ("tpp.proxy", "default"),
            ],
        );
        assert_attributes(
            attempt,
            &[
                ("http.request.method", "GET"),
                ("http.response.status_code", "200"),
                ("server.address", &backend.ip().to_string()),
                ("server.port", &backend.port().to_string()),
                ("network.protocol.version", "1.1"),
                ("url.full", &format!("http://{backend}/delay/50")),
                ("tpp.backend", "upstream"),
            ],
        );
        for span in [server, attempt] {
            let code = span.status.as_ref().map(|status| status.code);
            assert_eq!(code, Some(StatusCode::Unset.into()));
            assert_eq!(attribute(&span.attributes, "error.type"), None);
            assert!(!format!("{span:?}").contains("secret"), "{span:#?}");
        }
        assert_attributes(
            server,
            &[(
                "http.response.status_code",
                &line["status_code"].to_string(),
            )],
        );
        assert_times(server, attempt, &line);
        // The upstream goes on where the attempt is.
        let parent = told(&upstream, "/delay/50?key=secret", "traceparent");
        let expected = format!("00-{}-{}-01", trace_of(&line), hex(&attempt.span_id));
        assert_eq!(parent, Some(expected));
        assert_resource(&collector, &proxy);
    }
}

#[test]
fn a_collector_with_a_certificate_of_its_own_is_told_a_key_that_shows_nowhere() {
    for way in [Way::Http, Way::Grpc] {
        let (upstream, collector) = (Upstream::start(), Collector::start());
        let behind = match way {
            Way::Http => collector.http,
            Way::Grpc => collector.grpc,
        };
        let door = TlsDoor::to(behind, "localhost");
        let endpoint = format!("\"https://localhost:{}\"", door.address().port());
        let settings = before(&upstream, 1, &collector, way)
            .set("telemetry.otlp_endpoint", endpoint)
            .set("telemetry.otlp_ca_file", "\"collector.pem\"")
            .set("telemetry.otlp_headers_file", "\"headers\"")
            .file("collector.pem", door.authority())
            .file("headers", "Api-Key=hidden words\nx-tenant=a%2Cb\n");
        let proxy = Proxy::start(&settings);
        assert_eq!(ask(&proxy, "/who", &[]), 200);
        collector.spans_of(trace_of(&line_of(&proxy, "/who")), 2);
        let expected = ["hidden words", "a,b"].map(|value| Some(value.to_owned()));
        assert!(
            collector.told().iter().all(|told| *told == expected),
            "{:?}",
            collector.told()
        );
        let shown = [&["status", "--json"][..], &["gateway", "export"]];
        let shown = shown.map(|arguments| proxy.ctl(arguments).out).concat();
        assert!(!(shown + &proxy.log()).contains("hidden"));
    }
}

#[test]
fn a_clients_trace_goes_on_with_its_state_and_an_unsound_one_is_replaced() {
    let (upstream, collector) = (Upstream::start(), Collector::start());
    let settings = before(&upstream, 2, &collector, Way::Http);
    // None but those that a client has recorded.
    let proxy = Proxy::start(&settings.set("telemetry.trace_sample_percent", 0));
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let state = ("tracestate", "a=1,b=2");
    assert_eq!(ask(&proxy, "/on", &[("traceparent", &parent), state]), 200);
    let spans = collector.spans_of(TRACE, 2);
    let server = one(&spans, "server", is(Role::Server));
    let attempt = one(&spans, "attempt", is(Role::Client));
    assert_eq!(hex(&server.parent_span_id), SPAN);
    assert_eq!(trace_of(&line_of(&proxy, "/on")), TRACE);
    let expected = format!("00-{TRACE}-{}-01", hex(&attempt.span_id));
    assert_eq!(told(&upstream, "/on", "traceparent"), Some(expected));
    assert_eq!(
        told(&upstream, "/on", "tracestate").as_deref(),
        Some("a=1,b=2")
    );

    // One that nobody records goes on too, and has no spans.
    let unsampled = parent.replace("-01", "-00").replace("4bf9", "5bf9");
    assert_eq!(
        ask(&proxy, "/off", &[("traceparent", &unsampled), state]),
        200
    );
    let said = told(&upstream, "/off", "traceparent").expect("a trace");
    assert!(
        said.starts_with(&unsampled[..36]) && said.ends_with("-00"),
        "{said}"
    );
    assert_ne!(said, unsampled, "the span is tpp's own");
    assert_eq!(
        told(&upstream, "/off", "tracestate").as_deref(),
        Some("a=1,b=2")
    );

    // What is no trace is none, and its state nobody's.
    let unsound = parent.to_uppercase();
    assert_eq!(
        ask(&proxy, "/odd", &[("traceparent", &unsound), state]),
        200
    );
    let said = told(&upstream, "/odd", "traceparent").expect("a trace");
    assert!(!said.contains(TRACE) && said.ends_with("-00"), "{said}");
    assert_eq!(told(&upstream, "/odd", "tracestate"), None);
    assert_eq!(&said[3..35], trace_of(&line_of(&proxy, "/odd")));
    // Those would have come before this one.
    let last = parent.replace("4bf9", "6bf9");
    assert_eq!(ask(&proxy, "/last", &[("traceparent", &last)]), 200);
    collector.spans_of(&TRACE.replace("4bf9", "6bf9"), 2);
    assert_eq!(collector.spans().len(), 4, "{:#?}", collector.spans());
}

#[test]
fn without_a_collector_a_clients_trace_passes_as_it_came() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 1));
    let fields = [("traceparent", "whatever"), ("tracestate", "a=1")];
    assert_eq!(ask(&proxy, "/who", &fields), 200);
    assert_eq!(
        told(&upstream, "/who", "traceparent").as_deref(),
        Some("whatever")
    );
    assert_eq!(
        told(&upstream, "/who", "tracestate").as_deref(),
        Some("a=1")
    );
    assert_eq!(ask(&proxy, "/none", &[]), 200);
    assert_eq!(told(&upstream, "/none", "traceparent"), None);
}

#[test]
fn a_wait_is_a_span_as_long_as_the_log_says() {
    let (upstream, collector) = (Upstream::start(), Collector::start());
    let proxy = Proxy::start(&before(&upstream, 1, &collector, Way::Grpc));
    let mut holder = proxy.client(&upstream);
    holder.get("/who").ok();
    let mut late = Client::connect(proxy.address());
    late.send(&Request::get("/late"));
    wait_until("it waits", || proxy.pool().waiting == 1);
    std::thread::sleep(std::time::Duration::from_millis(50));
    drop(holder);
    late.read_answer().ok();
    let line = line_of(&proxy, "/late");
    let spans = collector.spans_of(trace_of(&line), 3);
    let server = one(&spans, "server", is(Role::Server));
    let wait = one(&spans, "wait", is(Role::Internal));
    assert_eq!(wait.name, "wait for a token");
    assert_eq!(wait.parent_span_id, server.span_id);
    assert_close(millis(wait), &line, "token_wait_ms");
    let attempt = one(&spans, "attempt", is(Role::Client));
    assert!(wait.end_time_unix_nano <= attempt.start_time_unix_nano + 1_000_000);
}

#[test]
fn each_attempt_is_a_span_and_says_what_became_of_it() {
    let (upstream, collector) = (Upstream::start(), Collector::start());
    let proxy = Proxy::start(&before(&upstream, 1, &collector, Way::Http));
    // A token that is renewed, and the request sent again.
    assert_eq!(ask(&proxy, "/refuse-once", &[]), 200);
    let line = line_of(&proxy, "/refuse-once");
    assert_eq!(line["attempts"], 2, "{line}");
    let mut spans = collector.spans_of(trace_of(&line), 3);
    spans.retain(is(Role::Client));
    spans.sort_by_key(|span| span.start_time_unix_nano);
    let [first, second] = spans.as_slice() else {
        panic!("two attempts: {spans:#?}");
    };
    assert_attributes(
        first,
        &[("http.response.status_code", "401"), ("error.type", "401")],
    );
    assert_eq!(
        attribute(&first.attributes, "http.request.resend_count"),
        None
    );
    assert_attributes(
        second,
        &[
            ("http.response.status_code", "200"),
            ("http.request.resend_count", "1"),
        ],
    );
    // An answer that breaks off.
    ask_and_leave(&proxy, "/cut/10");
    let line = line_of(&proxy, "/cut/10");
    let spans = collector.spans_of(trace_of(&line), 2);
    for role in [Role::Server, Role::Client] {
        let span = one(&spans, "failed", is(role));
        assert_attributes(span, &[("error.type", line["end"].as_str().expect("text"))]);
        let code = span.status.as_ref().map(|status| status.code);
        assert_eq!(code, Some(StatusCode::Error.into()));
    }
}

/// Whatever comes of it.
fn ask_and_leave(proxy: &Proxy, path: &str) {
    let request = Request::get(path).field("Connection", "close");
    let _ = Client::connect(proxy.address()).try_ask(&request);
}

#[test]
fn a_backend_that_is_not_reached_is_an_attempt_too() {
    let collector = Collector::start();
    let (dead, good) = (Origin::start("dead"), Origin::start("good"));
    let host = "\n[[virtual_hosts]]\ndomain = \"default\"\nenabled_backends_tag = \"a\"\n";
    let nowhere = Place::any();
    let settings = Settings::of_gateway()
        .set("health_check.enabled", false)
        .further(host)
        .further(&dead.table("\"a\"", ""))
        .replace(&dead.address.to_string(), &nowhere.address.to_string())
        .further(&good.table("\"a\"", "weight = 1"));
    let proxy = Proxy::start_without_tokens(&exporting(settings, &collector, Way::Http));
    for number in 0..4 {
        assert_eq!(ask(&proxy, &format!("/{number}"), &[]), 200);
    }
    let line = (0..4)
        .map(|number| line_of(&proxy, &format!("/{number}")))
        .find(|line| line["attempts"] == 2)
        .expect("one has gone to the dead backend first");
    let spans = collector.spans_of(trace_of(&line), 3);
    let to = |id: &'static str| {
        move |span: &Span| attribute(&span.attributes, "tpp.backend").as_deref() == Some(id)
    };
    let failed = one(&spans, "to the dead one", to("dead"));
    assert_attributes(failed, &[("error.type", "no_answer")]);
    assert_eq!(
        attribute(&failed.attributes, "http.response.status_code"),
        None
    );
    let served = one(&spans, "to the good one", to("good"));
    assert_attributes(served, &[("http.request.resend_count", "1")]);
    let parent = format!("{}-01\r\n", hex(&served.span_id));
    assert!(
        good.asked().iter().any(|head| head.contains(&parent)),
        "{:?}",
        good.asked()
    );
}
