//! A pool of an app's tokens at Feishu.

use std::time::Duration;

use crate::{
    common::{wait_for, wait_until},
    identity::{feishu_error, feishu_too_often},
    recipes::Kind,
    scene::Scene,
};

const TENANT: &str = "/open-apis/auth/v3/tenant_access_token/internal";

#[test]
fn the_tenants_token_is_drawn_once_and_renewed_before_its_end() {
    let scene = Scene::set_up(Kind::Feishu, |identity, settings| {
        identity.set_life(8);
        settings
    });
    assert_eq!(scene.identity.asked_for(TENANT).len(), 1);
    let mut client = scene.client();
    wait_until("two more were drawn, as the platform gives them", || {
        client.get("/who").ok();
        scene.upstream.tokens().len() >= 3
    });
    drop(client);
    scene.assert_clean();
    assert_eq!(scene.upstream.refusals(), 0);
}

#[test]
fn the_platform_is_left_alone_for_as_long_as_it_asks() {
    for status in [429, 400] {
        let scene = Scene::set_up(Kind::Feishu, |identity, settings| {
            identity.script([feishu_too_often(status, 2)]);
            settings
        });
        let asked = scene.identity.asked_for(TENANT);
        let [first, second] = asked.as_slice() else {
            panic!("{asked:?}");
        };
        let apart = second.at - first.at;
        assert!(apart >= Duration::from_secs(2), "{apart:?}");
        scene.client().get("/who").ok();
        scene.assert_clean();
    }
}

#[test]
fn codes_of_trouble_are_tried_again() {
    let scene = Scene::set_up(Kind::Feishu, |identity, settings| {
        identity.script([
            feishu_error(2200, "internal error"),
            feishu_error(1_234_567, "a code of tomorrow"),
        ]);
        settings
    });
    assert_eq!(scene.identity.asked_for(TENANT).len(), 3);
    scene.client().get("/who").ok();
    scene.assert_clean();
}

#[test]
fn an_app_whose_secret_is_wrong_is_refused_and_rests() {
    let scene = Scene::without_tokens(Kind::Feishu, |identity, settings| {
        identity.change_secret("cli_a1b2c3", "another one");
        settings
    });
    let why = wait_for("it is said why", || scene.last_error());
    assert_eq!(why, "login refused: 10014 app secret invalid");
    assert_eq!(scene.client().get("/who").status, 503);
    assert_eq!(scene.identity.asked_for(TENANT).len(), 1);
}
