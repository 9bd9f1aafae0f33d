//! What is to be seen of it, and what is not.

use std::{fs, path::Path};

use crate::{
    SESSIONS, USER, ask,
    common::{
        command::{run, tpp_command},
        etcd::Etcd,
        proxy::Proxy,
        settings::{PASSWORD_MARK, Settings},
        upstream::{TOKEN_MARK, Upstream},
    },
    host, shown,
};

#[test]
fn a_tpp_without_other_hosts_says_that_it_is_alone() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).account(&upstream, USER, SESSIONS as usize);
    let alone = Proxy::start(&settings);
    let said = alone.ctl(&["hosts"]);
    assert!(said.err.contains("alone"), "{said:?}");
    assert_eq!(alone.metric("tpp_host_lapses_total"), None);
    assert_eq!(alone.health("/readyz").status, 200);
    upstream.assert_clean();
}

#[test]
fn two_clusters_with_one_server_are_told_apart() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::start();
    let _one = Proxy::start(&host(&upstream, &etcd, "one", 50));
    let other = host(&upstream, &etcd, "two", 50).set("hosts.cluster", "\"another\"");
    let mut two = Proxy::spawn(&other);
    assert_eq!(two.wait_for_exit().code(), Some(78));
    two.assert_gone();
    assert!(two.log().contains("cluster"), "{}", two.log());
}

#[test]
fn no_user_password_or_token_is_in_etcd() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::start();
    let one = Proxy::start(&host(&upstream, &etcd, "hostname-one", 50));
    ask(&one, &upstream);
    let bytes = all_bytes(etcd.directory());
    let has = |text: &str| {
        bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    };
    assert!(has("hostname-one"), "the records are there to be read");
    for secret in [USER, PASSWORD_MARK, TOKEN_MARK] {
        assert!(!has(secret), "{secret} is in etcd");
    }
}

/// Of all files below a directory.
fn all_bytes(directory: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            bytes.extend(all_bytes(&path));
        } else {
            // Files are made larger than what stands in them.
            let all = fs::read(path).expect("a file");
            bytes.extend(all.into_iter().filter(|byte| *byte != 0));
        }
    }
    bytes
}

#[test]
fn pools_that_hosts_cannot_tell_apart_are_refused_before_anything_begins() {
    let pools = r#"
[[pools]]
name = "one"
[[pools.credentials]]
username = "a"
password = "b"
[[pools]]
name = "two"
[[pools.credentials]]
username = "c"
password = "d"
[[backends]]
id = "first"
address = "127.0.0.1:9"
tags = ["first"]
pool = "one"
[[backends]]
id = "second"
address = "127.0.0.1:9"
tags = ["second"]
pool = "two"
"#;
    let directory = tempfile::tempdir().expect("a directory");
    let settings = Settings::of_gateway()
        .set("hosts.endpoints", "[\"http://127.0.0.1:9\"]")
        .set("hosts.cluster", "\"test\"")
        .further(pools);
    let config = settings.write_to(directory.path());
    let refused = run(tpp_command().arg("check").arg("--config").arg(&config));
    assert_eq!(refused.code, Some(78), "{refused:?}");
    assert!(refused.err.contains("one server"), "{refused:?}");
}

#[test]
fn hosts_are_shown_to_people_and_to_programs() {
    let Some(etcd) = Etcd::start() else { return };
    let upstream = Upstream::start();
    let one = Proxy::start(&host(&upstream, &etcd, "one", 50));
    let status = shown(&one);
    assert_eq!(
        (status.name.as_str(), status.cluster.as_str()),
        ("one", "test")
    );
    let text = one.ctl(&["hosts"]).out;
    assert!(text.contains("one *") && text.contains("live"), "{text}");
    assert_eq!(one.metric("tpp_hosts{state=\"live\"}"), Some(1.0));
    assert!(one.metric("tpp_host_lend_margin_seconds") > Some(0.0));
    assert!(one.metric("tpp_etcd_requests_total{op=\"txn\",result=\"ok\"}") > Some(0.0));
}
