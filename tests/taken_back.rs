//! A reload that fails at its last step, when all before it is done already: that is taken back.

use crate::common::{
    client::Client, command::Outcome, proxy::Proxy, settings::Settings, upstream::Upstream,
    wait_until,
};

/// What the supervisor says at debug of a request to its health endpoint that is none.
const BROKEN: &str = "health request broken";

fn reload(proxy: &Proxy, settings: &Settings) -> Outcome {
    settings.write_to(proxy.directory());
    proxy.ctl(&["reload"])
}

fn send_nonsense(proxy: &Proxy) {
    let mut client = Client::connect(proxy.health_address());
    client.send_raw(b"no request\r\n\r\n");
    client.read_to_close();
}

#[test]
fn a_reload_whose_sessions_have_no_room_leaves_nothing_behind() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 1);
    let proxy = Proxy::start(&settings);
    let loud = settings.clone().set("telemetry.log_filter", "\"debug\"");
    // Room is for some thousands, and what is in use keeps its part of it.
    let outcome = reload(&proxy, &loud.clone().account(&upstream, "many", 10_000));
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.err.contains("do not fit"), "{outcome:?}");
    let status = proxy.status();
    assert_eq!(status.config_generation, 1);
    let told = status.last_reload.expect("the reload is told");
    assert!(told.starts_with("refused: "), "{told}");
    assert_eq!(proxy.tokens().len(), 1);
    send_nonsense(&proxy);
    proxy.client(&upstream).get("/who").ok();
    proxy.wait_until_all_is_back(1);
    assert!(!proxy.log().contains(BROKEN), "the old filter holds again");
    // The same without the sessions is taken, and is heard of.
    let outcome = reload(&proxy, &loud);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    wait_until("the new filter holds", || {
        send_nonsense(&proxy);
        proxy.log().contains(BROKEN)
    });
    assert_eq!(upstream.attempts().len(), 1, "nobody else logged in");
    proxy.client(&upstream).get("/who").ok();
    upstream.assert_clean();
}
