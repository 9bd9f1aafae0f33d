//! The lease's judges over a pool of each provider: exclusive, whole, in order of arrival.

use crate::{
    common::{
        client::Client,
        load::{all_at_once, each_at_once},
        message::Request,
        processes,
        upstream::ConnId,
        wait_until,
    },
    recipes::Kind,
    scene::Scene,
};
use nix::sys::signal::Signal;

/// Connections beyond those that can be served at once.
const CROWD: usize = 40;

/// Each keeps its account to its end, no session is in use twice, and no account more often than it allows.
fn each_connection_keeps_one_session_to_itself(kind: Kind) {
    let scene = Scene::of(kind);
    let slots = usize::try_from(scene.recipe.slots()).expect("a count");
    all_at_once(slots + CROWD, |_| {
        let mut client = scene.client();
        let mut user = || client.get("/who").ok().json()["user"].clone();
        let users = [user(), user(), user()];
        assert!(users.iter().all(|user| *user == users[0]), "{users:?}");
    });
    scene.assert_clean();
    assert_eq!(scene.upstream.refusals(), 0);
    let lent = (slots + CROWD) as f64;
    assert_eq!(
        scene.proxy.metric("tpp_token_acquisitions_total"),
        Some(lent)
    );
    assert_eq!(scene.proxy.metric("tpp_token_releases_total"), Some(lent));
}

/// Those who wait while all sessions are in use are served as they came, over both workers.
fn the_line_is_served_in_order_of_arrival(kind: Kind) {
    // The stops that make the turns must not look like hanging.
    let scene = Scene::set_up(kind, |_, settings| {
        settings.set("workers.worker_timeout_seconds", 120)
    });
    let mut holders: Vec<Client> = (0..scene.recipe.slots())
        .map(|_| {
            let mut holder = scene.client();
            holder.get("/holder").ok();
            holder
        })
        .collect();
    assert_eq!(scene.proxy.pool().available, 0);
    let workers = scene.proxy.ready_workers();
    let waiting: Vec<Client> = (0..12)
        .map(|place: usize| {
            // One that stands still accepts nothing, so that the other one does.
            let stopped = workers[place % 2].pid;
            processes::stop(stopped);
            let mut client = scene.client();
            client.send(&Request::get("/turn"));
            let length = place as u64 + 1;
            wait_until("one more waits", || scene.proxy.pool().waiting == length);
            processes::send(stopped, Signal::SIGCONT);
            client
        })
        .collect();
    let arrived: Vec<ConnId> = waiting.iter().map(Client::id).collect();
    // One session falls free: it goes from hand to hand.
    drop(holders.pop());
    each_at_once(waiting, |mut client| drop(client.read_answer().ok()));
    drop(holders);
    scene.assert_clean();
    let seen = scene.upstream.seen().into_iter();
    let turns = seen.filter(|seen| seen.target == "/turn");
    assert_eq!(turns.map(|seen| seen.conn).collect::<Vec<_>>(), arrived);
}

macro_rules! judged {
    ($($module:ident: $kind:expr),+ $(,)?) => {
        $(mod $module {
            use super::*;

            #[test]
            fn each_connection_keeps_one_session_to_itself() {
                super::each_connection_keeps_one_session_to_itself($kind);
            }

            #[test]
            fn the_line_is_served_in_order_of_arrival() {
                super::the_line_is_served_in_order_of_arrival($kind);
            }
        })+
    };
}

judged! {
    json: Kind::Json,
    oauth2: Kind::OAuth2,
    feishu: Kind::Feishu,
    keys: Kind::Static,
}
