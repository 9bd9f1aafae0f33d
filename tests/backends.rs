//! Several hosts and tagged backends: who serves whom, after a reload, when one goes down, and when it comes back.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::TcpStream,
};

use crate::common::{origin::Origin, proxy::Proxy, settings::Settings, wait_until};

/// Checks that come soon, and two hosts: `a.test` is served by tag `a`, all others by tag `b`.
fn settings(a_is_served_by: &str, tables: &str) -> Settings {
    let hosts = format!(
        "\n[[virtual_hosts]]\ndomain = \"a.test\"\nenabled_backends_tag = \"{a_is_served_by}\"\n\
         [[virtual_hosts]]\ndomain = \"default\"\nenabled_backends_tag = \"b\"\n"
    );
    Settings::of_gateway()
        .set("health_check.interval_seconds", 1)
        .set("health_check.unhealthy_threshold", 2)
        .set("health_check.healthy_threshold", 1)
        .further(&(hosts + tables))
}

/// What a request of its own connection to `host` comes to.
fn ask(proxy: &Proxy, host: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(proxy.address()).expect("connect");
    let request = format!("GET /who HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("send");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let status = answer.split(' ').nth(1).expect("a status line");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a whole head");
    (status.parse().expect("a number"), body.to_owned())
}

/// Who answers at all for `host`, over many requests.
fn serving(proxy: &Proxy, host: &str) -> BTreeSet<String> {
    (0..16)
        .map(|_| {
            let (status, body) = ask(proxy, host);
            assert_eq!(status, 200, "{body}");
            body
        })
        .collect()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn each_host_is_served_by_its_tag_and_a_reload_switches_it() {
    let (one, two) = (Origin::start("one"), Origin::start("two"));
    let tables = one.table("\"a\"", "") + &two.table("\"b\"", "");
    let proxy = Proxy::start_without_tokens(&settings("a", &tables));
    assert_eq!(serving(&proxy, "a.test"), names(&["one"]));
    assert_eq!(serving(&proxy, "other.test"), names(&["two"]));
    settings("b", &tables).write_to(proxy.directory());
    let outcome = proxy.ctl(&["reload"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(serving(&proxy, "a.test"), names(&["two"]));
}

#[test]
fn a_backend_that_is_down_gets_nothing_until_it_is_back() {
    let (one, two) = (Origin::start("one"), Origin::start("two"));
    let tables = one.table("\"b\"", "") + &two.table("\"b\"", "");
    let proxy = Proxy::start_without_tokens(&settings("b", &tables));
    let serves_alone = |name: &str| {
        let claim = format!("{name} serves alone");
        wait_until(&claim, || serving(&proxy, "b.test") == names(&[name]));
    };
    one.set_well(false);
    serves_alone("two");
    let asked = one.asked().len();
    serving(&proxy, "b.test");
    assert_eq!(one.asked().len(), asked, "who is down is not asked");
    let status: serde_json::Value =
        serde_json::from_str(&proxy.ctl(&["status", "--json"]).out).expect("JSON");
    let seen = status["backends"].as_array().expect("backends").iter();
    let seen = seen.map(|one| (one["id"].as_str(), one["health"]["state"].as_str()));
    assert_eq!(
        seen.collect::<Vec<_>>(),
        [(Some("one"), Some("down")), (Some("two"), Some("up"))]
    );
    one.set_well(true);
    wait_until("it is back", || {
        proxy.metric("tpp_health_check_up{backend=\"one\"}") == Some(1.0)
    });
    two.set_well(false);
    serves_alone("one");
}

#[test]
fn without_a_backend_that_is_up_the_answer_says_so() {
    let one = Origin::start("one");
    let proxy = Proxy::start_without_tokens(&settings("b", &one.table("\"b\"", "")));
    one.set_well(false);
    wait_until("it is down", || ask(&proxy, "b.test").0 == 503);
    let (_, body) = ask(&proxy, "b.test");
    assert!(
        body.contains("\"error\"") && body.contains("backend"),
        "{body}"
    );
    one.set_well(true);
    wait_until("it is back", || ask(&proxy, "b.test").0 == 200);
}

#[test]
fn the_health_of_backends_outlives_the_supervisor() {
    let (one, two) = (Origin::start("one"), Origin::start("two"));
    let tables = one.table("\"b\"", "") + &two.table("\"b\"", "");
    let patient = settings("b", &tables);
    let mut proxy = Proxy::start_without_tokens(&patient);
    one.set_well(false);
    wait_until("the other one serves alone", || {
        serving(&proxy, "b.test") == names(&["two"])
    });
    // From here on no check would find out in time.
    let later = patient.set("health_check.interval_seconds", 3600);
    later.write_to(proxy.directory());
    proxy.kill_supervisor();
    proxy.start_successor();
    assert_eq!(serving(&proxy, "b.test"), names(&["two"]));
}

#[test]
fn a_switch_by_hand_is_kept_over_a_restart_until_the_file_says_otherwise() {
    let (one, two) = (Origin::start("one"), Origin::start("two"));
    let tables = one.table("\"a\"", "") + &two.table("\"b\"", "");
    let mut proxy = Proxy::start_without_tokens(&settings("a", &tables));
    assert_eq!(serving(&proxy, "a.test"), names(&["one"]));
    let outcome = proxy.ctl(&["switch", "a.test", "b"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(serving(&proxy, "a.test"), names(&["two"]));
    let unknown = proxy.ctl(&["switch", "a.test", "nobody"]);
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
    proxy.kill_supervisor();
    proxy.start_successor();
    let domains = proxy.ctl(&["domains"]).out;
    assert!(domains.contains("override"), "{domains}");
    assert_eq!(serving(&proxy, "a.test"), names(&["two"]));
    let export = proxy.ctl(&["gateway", "export"]).out;
    assert!(export.contains("enabled_backends_tag = \"b\""), "{export}");
    // The file's own entry is another one now: it owns what it declares.
    let later = settings("a", &tables)
        .further("\n[[virtual_hosts]]\ndomain = \"c.test\"\nenabled_backends_tag = \"a\"\n");
    later.write_to(proxy.directory());
    assert_eq!(proxy.ctl(&["reload"]).code, Some(0));
    assert_eq!(
        serving(&proxy, "a.test"),
        names(&["two"]),
        "another entry is none of its business"
    );
    settings("b", &tables).write_to(proxy.directory());
    assert_eq!(proxy.ctl(&["reload"]).code, Some(0));
    settings("a", &tables).write_to(proxy.directory());
    assert_eq!(proxy.ctl(&["reload"]).code, Some(0));
    assert_eq!(serving(&proxy, "a.test"), names(&["one"]));
}

#[test]
fn a_backend_that_drains_gets_nothing_new() {
    let (one, two) = (Origin::start("one"), Origin::start("two"));
    let tables = one.table("\"b\"", "") + &two.table("\"b\"", "");
    let proxy = Proxy::start_without_tokens(&settings("b", &tables));
    assert_eq!(proxy.ctl(&["drain", "one"]).code, Some(0));
    assert_eq!(serving(&proxy, "b.test"), names(&["two"]));
    assert_eq!(proxy.ctl(&["drain", "one", "--end"]).code, Some(0));
    assert_eq!(proxy.ctl(&["drain", "two"]).code, Some(0));
    assert_eq!(serving(&proxy, "b.test"), names(&["one"]));
    assert_eq!(proxy.ctl(&["drain", "nobody"]).code, Some(1));
}
