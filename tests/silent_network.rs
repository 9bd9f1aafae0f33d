//! A network that forgets a connection without a word: what is sent is never acknowledged, and no answer ever comes.
//!
//! The test runs itself again in a network namespace, where it may swallow packets. Where the system does not let us have one,
//! nothing is checked, and that is said.

use std::{env, net::SocketAddr, process::Command};

use crate::common::{
    message::Request, not_checked, proxy::Proxy, settings::Settings, upstream::Upstream,
};

/// Set for the run within.
const WITHIN: &str = "TPP_TEST_WITHIN_NAMESPACE";
const RULE: &str = "INPUT --destination 127.0.0.2 --protocol tcp --jump DROP";

/// In a network of its own, with a loopback and nothing else.
fn in_own_network(words: &str) -> Command {
    let mut command = Command::new("unshare");
    let script = format!("ip link set lo up && {words}");
    command.args(["--map-root-user", "--net", "sh", "-c", &script]);
    command
}

#[test]
fn a_request_into_a_silent_network_is_given_up_though_no_key_bounds_it() {
    if env::var_os(WITHIN).is_some() {
        return within();
    }
    let tried = in_own_network(&format!("iptables --append {RULE}")).output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        let why = "no network of our own, or no iptables in it, is to be had";
        return not_checked("silent network", why);
    }
    let name =
        "silent_network::a_request_into_a_silent_network_is_given_up_though_no_key_bounds_it";
    let own = env::current_exe().expect("the own executable");
    let status = in_own_network(&format!("exec \"$0\" --exact {name} --nocapture"))
        .arg(own)
        .env(WITHIN, "1")
        // The bound is 20 s, of a machine that has nothing else to do.
        .env("TPP_TEST_PATIENCE_SECONDS", "120")
        .status();
    assert!(status.expect("run unshare").success());
}

fn within() {
    let upstream = Upstream::start_at(SocketAddr::from(([127, 0, 0, 2], 0)));
    let settings = Settings::in_front_of(&upstream)
        .accounts(&upstream, 1)
        .workers(1)
        .set("upstream.response_header_timeout_seconds", 0)
        .set("upstream.read_timeout_seconds", 0);
    let proxy = Proxy::start(&settings);
    let mut client = proxy.client(&upstream);
    client.get("/who").ok();
    let kept = upstream.connections();
    let swallow = Command::new("iptables")
        .arg("--append")
        .args(RULE.split(' '))
        .status();
    assert!(swallow.expect("run iptables").success());
    client.send(&Request::post("/who", b"x".repeat(1000)));
    let answer = client.read_answer();
    assert!(matches!(answer.status, 502 | 504), "{answer:?}");
    assert!(
        kept > 0 && upstream.seen().len() == 1,
        "it was sent into nothing"
    );
    let open = Command::new("iptables")
        .arg("--delete")
        .args(RULE.split(' '))
        .status();
    assert!(open.expect("run iptables").success());
    drop(client);
    proxy.client(&upstream).get("/who").ok();
}
