//! Virtual hosts made, changed, switched and taken away.

use serde_json::json;

use crate::{
    asking::{Asking, gateway, host},
    common::{client::Client, message::Request, origin::Origin, proxy::Proxy, wait_until},
};

/// Backends `one` of tag `a` and `two` of tag `canary`; the file declares `default`, served by `a`.
fn tpp() -> (Origin, Origin, Proxy) {
    let (one, two) = (Origin::start("one"), Origin::start("two"));
    let tables = one.table("\"a\"", "") + &two.table("\"canary\"", "") + &host("default", "a");
    let proxy = Proxy::start_without_tokens(&gateway(&tables));
    (one, two, proxy)
}

/// Who answers for the host that every client asks for.
fn who(proxy: &Proxy) -> String {
    Client::connect(proxy.address()).get("/who").ok().text()
}

#[test]
fn the_documented_lines_make_switch_and_take_away_a_domain() {
    let (_one, _two, proxy) = tpp();
    let asking = Asking::of(&proxy);
    let new =
        json!({"domain": "new.example.com", "enabled_backends_tag": "a", "http_to_https": true});
    let made = asking.post("/domains", Some(new.clone()));
    assert_eq!(made.status, 201, "{}", made.text());
    let place = made.head.field("location");
    assert_eq!(place, Some("/api/v1/domains/new.example.com"));
    assert!(made.head.field("etag").is_some() && made.head.field("tpp-generation").is_some());
    assert_eq!(made.json()["http_to_https"], true);
    wait_until("the log says who made what", || {
        proxy.log().contains("create domain new.example.com")
    });
    assert_eq!(asking.post("/domains", Some(new)).status, 409);
    let order = json!({"new_tag": "canary"});
    for previous in ["a", "canary"] {
        let switched = asking
            .post("/domains/new.example.com/switch", Some(order.clone()))
            .ok();
        let switched = switched.json();
        assert_eq!(switched["domain"], "new.example.com");
        assert_eq!(switched["previous_tag"], previous);
        assert_eq!(switched["enabled_backends_tag"], "canary");
        assert_eq!(switched["healthy_backends"], 1);
        assert!(switched["generation"].is_u64(), "{switched}");
    }
    let shown = asking.get("/domains/new.example.com").ok().json();
    assert_eq!(shown["source"], "api");
    assert_eq!(shown["backends"][0]["id"], "two");
    asking.ask("DELETE", "/domains/new.example.com", None).ok();
    assert_eq!(asking.get("/domains/new.example.com").status, 404);
    assert_eq!(
        asking
            .ask("DELETE", "/domains/new.example.com", None)
            .status,
        404
    );
}

#[test]
fn a_domain_takes_clients_from_the_answer_on() {
    let (_one, _two, proxy) = tpp();
    let asking = Asking::of(&proxy);
    assert_eq!(who(&proxy), "one");
    // Host names have no case.
    let new = json!({"domain": "TPP.test", "enabled_backends_tag": "canary"});
    let made = asking.post("/domains", Some(new));
    assert_eq!(
        (made.status, made.json()["domain"].clone()),
        (201, json!("tpp.test"))
    );
    assert_eq!(who(&proxy), "two");
    asking.ask("DELETE", "/domains/Tpp.Test.", None).ok();
    assert_eq!(who(&proxy), "one");
}

#[test]
fn what_is_wrong_with_a_body_is_named() {
    let (_one, _two, proxy) = tpp();
    let asking = Asking::of(&proxy);
    for (body, field) in [
        (json!({"enabled_backends_tag": "a"}), "domain"),
        (
            json!({"domain": "x.test", "enabled_backends_tag": 3}),
            "enabled_backends_tag",
        ),
        (
            json!({"domain": "x.test", "enabled_backends_tag": "a", "balanc": "random_two"}),
            "balanc",
        ),
        (
            json!({"domain": "x.test", "enabled_backends_tag": "a", "balance": "best"}),
            "balance",
        ),
        (
            json!({"domain": "x.test", "enabled_backends_tag": "a", "split": {"canary": 101}}),
            "split",
        ),
    ] {
        let answer = asking.post("/domains", Some(body.clone()));
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
        let named = answer.json()["field"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert!(named.starts_with(field), "{named} for {body}");
    }
    let order = |body| asking.post("/domains/default/switch", Some(body));
    assert_eq!(order(json!({"tag": "a"})).json()["field"], "new_tag");
    assert_eq!(
        order(json!({"new_tag": "a", "percent": 101})).json()["field"],
        "percent"
    );
    assert_eq!(order(json!({"new_tag": "nobody"})).status, 409);
    let unknown = asking.post("/domains/other.test/switch", Some(json!({"new_tag": "a"})));
    assert_eq!(unknown.status, 404);
}

#[test]
fn a_put_leaves_the_rest_and_a_null_clears() {
    let (_one, _two, proxy) = tpp();
    let asking = Asking::of(&proxy);
    let new = json!({"domain": "x.test", "enabled_backends_tag": "a", "max_concurrent": 7, "hsts_seconds": 60});
    assert_eq!(asking.post("/domains", Some(new)).status, 201);
    let put = asking
        .ask(
            "PUT",
            "/domains/x.test",
            Some(json!({"balance": "random_two"})),
        )
        .ok();
    let put = put.json();
    assert_eq!(put["balance"], "random_two");
    assert_eq!(put["max_concurrent"], 7);
    let patch = Request::new("PATCH", "/api/v1/domains/x.test")
        .field("Content-Type", "application/merge-patch+json")
        .with_body(json!({"max_concurrent": null, "hsts_seconds": 5}).to_string());
    let patched = asking.send(patch, "PATCH", "/domains/x.test").ok().json();
    assert_eq!(patched["hsts_seconds"], 5);
    assert_ne!(patched["max_concurrent"], 7);
    // What was shown can be sent back as it is.
    let shown = asking.get("/domains/x.test").ok().json();
    let again = asking
        .ask("PUT", "/domains/x.test", Some(shown.clone()))
        .ok();
    assert_eq!(again.json(), shown);
    let renamed = asking.ask("PUT", "/domains/x.test", Some(json!({"domain": "y.test"})));
    assert_eq!(
        (renamed.status, renamed.json()["field"].clone()),
        (400, json!("domain"))
    );
}

#[test]
fn a_change_of_what_was_changed_meanwhile_is_refused() {
    let (_one, _two, proxy) = tpp();
    let asking = Asking::of(&proxy);
    let path = "/domains/default";
    let shown = asking.get(path).ok();
    let seen = shown.head.field("etag").expect("a version").to_owned();
    let conditional = |method: &str, name: &str, value: &str, hsts: u32| {
        let request = Request::new(method, &format!("/api/v1{path}"))
            .field("Content-Type", "application/json")
            .field(name, value)
            .with_body(json!({"hsts_seconds": hsts}).to_string());
        asking.send(request, method, path)
    };
    let changed = conditional("PUT", "If-Match", &seen, 1).ok();
    assert_ne!(changed.head.field("etag"), Some(seen.as_str()));
    assert_eq!(conditional("PUT", "If-Match", &seen, 2).status, 412);
    assert_eq!(conditional("PATCH", "If-Match", &seen, 2).status, 412);
    assert_eq!(conditional("PUT", "If-Match", "seen", 2).status, 400);
    assert_eq!(conditional("PUT", "If-None-Match", "*", 2).status, 412);
    conditional("PUT", "If-Match", "*", 3).ok();
    let now = asking.get(path).ok();
    let now = now.head.field("etag").expect("a version").to_owned();
    let again = Request::get(&format!("/api/v1{path}")).field("If-None-Match", &now);
    assert_eq!(asking.send(again, "GET", path).status, 304);
    let new = Request::new("PUT", "/api/v1/domains/new.test")
        .field("Content-Type", "application/json")
        .field("If-None-Match", "*")
        .with_body(json!({"enabled_backends_tag": "a"}).to_string());
    assert_eq!(asking.send(new, "PUT", "/domains/new.test").status, 201);
}

#[test]
fn a_change_may_be_made_to_need_a_version() {
    let one = Origin::start("one");
    let tables = one.table("\"a\"", "") + &host("default", "a");
    let settings = gateway(&tables).set("api.require_if_match", true);
    let proxy = Proxy::start_without_tokens(&settings);
    let asking = Asking::of(&proxy);
    let change = Some(json!({"hsts_seconds": 1}));
    assert_eq!(
        asking.ask("PUT", "/domains/default", change.clone()).status,
        428
    );
    assert_eq!(
        asking
            .ask("PATCH", "/domains/default", change.clone())
            .status,
        428
    );
    assert_eq!(asking.ask("DELETE", "/domains/default", None).status, 428);
    // What is not there has no version.
    assert_eq!(asking.ask("PUT", "/domains/no.test", change).status, 404);
    assert_eq!(asking.ask("DELETE", "/backends/none", None).status, 404);
}

#[test]
fn the_file_owns_what_it_declares_and_a_change_outlives_the_supervisor() {
    let (_one, _two, mut proxy) = tpp();
    let asking = Asking::of(&proxy);
    assert_eq!(asking.get("/domains/default").json()["source"], "file");
    asking
        .post(
            "/domains/default/switch",
            Some(json!({"new_tag": "canary"})),
        )
        .ok();
    assert_eq!(asking.get("/domains/default").json()["source"], "override");
    assert_eq!(asking.ask("DELETE", "/domains/default", None).status, 409);
    proxy.kill_supervisor();
    proxy.start_successor();
    let asking = Asking::of(&proxy);
    let shown = asking.get("/domains/default").ok().json();
    assert_eq!(shown["enabled_backends_tag"], "canary");
    assert_eq!(who(&proxy), "two");
    // Back to what the file says: nothing is left of the override.
    asking
        .post("/domains/default/switch", Some(json!({"new_tag": "a"})))
        .ok();
    assert_eq!(asking.get("/domains/default").json()["source"], "file");
}

#[test]
fn a_switch_may_demand_a_backend_that_is_up() {
    let (_one, two, proxy) = tpp();
    let asking = Asking::of(&proxy);
    two.set_well(false);
    wait_until("it is down", || {
        asking.get("/backends/two").json()["healthy"] == false
    });
    let order = |careful: bool| {
        let body = json!({"new_tag": "canary", "require_healthy": careful});
        asking.post("/domains/default/switch", Some(body))
    };
    assert_eq!(order(true).status, 409);
    assert_eq!(order(false).ok().json()["healthy_backends"], 0);
    assert_eq!(asking.get("/domains/default").json()["healthy"], false);
    let reason = "all backends with the tag \"canary\" are down";
    wait_until("health says why", || {
        let health = proxy.health("/health").json();
        (&health["status"], &health["reasons"]) == (&json!("degraded"), &json!([reason]))
    });
}

#[test]
fn a_backend_that_takes_nothing_new_is_none_that_a_careful_switch_goes_to() {
    let (_one, _two, proxy) = tpp();
    let asking = Asking::of(&proxy);
    let order = |tag: &str, careful: bool| {
        let body = json!({"new_tag": tag, "require_healthy": careful});
        asking.post("/domains/default/switch", Some(body))
    };
    for (change, back) in [
        (json!({"state": "drain"}), json!({"state": "ready"})),
        (json!({"state": "maint"}), json!({"state": "ready"})),
        (json!({"weight": 0}), json!({"weight": 1})),
    ] {
        asking
            .ask("PATCH", "/backends/two", Some(change.clone()))
            .ok();
        assert_eq!(order("canary", true).status, 409, "{change}");
        assert_eq!(who(&proxy), "one", "{change}");
        let careless = order("canary", false).ok().json();
        assert_eq!(careless["healthy_backends"], 0, "{change}");
        let shown = asking.get("/domains/default").ok().json();
        assert_eq!(
            (&shown["healthy"], &shown["healthy_backends"]),
            (&json!(false), &json!(0)),
            "{change}"
        );
        let refused = Client::connect(proxy.address()).get("/who");
        assert_eq!(refused.status, 503, "{change}");
        let why = refused.text();
        assert!(why.contains("takes requests: 1 "), "{change}: {why}");
        asking.ask("PATCH", "/backends/two", Some(back)).ok();
        wait_until("it is up again", || {
            order("canary", true).status == 200 && who(&proxy) == "two"
        });
        order("a", true).ok();
    }
}

#[test]
fn tppctl_shows_switches_drains_and_exports() {
    let (_one, _two, proxy) = tpp();
    let ctl = |arguments: &[&str]| {
        let outcome = proxy.ctl(arguments);
        assert_eq!(outcome.code, Some(0), "{arguments:?}: {outcome:?}");
        outcome.out
    };
    assert_eq!(who(&proxy), "one");
    assert_eq!(
        ctl(&["switch", "default", "canary"]),
        "default is served by canary\n"
    );
    assert_eq!(who(&proxy), "two");
    assert!(ctl(&["domains"]).contains("canary"));
    assert_eq!(ctl(&["drain", "two"]), "backend two: drain\n");
    assert!(ctl(&["backends"]).contains("drain"));
    assert_eq!(ctl(&["drain", "two", "--end"]), "backend two: ready\n");
    let exported = ctl(&["gateway", "export"]);
    let tables: toml::Table = exported.parse().expect("TOML");
    let default = &tables["virtual_hosts"][0];
    assert_eq!(default["enabled_backends_tag"].as_str(), Some("canary"));
    for arguments in [
        &["switch", "default", "nobody"][..],
        &["switch", "other.test", "a"],
        &["drain", "none"],
    ] {
        let outcome = proxy.ctl(arguments);
        assert_eq!(
            (outcome.code, outcome.err.lines().count()),
            (Some(1), 1),
            "{outcome:?}"
        );
    }
}
