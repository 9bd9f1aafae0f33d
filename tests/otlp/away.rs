//! A collector that is away or busy: it costs the data at the most.

use super::{
    collector::Collector,
    common::{place::Place, proxy::Proxy, upstream::Upstream, wait_until},
    scene::{Way, ask, before, line_of, trace_of},
};

#[test]
fn what_was_gathered_while_the_collector_was_away_is_sent_when_it_comes() {
    let upstream = Upstream::start();
    let absent = Collector::start();
    let place = Place::any();
    let address = place.address;
    let settings = before(&upstream, 2, &absent, Way::Http)
        .set("telemetry.otlp_endpoint", format!("\"http://{address}\""));
    let proxy = Proxy::start(&settings);
    assert_eq!(ask(&proxy, "/who", &[]), 200);
    wait_until("a try has failed", || {
        proxy.metric("tpp_otlp_exports_total{result=\"failure\"}") > Some(0.0)
    });
    assert!(
        proxy
            .log()
            .contains("the collector does not take an export")
    );
    assert_eq!(ask(&proxy, "/later", &[]), 200);
    let collector = Collector::start_at(address);
    for path in ["/who", "/later"] {
        collector.spans_of(trace_of(&line_of(&proxy, path)), 2);
    }
    wait_until("all are counted", || {
        proxy.metric("tpp_spans_exported_total") == Some(4.0)
    });
    for place in ["worker", "supervisor"] {
        let lost = format!("tpp_spans_dropped_total{{place=\"{place}\"}}");
        assert_eq!(proxy.metric(&lost), Some(0.0), "{lost}");
    }
    wait_until("its log says so", || {
        proxy.log().contains("the collector takes exports again")
    });
}

#[test]
fn a_busy_collector_is_asked_again_by_either_protocol() {
    for way in [Way::Http, Way::Grpc] {
        let (upstream, collector) = (Upstream::start(), Collector::start());
        let settings =
            before(&upstream, 1, &collector, way).set("telemetry.otlp_metrics_interval_seconds", 0);
        let proxy = Proxy::start(&settings);
        collector.be_busy(2);
        assert_eq!(ask(&proxy, "/who", &[]), 200);
        let spans = collector.spans_of(trace_of(&line_of(&proxy, "/who")), 2);
        assert_eq!(spans.len(), 2, "sent again, taken once: {spans:#?}");
        assert_eq!(collector.refused(), 2);
        wait_until("the tries are counted", || {
            let count = |result: &str| {
                proxy.metric(&format!("tpp_otlp_exports_total{{result=\"{result}\"}}"))
            };
            (count("failure"), count("success")) == (Some(2.0), Some(1.0))
        });
    }
}

#[test]
fn the_last_spans_are_sent_when_tpp_stops() {
    let (upstream, collector) = (Upstream::start(), Collector::start());
    let proxy = Proxy::start(&before(&upstream, 1, &collector, Way::Grpc));
    assert_eq!(ask(&proxy, "/who", &[]), 200);
    let line = line_of(&proxy, "/who");
    drop(proxy);
    assert_eq!(collector.spans_of(trace_of(&line), 2).len(), 2);
}
