//! Accounts that are bound to others elsewhere.

use serde_json::json;

use super::{
    common::wait_until,
    pebble::{HMAC_KEY, Pebble},
    scene::{Scene, host, kept, renewal},
};

#[test]
#[ignore = "it takes Debian's pebble: make acme"]
fn an_account_is_bound_to_one_elsewhere_where_the_authority_wants_that() {
    let bound = json!({
        "externalAccountBindingRequired": true, "externalAccountMACKeys": {"kid-1": HMAC_KEY},
    });
    let scene = Scene::plain(Pebble::started(&bound), &host("a.acme.test", ""));
    let proxy = scene.start();
    wait_until("it is told that there is none", || {
        let error = renewal(&proxy, "a.acme.test").error;
        error.is_some_and(|error| error.contains("externalAccountRequired"))
    });
    // With it, the pause after the refusal is over.
    let settings = scene
        .settings
        .clone()
        .set("acme.eab_kid", "\"kid-1\"")
        .set("acme.eab_hmac_key_file", "\"eab\"")
        .file("eab", &format!("{HMAC_KEY}\n"));
    settings.write_to(proxy.directory());
    let outcome = proxy.ctl(&["reload"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.out.contains("acme"), "{outcome:?}");
    let browser = scene.pebble.browser();
    wait_until("it has its certificate", || {
        scene.shown(&browser, "a.acme.test").is_some()
    });
    assert_eq!(kept(&proxy, "accounts"), 1);
    assert!(!proxy.log().contains(HMAC_KEY));
}
