//! A pool whose clients draw their tokens by OAuth 2.0 client credentials.

use crate::{
    common::{message::Request, wait_for, wait_until},
    identity::{Reply, oauth_error},
    recipes::Kind,
    scene::Scene,
};

const TOKEN: &str = "/token";

#[test]
fn one_login_is_for_all_sessions() {
    let scene = Scene::set_up(Kind::OAuth2, |identity, settings| {
        identity.stand_at_gate();
        // Who comes before the first token waits for it.
        identity.open_gate();
        settings
    });
    assert_eq!(scene.identity.asked_for(TOKEN).len(), 1);
    let mut clients: Vec<_> = (0..20).map(|_| scene.client()).collect();
    clients
        .iter_mut()
        .for_each(|client| client.send(&Request::get("/gate/all")));
    wait_until("all are served at once by the one token", || {
        scene.upstream.gates().waiting_at("all") == 20
    });
    scene.upstream.gates().open("all");
    clients
        .iter_mut()
        .for_each(|client| drop(client.read_answer().ok()));
    drop(clients);
    scene.assert_clean();
    let heads = scene.upstream.seen();
    let mut shown: Vec<_> = heads
        .iter()
        .map(|seen| seen.head.field("authorization"))
        .collect();
    shown.dedup();
    assert_eq!(shown.len(), 1);
}

#[test]
fn a_client_may_show_itself_in_the_body() {
    let scene = Scene::without_tokens(Kind::OAuth2, |_, settings| settings);
    scene.wait_for_tokens();
    let text = std::fs::read_to_string(scene.proxy.config_file()).expect("the configuration");
    let other = text.replace("auth = \"basic\"", "auth = \"body\"");
    assert_ne!(text, other);
    std::fs::write(scene.proxy.config_file(), other).expect("write it");
    assert_eq!(scene.proxy.ctl(&["reload"]).code, Some(0));
    assert_eq!(scene.proxy.ctl(&["refresh", "--all"]).code, Some(0));
    wait_until("it has logged in so", || {
        let asked = scene.identity.asked_for(TOKEN);
        asked
            .last()
            .is_some_and(|asked| asked.body.contains("client_secret="))
    });
    scene.client().get("/who").ok();
    scene.assert_clean();
}

#[test]
fn what_is_no_refusal_is_tried_again() {
    let scene = Scene::set_up(Kind::OAuth2, |identity, settings| {
        identity.script([
            oauth_error(503, "temporarily_unavailable", "come again"),
            oauth_error(400, "slow_down", "too often"),
            oauth_error(500, "server_error", "it broke"),
            Reply::json(502, "<html>"),
        ]);
        settings
    });
    assert_eq!(scene.identity.asked_for(TOKEN).len(), 5);
    scene.client().get("/who").ok();
    scene.assert_clean();
}

#[test]
fn a_client_whose_secret_is_wrong_is_refused_and_rests() {
    let scene = Scene::without_tokens(Kind::OAuth2, |identity, settings| {
        identity.change_secret("reports", "another one");
        settings
    });
    let why = wait_for("it is said why", || scene.last_error());
    assert_eq!(
        why,
        "login refused: invalid_client: client authentication failed"
    );
    let answer = scene.client().get("/who");
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(scene.identity.asked_for(TOKEN).len(), 1);
    // Put right, it need not wait for the rest to end.
    scene
        .identity
        .change_secret("reports", &scene.recipe.accounts[0].secret);
    assert_eq!(scene.proxy.ctl(&["refresh", "--all"]).code, Some(0));
    scene.wait_for_tokens();
    scene.client().get("/who").ok();
    scene.assert_clean();
}

#[test]
fn a_refused_renewal_costs_no_good_token() {
    let scene = Scene::of(Kind::OAuth2);
    let user = scene.user().to_owned();
    scene.identity.change_secret(&user, "another one");
    assert_eq!(scene.proxy.ctl(&["refresh", "--all"]).code, Some(0));
    wait_until("it was refused", || scene.last_error().is_some());
    scene.client().get("/who").ok();
    scene.assert_clean();
}

#[test]
fn a_token_turned_down_early_is_drawn_anew_once_for_all() {
    let scene = Scene::of(Kind::OAuth2);
    let mut clients: Vec<_> = (0..20).map(|_| scene.client()).collect();
    clients
        .iter_mut()
        .for_each(|client| drop(client.get("/who").ok()));
    scene.upstream.expire(scene.user());
    clients
        .iter_mut()
        .for_each(|client| client.send(&Request::get("/who")));
    clients
        .iter_mut()
        .for_each(|client| drop(client.read_answer().ok()));
    assert_eq!(scene.identity.asked_for(TOKEN).len(), 2);
    drop(clients);
    scene.assert_clean();
}

#[test]
fn with_a_place_for_it_the_token_is_revoked_at_the_end() {
    let scene = Scene::set_up(Kind::OAuth2, |identity, settings| {
        let revoke = format!(
            "[pools.login]\nlogout_url = \"http://{}/revoke\"\n",
            identity.address()
        );
        settings.replace("[pools.login]\n", &revoke)
    });
    let first = scene.upstream.tokens();
    let mut holder = scene.client();
    holder.get("/who").ok();
    assert_eq!(scene.proxy.ctl(&["refresh", "--all"]).code, Some(0));
    wait_until("there is another one", || {
        scene.upstream.tokens().len() == 2
    });
    holder.get("/who").ok();
    drop(holder);
    wait_until("the one that was replaced is revoked", || {
        scene.identity.ended() == first
    });
    scene.assert_clean();
    let Scene {
        proxy,
        upstream,
        identity,
        ..
    } = scene;
    drop(proxy);
    assert_eq!(identity.ended().len(), 2);
    assert_eq!(upstream.tokens().len(), 2);
    assert!(identity.faults().is_empty(), "{:?}", identity.faults());
}
