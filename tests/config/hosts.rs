//! `[hosts]`: others before the same servers.

use std::time::Duration;

use tpp::config::{Hosts, TakeoverBy};

use crate::*;

#[test]
fn every_key_of_full_hosts_arrives() {
    let config = toml(&format!(
        r#"{LEAST}
        [hosts]
        endpoints = ["https://etcd1:2379", "https://[::1]:2379/"]
        cluster = "east"
        name = "alpha"
        prefix = "/other/"
        upstream_id = "db-1"
        ca_file = "files/ca.pem"
        cert_file = "files/own.pem"
        key_file = "files/own.key"
        username = "tpp"
        password_file = "files/password"
        insecure = true
        takeover_seconds = 20
        home_percent = 70
        home_takeover_seconds = 600
        expected = 3
        min_share = 2
        fair_gap_seconds = 0
        newest_format = 1
        takeover = "expire"
        "#
    ));
    let file = |name: &str| Some(Path::new(FIXTURES).join("files").join(name));
    let expected = Hosts {
        endpoints: vec!["https://etcd1:2379".into(), "https://[::1]:2379/".into()],
        cluster: Some("east".into()),
        name: Some("alpha".into()),
        prefix: "/other/".into(),
        upstream_id: Some("db-1".into()),
        ca_file: file("ca.pem"),
        cert_file: file("own.pem"),
        key_file: file("own.key"),
        username: Some("tpp".into()),
        password_file: file("password"),
        insecure: true,
        takeover: Duration::from_secs(20),
        home_percent: 70,
        home_takeover: Duration::from_secs(600),
        expected: 3,
        min_share: 2,
        fair_gap: Duration::ZERO,
        newest_format: 1,
        takeover_by: TakeoverBy::Expire,
    };
    assert_eq!(config.hosts, Some(expected));
}

#[test]
fn etcd_is_spoken_to_in_plain_on_this_machine_alone() {
    let problems = |endpoint: &str, insecure: bool| {
        let text = format!(
            "{LEAST}[hosts]\ncluster = 'east'\nendpoints = ['{endpoint}']\ninsecure = {insecure}\n"
        );
        parse("tpp.toml", &text, &Variables::new()).err()
    };
    for here in [
        "http://localhost",
        "http://localhost:2379",
        "http://127.0.0.2:2379/",
        "http://[::1]:2379",
        "https://10.0.0.1:2379",
    ] {
        assert!(problems(here, false).is_none(), "{here}");
    }
    for elsewhere in [
        "http://10.0.0.1:2379",
        "http://etcd1",
        "http://localhost.example:2379",
        "http://[2001:db8::1]:2379",
    ] {
        assert!(problems(elsewhere, false).is_some(), "{elsewhere}");
        assert!(problems(elsewhere, true).is_none(), "{elsewhere}");
    }
}
