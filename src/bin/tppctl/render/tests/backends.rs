//! A status of several backends names those that are down, and the hosts that nobody serves.

use tpp::control::{BackendStatus, DomainStatus};

use super::*;

fn backend(id: &str, healthy: bool) -> BackendStatus {
    let one = serde_json::json!({
        "id": id, "address": "192.0.2.9:80", "addresses": [], "tags": ["a"], "pool": null, "weight": 1,
        "state": "ready", "healthy": healthy, "health": null, "source": "file",
    });
    serde_json::from_value(one).expect("a backend as tpp tells it")
}

fn domain(name: &str, healthy_backends: usize) -> DomainStatus {
    let one = serde_json::json!({
        "domain": name, "enabled_backends_tag": "a", "backends": [], "healthy_backends": healthy_backends,
        "source": "file",
    });
    serde_json::from_value(one).expect("a host as tpp tells it")
}

/// The status of a healthy tpp with these.
fn told(backends: Vec<BackendStatus>, domains: Vec<DomainStatus>) -> String {
    let gateway = GatewayStatus {
        backends,
        domains,
        ..GatewayStatus::default()
    };
    let of_all = Status {
        gateway,
        ..healthy()
    };
    status(&of_all, NOW, PLAIN)
}

fn line_of(backends: Vec<BackendStatus>, domains: Vec<DomainStatus>) -> String {
    let shown = told(backends, domains);
    let line = shown.lines().find(|line| line.starts_with("backends"));
    line.expect("a line of backends").to_owned()
}

#[test]
fn all_that_can_serve_are_counted() {
    let line = line_of(
        vec![backend("a1", true), backend("a2", true)],
        vec![domain("x.example", 2)],
    );
    assert_eq!(line, "backends  2 of 2 can serve");
}

#[test]
fn one_that_is_down_is_named() {
    let line = line_of(
        vec![backend("a1", true), backend("a2", false)],
        vec![domain("x.example", 1)],
    );
    assert_eq!(line, "backends  1 of 2 can serve; down: a2");
}

#[test]
fn one_that_takes_nothing_new_does_not_serve() {
    let (mut drains, mut rests) = (backend("a2", true), backend("a3", true));
    drains.state = "drain".to_owned();
    rests.weight = 0;
    let line = line_of(
        vec![backend("a1", true), drains, rests],
        vec![domain("x.example", 1)],
    );
    assert_eq!(line, "backends  1 of 3 can serve; nothing new for a2, a3");
}

#[test]
fn a_host_that_nobody_serves_is_named() {
    let line = line_of(
        vec![backend("a1", false), backend("a2", false)],
        vec![domain("x.example", 0)],
    );
    let expected = "backends  0 of 2 can serve; down: a1, a2; nobody serves x.example";
    assert_eq!(line, expected);
}

#[test]
fn one_that_is_left_out_says_since_when_until_when_and_why() {
    let out = serde_json::json!({
        "since": NOW - 40, "until": NOW + 20, "remaining_seconds": 20, "times": 2,
        "reason": "5 requests in a row failed",
    });
    let mut ejected = backend("a1", true);
    ejected.ejected = Some(serde_json::from_value(out).expect("an ejection as tpp tells it"));
    let shown = super::super::backends(std::slice::from_ref(&ejected), PLAIN);
    assert!(shown.contains(" out 20s "), "{shown}");
    let note = "left out for 40s, 20s more, time 2 in a row: 5 requests in a row failed";
    assert!(shown.contains(note), "{shown}");
    let line = line_of(vec![ejected, backend("a2", true)], vec![]);
    assert_eq!(line, "backends  2 of 2 can serve; left out: a1");
}

#[test]
fn what_is_not_as_the_file_has_it_is_named() {
    let mut changed = [backend("a1", true), backend("a2", true)];
    changed[1].source = "override".to_owned();
    let mut made = domain("x.example", 2);
    made.source = "api".to_owned();
    let gateway = GatewayStatus {
        backends: changed.into(),
        domains: vec![made, domain("y.example", 2)],
        set_aside: vec!["domain z.example, made by API: the file declares it now".to_owned()],
        ..GatewayStatus::default()
    };
    let of_all = Status {
        gateway,
        ..healthy()
    };
    let shown = status(&of_all, NOW, PLAIN);
    for line in [
        "overrides backend a2",
        "by API    domain x.example",
        "set aside domain z.example, made by API: the file declares it now",
    ] {
        assert!(shown.lines().any(|one| one == line), "{line} in {shown}");
    }
    let plain = told(vec![backend("a1", true)], vec![domain("y.example", 1)]);
    assert!(
        !plain.contains("overrides") && !plain.contains("by API"),
        "{plain}"
    );
}

#[test]
fn one_backend_alone_is_the_upstream() {
    let shown = told(vec![backend("upstream", true)], Vec::new());
    assert!(shown.contains("\nupstream  192.0.2.7:8848\n"), "{shown}");
}
