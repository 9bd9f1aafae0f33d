//! What is slow says so: who has held a token for long, whose logins fail, how long backends take.

use serde_json::Value;

use crate::{
    asking::{Asking, gateway, host, settings},
    common::{client::Client, origin::Origin, proxy::Proxy, upstream::Upstream, wait_until},
};

fn number(shown: &Value, key: &str) -> Option<u64> {
    shown[key].as_u64()
}

#[test]
fn who_has_held_a_token_and_from_where_is_known_then_and_afterwards() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&settings(&upstream).accounts(&upstream, 1));
    let asking = Asking::of(&proxy);
    let pool = || asking.get("/pools/default").ok().json();
    assert!(pool()["longest_hold"].is_null(), "{}", pool());
    let mut holder = proxy.client(&upstream);
    holder.get("/who").ok();
    wait_until("its hold is told, with what it does", || {
        let hold = pool()["longest_hold"].clone();
        hold["client"] == "127.0.0.1"
            && hold["idle_ms"].is_u64()
            // Its clock may be a little ahead of that by which a hold is long enough to be kept.
            && number(&hold, "held_ms") > Some(3000)
    });
    let slot = pool()["tokens"][0].clone();
    assert_eq!(slot["client"], "127.0.0.1", "{slot}");
    assert!(
        slot["held_ms"].is_u64() && slot["idle_ms"].is_u64(),
        "{slot}"
    );
    let told = proxy.ctl(&["status"]).out;
    assert!(told.contains("slot 0 held for "), "{told}");
    let told = proxy.ctl(&["tokens"]).out;
    assert!(told.contains(" by 127.0.0.1, idle for "), "{told}");
    drop(holder);
    wait_until("it is over, and not forgotten", || {
        let shown = pool();
        shown["longest_hold"].is_null()
            && number(&shown["longest_ended_hold"], "held_ms") > Some(1000)
            && shown["longest_ended_hold"]["client"] == "127.0.0.1"
    });
    let told = proxy.ctl(&["status"]).out;
    assert!(told.contains("was held for "), "{told}");
}

#[test]
fn an_account_whose_logins_fail_is_named_with_the_reason() {
    let upstream = Upstream::start();
    let settings = settings(&upstream)
        .accounts(&upstream, 1)
        .known_account("stranger", 2);
    let proxy = Proxy::start_without_tokens(&settings);
    let asking = Asking::of(&proxy);
    let failing = || asking.get("/pools").ok().json()[0]["failing_accounts"].clone();
    wait_until("it is told", || {
        failing().as_array().is_some_and(|all| all.len() == 1)
    });
    let one = failing()[0].clone();
    assert_eq!(one["user"], "stranger", "{one}");
    assert!(number(&one, "errors") > Some(0), "{one}");
    let reason = one["last_error"].as_str().expect("a reason");
    assert!(reason.starts_with("login refused"), "{reason}");
    let told = proxy.ctl(&["status"]).out;
    assert!(told.contains("stranger fails, "), "{told}");
}

#[test]
fn backends_say_how_long_they_took_and_the_slowest_is_named() {
    let (one, two) = (Origin::start("one"), Origin::start("two"));
    let tables = one.table("\"a\"", "") + &two.table("\"a\"", "") + &host("default", "a");
    let proxy = Proxy::start_without_tokens(&gateway(&tables));
    let asking = Asking::of(&proxy);
    assert!(asking.get("/backends/one").ok().json()["answers"].is_null());
    for _ in 0..10 {
        Client::connect(proxy.address()).get("/who").ok();
    }
    for id in ["one", "two"] {
        let answers = asking.get(&format!("/backends/{id}")).ok().json()["answers"].clone();
        assert_eq!(number(&answers, "count"), Some(5), "{id}: {answers}");
        assert!(answers["mean_ms"].as_f64() > Some(0.0), "{id}: {answers}");
        assert!(answers["p95_ms"].is_number(), "{id}: {answers}");
    }
    let slowest = proxy.status().slow.slowest_backend.expect("one is slower");
    assert!(["one", "two"].contains(&slowest.id.as_str()), "{slowest:?}");
    let told = proxy.ctl(&["status"]).out;
    assert!(told.contains(": 5 answers in "), "{told}");
}
