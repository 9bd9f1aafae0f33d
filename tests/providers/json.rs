//! A pool whose accounts log in by a call of the usual shape.

use crate::{
    common::{wait_for, wait_until},
    identity::{Reply, json_refused},
    recipes::Kind,
    scene::Scene,
};

const LOGIN: &str = "/api/login";

#[test]
fn each_session_has_a_token_of_its_own() {
    let scene = Scene::of(Kind::Json);
    scene.client().get("/who").ok();
    let mut tokens: Vec<_> = scene
        .proxy
        .tokens()
        .into_iter()
        .map(|token| token.fingerprint)
        .collect();
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len() as u64, scene.recipe.slots());
    assert_eq!(
        scene.identity.asked_for(LOGIN).len() as u64,
        scene.recipe.slots()
    );
    scene.assert_clean();
}

#[test]
fn a_busy_server_is_asked_again_and_a_refused_account_is_not() {
    let scene = Scene::set_up(Kind::Json, |identity, settings| {
        let busy = json_refused(1002, "Too many sessions");
        identity.script([busy, Reply::json(503, ""), Reply::json(200, "{")]);
        settings
    });
    let logins = scene.identity.asked_for(LOGIN).len() as u64;
    assert_eq!(logins, scene.recipe.slots() + 3);
    scene.client().get("/who").ok();
    scene.assert_clean();

    let scene = Scene::without_tokens(Kind::Json, |identity, settings| {
        identity.change_secret("ann", "another one");
        settings
    });
    let why = wait_for("it is said why", || scene.last_error());
    assert_eq!(why, "login refused: wrong user name or password");
    assert_eq!(scene.client().get("/who").status, 503);
    let status = scene.proxy.status();
    assert!(
        status.reasons.iter().any(|reason| reason.contains("ann")),
        "{:?}",
        status.reasons
    );
    assert_eq!(
        scene.identity.asked_for(LOGIN).len(),
        1,
        "one tries for all"
    );
}

#[test]
fn tokens_are_renewed_before_their_own_end_and_logged_out_when_nobody_has_them() {
    let scene = Scene::set_up(Kind::Json, |identity, settings| {
        identity.set_life(4);
        settings
    });
    let mut client = scene.client();
    client.get("/who").ok();
    let first = scene.upstream.tokens();
    wait_until(
        "each is renewed, and its forerunner logged out, but for the one in use",
        || {
            client.get("/who").ok();
            scene.identity.ended().len() as u64 >= scene.recipe.slots() - 1
        },
    );
    drop(client);
    wait_until("the one that was in use as well", || {
        let ended = scene.identity.ended();
        first.iter().all(|token| ended.contains(token))
    });
    scene.assert_clean();
    assert_eq!(scene.upstream.refusals(), 0, "no client saw one's end");
}

#[test]
fn a_stop_logs_every_session_out() {
    let Scene {
        proxy,
        upstream,
        identity,
        ..
    } = Scene::of(Kind::Json);
    drop(proxy);
    let (mut drawn, mut ended) = (upstream.tokens(), identity.ended());
    drawn.sort();
    ended.sort();
    assert_eq!(ended, drawn);
}

#[test]
fn an_account_that_a_reload_removes_is_logged_out() {
    let scene = Scene::of(Kind::Json);
    let drawn = scene.upstream.tokens();
    let text = std::fs::read_to_string(scene.proxy.config_file()).expect("the configuration");
    let other = text.replace("username = \"ann\"", "username = \"bob\"");
    std::fs::write(scene.proxy.config_file(), other).expect("write it");
    assert_eq!(scene.proxy.ctl(&["reload"]).code, Some(0));
    wait_until("all of its sessions are over", || {
        let ended = scene.identity.ended();
        drawn.iter().all(|token| ended.contains(token))
    });
}

#[test]
fn a_pool_that_a_reload_drops_is_logged_out_one_session_after_the_other() {
    let scene = Scene::of(Kind::Json);
    let mut holder = scene.client();
    holder.get("/who").ok();
    let text = std::fs::read_to_string(scene.proxy.config_file()).expect("the configuration");
    let without = text.replace(&scene.recipe.text, "");
    let without = without.replace("pool = \"reports\"", "pool = \"none\"");
    std::fs::write(scene.proxy.config_file(), without).expect("write it");
    let outcome = scene.proxy.ctl(&["reload"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let drawn = scene.upstream.tokens().len();
    wait_until("those that nobody had are over", || {
        scene.identity.ended().len() == drawn - 1
    });
    drop(holder);
    wait_until("the last one is, too", || {
        scene.identity.ended().len() == drawn
    });
    assert_eq!(scene.identity.asked_for(LOGIN).len(), drawn);
    assert_eq!(scene.identity.faults(), [""; 0]);
}
