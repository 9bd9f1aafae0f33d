//! Backends made, drained and taken away.

use serde_json::json;

use crate::{
    asking::{Asking, gateway, host},
    common::{client::Client, origin::Origin, proxy::Proxy, wait_until},
};

fn tpp() -> (Origin, Proxy) {
    let one = Origin::start("one");
    let tables = one.table("\"a\"", "") + &host("default", "a");
    let proxy = Proxy::start_without_tokens(&gateway(&tables));
    (one, proxy)
}

fn who(proxy: &Proxy) -> String {
    Client::connect(proxy.address()).get("/who").ok().text()
}

#[test]
fn a_backend_is_made_checked_drained_and_taken_away() {
    let (_one, proxy) = tpp();
    let asking = Asking::of(&proxy);
    let two = Origin::start("two");
    let new =
        json!({"id": "web-v2", "address": two.address.to_string(), "tags": ["a"], "weight": 1});
    let made = asking.post("/backends", Some(new.clone()));
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(made.head.field("location"), Some("/api/v1/backends/web-v2"));
    assert_eq!(asking.post("/backends", Some(new)).status, 409);
    wait_until("the checks have found it up", || {
        asking.get("/backends/web-v2").ok().json()["health"]["state"] == "up"
    });
    wait_until("it serves", || who(&proxy) == "two");
    let drained = asking
        .post("/backends/one/state", Some(json!({"state": "drain"})))
        .ok();
    assert_eq!(drained.json()["state"], "drain");
    (0..8).for_each(|_| assert_eq!(who(&proxy), "two"));
    asking
        .post("/backends/one/state", Some(json!({"state": "ready"})))
        .ok();
    wait_until("it serves again", || who(&proxy) == "one");
    asking.ask("DELETE", "/backends/web-v2", None).ok();
    assert_eq!(asking.get("/backends/web-v2").status, 404);
    (0..8).for_each(|_| assert_eq!(who(&proxy), "one"));
}

#[test]
fn the_last_backend_of_a_tag_in_use_goes_by_force_alone() {
    let (_one, proxy) = tpp();
    let asking = Asking::of(&proxy);
    let two = Origin::start("two");
    let new = json!({"id": "web-v2", "address": two.address.to_string(), "tags": ["b"]});
    assert_eq!(asking.post("/backends", Some(new)).status, 201);
    let x = json!({"domain": "x.test", "enabled_backends_tag": "b"});
    assert_eq!(asking.post("/domains", Some(x)).status, 201);
    assert_eq!(asking.ask("DELETE", "/backends/web-v2", None).status, 409);
    assert_eq!(
        asking
            .ask("DELETE", "/backends/web-v2?force=maybe", None)
            .status,
        400
    );
    asking
        .ask("DELETE", "/backends/web-v2?force=true", None)
        .ok();
    assert_eq!(
        asking
            .ask("DELETE", "/backends/one?force=true", None)
            .status,
        409
    );
}

#[test]
fn an_unknown_backend_or_state_is_said() {
    let (_one, proxy) = tpp();
    let asking = Asking::of(&proxy);
    let order = |id: &str, body| asking.post(&format!("/backends/{id}/state"), Some(body));
    assert_eq!(order("none", json!({"state": "drain"})).status, 404);
    let wrong = order("one", json!({"state": "asleep"}));
    assert_eq!(
        (wrong.status, wrong.json()["field"].clone()),
        (400, json!("state"))
    );
    let bad = asking.post(
        "/backends",
        Some(json!({"id": "x", "address": "no port", "tags": ["a"]})),
    );
    assert_eq!(
        (bad.status, bad.json()["field"].clone()),
        (400, json!("address"))
    );
    let listed = asking.get("/backends").ok().json();
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
}
