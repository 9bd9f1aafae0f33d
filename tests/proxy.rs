//! Backends and upstreams behind an HTTP proxy: requests, health checks and logins go through it, and names that only it knows are
//! enough.

use crate::common::{
    client::Client, origin::Origin, proxy::Proxy, settings::Settings, upstream::Upstream,
    wait_until,
};
use crate::connect_proxy::ConnectProxy;

/// One backend called so, reached by `proxy`.
fn settings(address: &str, proxy: &str) -> Settings {
    Settings::of_gateway()
        .set("health_check.interval_seconds", 1)
        .set("health_check.unhealthy_threshold", 1)
        .further(&format!(
            "\n[[backends]]\nid = \"one\"\naddress = \"{address}\"\ntags = [\"a\"]\nproxy = \"{proxy}\"\n\
             [[virtual_hosts]]\ndomain = \"default\"\nenabled_backends_tag = \"a\"\n"
        ))
}

fn connects(through: &ConnectProxy) -> Vec<String> {
    let heads = through.heads().into_iter();
    heads.filter(|head| head.starts_with("CONNECT ")).collect()
}

#[test]
fn requests_and_checks_reach_a_name_that_only_the_proxy_knows() {
    let one = Origin::start("one");
    let through = ConnectProxy::start(&[("backend.test", one.address)]);
    let proxy = Proxy::start_without_tokens(&settings("backend.test:80", &through.url()));
    let mut client = Client::connect(proxy.address());
    for _ in 0..3 {
        assert_eq!(client.get("/who").ok().text(), "one");
    }
    let asked = one.asked();
    assert!(asked[0].starts_with("GET /who HTTP/1.1\r\n"), "{asked:?}");
    wait_until("a check has passed", || {
        proxy.metric("tpp_health_check_total{backend=\"one\",result=\"success\"}") >= Some(1.0)
    });
    let heads = connects(&through);
    assert!(heads.len() >= 2, "{heads:?}");
    for head in heads {
        let expected = "CONNECT backend.test:80 HTTP/1.1\r\nHost: backend.test:80\r\n\r\n";
        assert_eq!(head, expected);
    }
}

#[test]
fn a_proxy_that_refuses_is_a_backend_that_is_down() {
    let one = Origin::start("one");
    let through = ConnectProxy::start(&[("backend.test", one.address)]);
    through.set_refuses(true);
    let proxy = Proxy::start_without_tokens(&settings("backend.test:80", &through.url()));
    wait_until("it is down", || {
        proxy.metric("tpp_health_check_up{backend=\"one\"}") == Some(0.0)
    });
    wait_until("that is said", || {
        let status = proxy.ctl(&["backends"]).out;
        status.contains("CONNECT with status 403")
    });
    through.set_refuses(false);
    wait_until("it serves", || {
        Client::connect(proxy.address()).get("/who").status == 200
    });
}

#[test]
fn the_environments_proxy_is_told_who_asks_and_spares_whom_it_says() {
    let (one, two) = (Origin::start("one"), Origin::start("two"));
    let through = ConnectProxy::start(&[("backend.test", one.address)]);
    let port = through.address.port();
    let with = |address: &str| {
        settings(address, "environment")
            .variable("HTTP_PROXY", &format!("http://user:word@127.0.0.1:{port}"))
            .variable("NO_PROXY", "127.0.0.1")
    };
    let proxy = Proxy::start_without_tokens(&with("backend.test:80"));
    assert_eq!(
        Client::connect(proxy.address()).get("/who").ok().text(),
        "one"
    );
    let heads = connects(&through);
    let authorized =
        |head: &String| head.contains("\r\nProxy-Authorization: Basic dXNlcjp3b3Jk\r\n");
    assert!(
        !heads.is_empty() && heads.iter().all(authorized),
        "{heads:?}"
    );
    drop(proxy);
    let before = through.heads().len();
    let proxy = Proxy::start_without_tokens(&with(&two.address.to_string()));
    assert_eq!(
        Client::connect(proxy.address()).get("/who").ok().text(),
        "two"
    );
    assert_eq!(through.heads().len(), before, "this one is spared");
}

#[test]
fn logins_go_the_same_way_as_the_requests_that_bear_their_tokens() {
    let upstream = Upstream::start();
    let through = ConnectProxy::start(&[("db.test", upstream.address())]);
    let settings = Settings::in_front_of(&upstream)
        .accounts(&upstream, 2)
        .set("upstream.host", "\"db.test\"")
        .set("upstream.proxy", format!("\"{}\"", through.url()));
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client(&upstream);
    client.get("/who").ok();
    upstream.expire_all();
    client.get("/who").ok();
    drop(client);
    proxy.wait_until_all_is_back(2);
    upstream.assert_clean();
    let heads = through.heads();
    let logins = heads
        .iter()
        .filter(|head| head.starts_with("POST http://db.test:"));
    assert!(logins.count() >= 2, "{heads:?}");
    assert!(!connects(&through).is_empty());
}
