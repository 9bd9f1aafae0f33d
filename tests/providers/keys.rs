//! A pool of keys: no login, a quota each.

use crate::{
    common::{message::Request, wait_until},
    recipes::Kind,
    scene::Scene,
};

#[test]
fn a_key_stands_in_the_header_that_the_server_wants_and_clients_cannot_send_it() {
    let scene = Scene::of(Kind::Static);
    let mut client = scene.client();
    let mine = Request::get("/who")
        .field("x-api-key", "mine")
        .field("Authorization", "Basic bWluZQ==");
    let user = client.ask(&mine).ok().json()["user"].clone();
    assert!(
        scene
            .recipe
            .accounts
            .iter()
            .any(|account| user == *account.name),
        "{user}"
    );
    drop(client);
    scene.assert_clean();
}

#[test]
fn a_used_up_key_rests_in_all_workers_and_requests_go_on_with_the_other() {
    let scene = Scene::of(Kind::Static);
    // Who goes on with another key has another account.
    scene.upstream.oracle().allow_a_lease_per_request();
    let [spent, other] = [0, 1].map(|at| scene.recipe.accounts[at].name.clone());
    scene.upstream.set_used_up(&spent, Some(60));
    let sessions = scene.recipe.slots() / 2;
    let mut clients: Vec<_> = (0..sessions).map(|_| scene.client()).collect();
    for client in &mut clients {
        let answer = client
            .ask(&Request::post("/who", "a body that is sent again"))
            .ok();
        assert_eq!(answer.json()["user"], *other);
    }
    wait_until("the spent one is lent no more", || {
        scene.proxy.pool().total == sessions
    });
    let asked = scene.upstream.seen().into_iter();
    let with_spent = asked
        .filter(|seen| seen.user.as_deref() == Some(&spent))
        .count();
    drop(clients);
    scene.client().get("/who").ok();
    let asked = scene.upstream.seen().into_iter();
    let later = asked
        .filter(|seen| seen.user.as_deref() == Some(&spent))
        .count();
    assert_eq!(later, with_spent, "nobody asked with it again");
    scene.proxy.wait_until_all_is_back(sessions);
    scene.upstream.assert_clean();
}

#[test]
fn when_every_key_rests_clients_are_told_when_the_first_comes_back_and_then_served() {
    let scene = Scene::of(Kind::Static);
    scene.upstream.oracle().allow_a_lease_per_request();
    let [one, other] = [0, 1].map(|at| scene.recipe.accounts[at].name.clone());
    scene.upstream.set_used_up(&one, Some(600));
    scene.upstream.set_used_up(&other, Some(5));
    let answer = scene.client().get("/who");
    assert_eq!(answer.status, 503, "{}", answer.text());
    let wait = answer
        .head
        .field("retry-after")
        .and_then(|wait| wait.parse::<u64>().ok());
    assert!(wait.is_some_and(|wait| (1..=5).contains(&wait)), "{wait:?}");
    scene.upstream.set_used_up(&other, None);
    wait_until("the shorter rest is over", || {
        scene.client().get("/who").status == 200
    });
    let later = scene.client().get("/who").ok().json();
    assert_eq!(later["user"], *other);
    scene.upstream.assert_clean();
}

#[test]
fn a_key_that_the_server_turns_down_is_the_clients_answer() {
    let scene = Scene::of(Kind::Static);
    scene.upstream.expire_all();
    assert_eq!(scene.client().get("/who").status, 401);
    wait_until("it is said why", || scene.last_error().is_some());
    let why = scene.last_error();
    assert_eq!(why.as_deref(), Some("the upstream turned the key down"));
    scene.assert_clean();
}
