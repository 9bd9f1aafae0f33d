//! Crowds at the moment when one token for all comes to its end.

use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::{
    common::{client::Client, load::while_clients_work, message::Request, wait_until},
    recipes::Kind,
    scene::Scene,
};

const TOKEN: &str = "/token";
/// Clients, where the limit on open files allows that.
const MOST: u64 = 2_000;
/// And where it does not.
const LEAST: u64 = 400;
/// Files that a crowd leaves to all else in this process.
const OTHERS: u64 = 3_000;
/// How many come at once.
const BATCH: usize = 250;

/// As many clients as this process may have.
fn as_many_as_can_be() -> usize {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("up to the hard limit");
    let clients = hard.saturating_sub(OTHERS).clamp(LEAST, MOST);
    usize::try_from(clients).expect("a count")
}

#[test]
fn a_crowd_whose_one_token_has_come_to_its_end_has_one_login() {
    let count = as_many_as_can_be();
    // Those who hold it are not answered before the whole line stands.
    let scene = Scene::set_up(Kind::OAuth2, |_, settings| {
        settings.set("upstream.response_header_timeout_seconds", 0)
    });
    let slots = usize::try_from(scene.recipe.slots()).expect("a count");
    let come = |count: usize| {
        let client = |_| {
            let mut client = Client::connect(scene.proxy.address());
            client.send(&Request::get("/gate/open"));
            client
        };
        (0..count).map(client).collect::<Vec<_>>()
    };
    let holders = come(slots);
    wait_until("they hold all leases, and are served", || {
        scene.upstream.gates().waiting_at("open") == slots
    });
    let mut line: Vec<Client> = Vec::with_capacity(count);
    while line.len() < count - slots {
        line.extend(come(BATCH.min(count - slots - line.len())));
        wait_until("they stand in line", || {
            scene.proxy.pool().waiting == line.len() as u64
        });
    }
    // Those who hold it are served and leave; whoever comes next is turned down with it.
    scene.identity.stand_at_gate();
    scene.upstream.expire(scene.user());
    scene.upstream.gates().open("open");
    for mut client in holders {
        client.read_answer().ok();
    }
    wait_until("somebody asks for another", || {
        scene.identity.waiting_at_gate() == 1
    });
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(scene.identity.waiting_at_gate(), 1, "one for all");
    scene.identity.open_gate();
    for mut client in line {
        client.read_answer().ok();
    }
    assert_eq!(
        scene.identity.asked_for(TOKEN).len(),
        2,
        "one login, and one more"
    );
    scene.proxy.wait_until_all_is_back(scene.recipe.slots());
}

#[test]
fn a_token_renewed_before_its_end_is_seen_by_none_of_a_crowd() {
    let scene = Scene::set_up(Kind::OAuth2, |identity, settings| {
        identity.set_life(5);
        settings
    });
    let ask = |_| {
        scene.client().get("/who").ok();
    };
    let renewed_twice = || {
        wait_until("it is renewed twice", || scene.upstream.tokens().len() >= 3);
    };
    let ((), answers) = while_clients_work(30, ask, renewed_twice);
    assert!(answers >= 30, "{answers}");
    let logins = scene.identity.asked_for(TOKEN).len();
    assert_eq!(logins, scene.upstream.tokens().len(), "one for each token");
    assert_eq!(scene.upstream.refusals(), 0);
    scene.assert_clean();
    let misses = scene
        .proxy
        .metric("tpp_pool_token_misses_total{pool=\"api\"}");
    assert_eq!(misses, Some(0.0), "nobody waited for one");
}

#[test]
fn a_login_server_that_is_down_around_the_end_costs_what_was_good_nothing() {
    let scene = Scene::set_up(Kind::OAuth2, |identity, settings| {
        identity.set_life(6);
        settings
    });
    let mut client = scene.client();
    client.get("/who").ok();
    scene.identity.set_down(true);
    // Until its end it is lent, then nobody has one, and nobody is sent to the upstream with it.
    wait_until("renewals fail", || scene.last_error().is_some());
    client.get("/who").ok();
    wait_until("its end comes", || scene.proxy.pool().total == 0);
    drop(client);
    let mut waiting = scene.client();
    waiting.send(&Request::get("/who"));
    wait_until("somebody waits", || scene.proxy.pool().waiting == 1);
    scene.identity.set_life(600);
    scene.identity.set_down(false);
    waiting.read_answer().ok();
    drop(waiting);
    scene.assert_clean();
    assert_eq!(scene.upstream.tokens().len(), 2);
}
