//! An authority that is away, and one that comes back without memory.

use serde_json::json;

use super::{
    common::wait_until,
    pebble::Pebble,
    scene::{Scene, host, kept, orders, renewal},
};

#[test]
#[ignore = "it takes Debian's pebble: make acme"]
fn an_authority_that_is_away_is_tried_again_until_it_is_there() {
    let mut scene = Scene::plain(Pebble::new(&json!({})), &host("a.acme.test", ""));
    let proxy = scene.start();
    wait_until("it is told of", || {
        renewal(&proxy, "a.acme.test").state == "failing"
    });
    let words = renewal(&proxy, "a.acme.test").error.expect("why");
    assert!(words.contains("onnect"), "{words}");
    scene.pebble.start();
    let browser = scene.pebble.browser();
    wait_until("it has its certificate", || {
        scene.shown(&browser, "a.acme.test").is_some()
    });
    assert_eq!(renewal(&proxy, "a.acme.test").error, None);
}

#[test]
#[ignore = "it takes Debian's pebble: make acme"]
fn the_old_certificate_serves_on_and_an_account_that_is_forgotten_is_made_anew() {
    let short = json!({"certificateValidityPeriod": 90});
    let mut scene = Scene::plain(Pebble::started(&short), &host("a.acme.test", ""));
    let proxy = scene.start();
    let browser = scene.pebble.browser();
    wait_until("it has its certificate", || {
        scene.shown(&browser, "a.acme.test").is_some()
    });
    let first = scene.shown(&browser, "a.acme.test");
    scene.pebble.stop();
    let patient = |claim: &str, check: &mut dyn FnMut() -> bool| {
        // The renewal is due after a minute, and tried again after some time more.
        let mut left = 10;
        while left > 0 && super::common::within_patience(|| check().then_some(())).is_none() {
            left -= 1;
        }
        assert!(left > 0, "waited in vain: {claim}");
    };
    patient("it is due, and cannot be had", &mut || {
        renewal(&proxy, "a.acme.test").state == "failing"
    });
    assert_eq!(
        scene.shown(&browser, "a.acme.test"),
        first,
        "the old one serves on"
    );
    scene.pebble.start();
    let browser = scene.pebble.browser();
    patient("it has one of the new root", &mut || {
        scene.shown(&browser, "a.acme.test").is_some()
    });
    assert_eq!(orders(&proxy, "issued"), 2);
    // The old one, put aside, and the new one.
    assert_eq!(kept(&proxy, "accounts"), 2);
}
