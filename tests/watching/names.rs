//! Names of metrics: those that are used are those that are served.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::Value;

use super::{
    common::{proxy::Proxy, settings::Settings, within_patience},
    scene::{BOARD, RULES, Scene},
};

/// The metrics that an expression names.
fn named(text: &str) -> BTreeSet<String> {
    let name = Regex::new(r"\btpp_[a-z0-9_]+").expect("a pattern");
    let found = name.find_iter(text);
    found.map(|found| found.as_str().to_owned()).collect()
}

/// Those that a tpp serves, those of a histogram's parts among them.
fn served(proxy: &Proxy) -> BTreeSet<String> {
    let text = proxy.health("/metrics").ok().text();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let name = |line: &str| line.split(['{', ' ']).next().expect("a name").to_owned();
    samples.map(name).collect()
}

/// All expressions of the board, with the panel that each stands in.
pub(super) fn expressions(board: &Value) -> Vec<(String, String)> {
    let panels = board["panels"].as_array().expect("panels").iter();
    let annotations = board["annotations"]["list"].as_array().expect("a list");
    let of_panels = panels.flat_map(|panel| {
        let title = panel["title"].as_str().expect("a title");
        let targets = panel["targets"].as_array().into_iter().flatten();
        targets.map(move |target| (title, &target["expr"]))
    });
    let others = annotations.iter().map(|one| ("annotations", &one["expr"]));
    of_panels
        .chain(others)
        .map(|(title, text)| (title.to_owned(), text.as_str().expect("text").to_owned()))
        .collect()
}

#[test]
fn every_metric_that_the_rules_and_the_board_name_is_served() {
    let board: Value = serde_json::from_str(BOARD).expect("JSON");
    let variables = board["templating"]["list"].to_string();
    let mut used = named(&variables);
    assert!(used.contains("tpp_build_info"), "{variables}");
    used.extend(named(RULES));
    let expressions = expressions(&board);
    assert!(expressions.len() > 20, "{expressions:?}");
    for (panel, expression) in &expressions {
        let names = named(expression);
        assert!(!names.is_empty(), "{panel}: {expression}");
        used.extend(names);
    }
    let scene = Scene::start();
    // One of many hosts, though it meets nobody.
    let host = Settings::in_front_of(&scene.upstream)
        .accounts(&scene.upstream, 1)
        .set("hosts.endpoints", "[\"http://127.0.0.1:1\"]")
        .set("hosts.cluster", "\"test\"")
        .set("hosts.name", "\"one\"");
    let host = Proxy::start_without_tokens(&host);
    let mut missing = used.clone();
    // Some are there only once a scrape has seen a request's end.
    let _ = within_patience(|| {
        for proxy in [&scene.plain, &scene.gateway, &host] {
            let served = served(proxy);
            missing.retain(|name| !served.contains(name));
        }
        missing.is_empty().then_some(())
    });
    assert!(missing.is_empty(), "not served: {missing:?}");
}

#[test]
fn the_boards_panels_lie_side_by_side_each_with_a_name_and_a_place() {
    let board: Value = serde_json::from_str(BOARD).expect("JSON");
    let panels = board["panels"].as_array().expect("panels");
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len());
    let place = |panel: &Value| {
        ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().expect("a number"))
    };
    let places: Vec<_> = panels.iter().map(place).collect();
    for (at, [x, y, w, h]) in places.iter().enumerate() {
        assert!(*w > 0 && *h > 0 && x + w <= 24, "{}", panels[at]);
        for [x2, y2, w2, h2] in &places[..at] {
            let is_beside = x + w <= *x2 || x2 + w2 <= *x || y + h <= *y2 || y2 + h2 <= *y;
            assert!(is_beside, "{} lies on another one", panels[at]);
        }
    }
}
