//! What pools have done: in metrics, in `tppctl report`, in the log.

use crate::{
    common::{message::Request, wait_until},
    recipes::Kind,
    scene::Scene,
};
use tpp::control::{PoolReport, Status};

/// A number of the scene's pool, by what stands between name and value.
fn number(scene: &Scene, name: &str, labels: &str) -> Option<u64> {
    let pool = &scene.recipe.pool;
    let metric = scene
        .proxy
        .metric(&format!("{name}{{pool=\"{pool}\"{labels}}}"));
    metric.map(|value| value as u64)
}

fn report(scene: &Scene, arguments: &[&str]) -> PoolReport {
    let outcome = scene
        .proxy
        .ctl(&[&["report", "--json"], arguments].concat());
    let mut pools: Vec<PoolReport> = serde_json::from_str(&outcome.out).expect("a report");
    assert_eq!(pools.len(), 1, "{outcome:?}");
    pools.remove(0)
}

#[test]
fn leases_that_find_a_token_and_those_that_wait_for_a_login_are_told_apart() {
    let scene = Scene::without_tokens(Kind::OAuth2, |identity, settings| {
        identity.stand_at_gate();
        settings
    });
    // Before the first token, and after it was turned down.
    let mut first = scene.client();
    first.send(&Request::get("/who"));
    wait_until("it waits", || scene.proxy.pool().waiting == 1);
    scene.identity.open_gate();
    first.read_answer().ok();
    scene.wait_for_tokens();
    scene.upstream.expire(scene.user());
    first.get("/who").ok();
    drop(first);
    for _ in 0..5 {
        scene.client().get("/who").ok();
    }
    // Once in line, once with the token that was turned down; a token drawn before that may be proved first.
    let misses = number(&scene, "tpp_pool_token_misses_total", "").unwrap_or_default();
    assert!((2..=3).contains(&misses), "{misses}");
    assert_eq!(number(&scene, "tpp_pool_token_hits_total", ""), Some(5));
    assert_eq!(
        number(&scene, "tpp_pool_refreshes_total", ",result=\"success\""),
        Some(2)
    );
    assert_eq!(
        number(&scene, "tpp_pool_refresh_duration_seconds_count", ""),
        Some(2)
    );
    let told = report(&scene, &[]);
    assert_eq!(
        (told.hits, told.misses, told.refreshes.success),
        (5, misses, 2)
    );
    assert!(told.seconds > 0.0 && told.hits_per_second > 0.0 && told.refresh_mean_ms.is_some());
    let quiet = report(&scene, &["--seconds", "0.2"]);
    assert_eq!(
        (quiet.hits, quiet.misses, quiet.refreshes.success),
        (0, 0, 0)
    );
    let page = scene.proxy.ctl(&["report"]).out;
    let wait = page
        .lines()
        .find(|line| line.starts_with("wait for a token "));
    assert!(wait.is_some(), "{page}");
    assert!(
        page.starts_with("pool api, provider oauth2, over "),
        "{page}"
    );
    scene.assert_clean();
}

#[test]
fn the_numbers_go_on_under_the_next_supervisor() {
    let mut scene = Scene::of(Kind::Json);
    scene.client().get("/who").ok();
    let names = [
        "tpp_pool_token_hits_total",
        "tpp_pool_refresh_duration_seconds_count",
    ];
    let before = names.map(|name| number(&scene, name, ""));
    assert_eq!(before, [Some(1), Some(scene.recipe.slots())]);
    scene.proxy.kill_supervisor();
    scene.proxy.start_successor();
    scene.wait_for_tokens();
    assert_eq!(names.map(|name| number(&scene, name, "")), before);
    scene.client().get("/who").ok();
    assert_eq!(number(&scene, names[0], ""), Some(2));
}

#[test]
fn refusals_and_rests_are_counted_and_each_slot_says_whose_it_is() {
    let scene = Scene::of(Kind::Json);
    let token = scene.proxy.tokens().remove(0);
    assert_eq!(
        (token.pool.as_str(), token.provider.as_str()),
        ("reports", "json")
    );
    let ends = token.expires_in_seconds.expect("the server has said it");
    assert!((7000..=7200).contains(&ends), "{ends}");
    assert_eq!(token.last_used_seconds, None);
    scene.client().get("/who").ok();
    let used = scene
        .proxy
        .tokens()
        .into_iter()
        .filter(|token| token.last_used_seconds.is_some());
    assert_eq!(used.count(), 1);
    scene.identity.change_secret("ann", "another one");
    assert_eq!(scene.proxy.ctl(&["refresh", "--all"]).code, Some(0));
    wait_until("it is refused", || {
        number(&scene, "tpp_pool_rests_total", "") >= Some(1)
    });
    assert!(number(&scene, "tpp_pool_refreshes_total", ",result=\"refused\"") >= Some(1));
    let page = scene.proxy.ctl(&["tokens"]).out;
    assert!(page.starts_with("pool reports, provider json\n"), "{page}");
    assert!(
        page.contains("last error: login refused: wrong user name"),
        "{page}"
    );
    let status: Status = scene.proxy.status();
    assert_eq!(status.gateway.pools[0].provider, "json");
    let page = scene.proxy.ctl(&["status"]).out;
    assert!(page.contains("reports, json: 0 of 4 in use"), "{page}");
}

#[test]
fn keys_that_rest_are_counted() {
    let scene = Scene::of(Kind::Static);
    scene.upstream.oracle().allow_a_lease_per_request();
    for account in &scene.recipe.accounts {
        scene.upstream.set_used_up(&account.name, Some(60));
    }
    assert_eq!(
        scene.client().get("/who").status,
        503,
        "one after the other"
    );
    wait_until("both rest", || {
        number(&scene, "tpp_pool_rests_total", "") == Some(2)
    });
    let mut tokens = scene.proxy.tokens().into_iter();
    assert!(tokens.all(|token| token.expires_in_seconds.is_none()));
}

#[test]
fn a_line_of_the_log_tells_the_same_every_so_often() {
    let scene = Scene::set_up(Kind::Json, |_, settings| {
        settings.set("telemetry.report_interval_seconds", 1)
    });
    scene.client().get("/who").ok();
    wait_until("it is told", || {
        scene.proxy.log().contains("reports: hits 1 (")
    });
}
