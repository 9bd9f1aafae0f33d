//! The screen in a terminal of memory, and what keys come to.

use ratatui::{
    Terminal,
    backend::TestBackend,
    crossterm::event::{KeyCode, KeyEvent, KeyModifiers},
};
use serde_json::json;
use tpp::{config::BackendState, control::Command};

use super::{
    draw::draw,
    look::{Look, View},
    state::{Outcome, Screen},
};

fn holder(slot: u32, client: &str, held_ms: u64) -> serde_json::Value {
    json!({
        "slot": slot, "user": format!("user{slot}"), "state": "leased", "age_seconds": 60, "refresh_in_seconds": 60,
        "holder": 1, "uses": 7, "errors": 0, "last_error": null, "fingerprint": null, "pool": "reports",
        "held_ms": held_ms, "client": client, "idle_ms": null,
    })
}

fn backend(id: &str, tag: &str, state: &str, in_flight: u64) -> serde_json::Value {
    json!({
        "id": id, "address": "192.0.2.9:80", "addresses": [], "tags": [tag], "pool": null, "weight": 1,
        "state": state, "healthy": true, "health": null, "in_flight": in_flight, "source": "file",
    })
}

/// A pool with two holders and two who wait, a host, and backends of three tags.
fn look() -> Look {
    let status = json!({
        "status": "degraded", "reasons": ["1 of 2 workers is ready"],
        "pool": {"total": 2, "in_use": 2, "available": 0, "waiting": 2}, "configured_tokens": 2,
        "version": "0.1.0", "pid": 1, "uptime_seconds": 3700, "listen": [], "health_listen": "", "upstream": "",
        "upstream_addresses": [], "config_file": "", "config_generation": 1, "config_loaded_at": 1,
        "last_reload": null, "longest_wait_ms": 1500, "requests": 1000, "request_errors": 1, "worker_restarts": 0,
        "workers": [{
            "seat": 0, "epoch": 1, "pid": 77, "state": "ready", "uptime_seconds": 1, "heartbeat_age_ms": 1, "connections": 4,
            "leases": 2, "waiting": 2, "requests": 10, "errors": 0, "restarts": 0, "last_exit": null,
        }],
        "backends": [
            backend("one", "a", "ready", 1), backend("two", "b", "drain", 9), backend("three", "c", "ready", 0),
        ],
        "domains": [{
            "domain": "x.example", "enabled_backends_tag": "a", "backends": ["one"], "healthy_backends": 1, "source": "file",
        }],
    });
    let pools = json!([
        {"name": "reports", "paused": false, "total": 2, "in_use": 2, "available": 0, "waiting": 2, "configured_tokens": 2,
         "idle_leases": 0, "longest_wait_ms": 1500, "all_refused": false},
        {"name": "asleep", "paused": true, "total": 0, "in_use": 0, "available": 0, "waiting": 0, "configured_tokens": 1,
         "idle_leases": 0, "longest_wait_ms": 0, "all_refused": false},
    ]);
    let holders = json!([holder(0, "10.0.0.7", 500), holder(1, "10.0.0.9", 90_000)]);
    Look {
        status: serde_json::from_value(status).expect("a status as tpp tells it"),
        pools: serde_json::from_value(pools).expect("pools as tpp tells them"),
        holders: serde_json::from_value(holders).expect("slots as tpp tells them"),
    }
}

fn screen(view: View) -> Screen {
    let mut screen = Screen::default();
    screen.see(look(), 0.0);
    screen.view = view;
    screen
}

fn press(screen: &mut Screen, key: KeyCode) -> Outcome {
    screen.press(KeyEvent::new(key, KeyModifiers::NONE))
}

/// The screen's lines, in so much room.
fn drawn(screen: &Screen, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("memory");
    terminal.draw(|frame| draw(frame, screen)).expect("memory");
    let buffer = terminal.backend().buffer();
    let symbols = buffer.content().chunks(usize::from(width));
    symbols
        .map(|line| line.iter().map(|cell| cell.symbol()).collect())
        .collect()
}

fn has(lines: &[String], text: &str) -> bool {
    lines.iter().any(|line| line.contains(text))
}

#[test]
fn the_screen_tells_of_tokens_line_and_holders() {
    let lines = drawn(&screen(View::Holders), 100, 16);
    for text in [
        "tpp 0.1.0: degraded, up 1h01m, 1,000 requests served, 1 error of tpp's own",
        "tokens: 2 of 2 in use; line: 2 waiting, the longest for 1.5s",
        "- 1 of 2 workers is ready",
        " 2 Holders  3 Hosts ",
        "by held",
        "q quit",
        "k kill",
    ] {
        assert!(has(&lines, text), "{text}: {lines:#?}");
    }
    let at = |text: &str| lines.iter().position(|line| line.contains(text));
    let (longer, shorter) = (at("10.0.0.9"), at("10.0.0.7"));
    assert!(longer.is_some() && longer < shorter, "{lines:#?}");
}

#[test]
fn each_view_is_drawn_in_whatever_room_there_is() {
    for view in View::ALL {
        for (width, height) in [(1, 1), (7, 3), (20, 5), (80, 24), (300, 90)] {
            let lines = drawn(&screen(view), width, height);
            assert_eq!(lines.len(), usize::from(height));
        }
        let lines = drawn(&screen(view), 120, 20);
        assert!(has(&lines, view.title()), "{lines:#?}");
    }
    assert!(has(&drawn(&Screen::default(), 80, 10), "asking tpp"));
}

#[test]
fn requests_a_second_are_counted_between_two_looks() {
    let mut screen = screen(View::Pools);
    let mut next = look();
    next.status.requests += 30;
    screen.see(next, 2.0);
    assert!(has(&drawn(&screen, 100, 10), "(15.0/s)"));
}

#[test]
fn an_order_is_asked_about_and_given_by_y_alone() {
    let end = Command::EndLease {
        pool: "reports".into(),
        slot: 1,
    };
    let mut screen = screen(View::Holders);
    assert_eq!(press(&mut screen, KeyCode::Char('k')), Outcome::Redraw);
    let asked = "Cut off the connection that holds slot 1 of pool reports? y/n";
    assert!(has(&drawn(&screen, 100, 16), asked));
    for no in [KeyCode::Char('n'), KeyCode::Enter, KeyCode::Esc] {
        assert_eq!(press(&mut screen, no), Outcome::Redraw);
        assert!(screen.question.is_none());
        press(&mut screen, KeyCode::Char('k'));
    }
    assert_eq!(press(&mut screen, KeyCode::Char('y')), Outcome::Order(end));
    assert!(screen.question.is_none());
}

#[test]
fn what_is_selected_stays_so_however_it_is_sorted() {
    let mut screen = screen(View::Holders);
    press(&mut screen, KeyCode::Down);
    let selected = |screen: &Screen| screen.shown().and_then(|(_, at)| at);
    assert_eq!(selected(&screen), Some(1), "slot 0, which is held shorter");
    press(&mut screen, KeyCode::Char('o'));
    assert_eq!(selected(&screen), Some(0));
    press(&mut screen, KeyCode::Char('s'));
    assert_eq!(selected(&screen), Some(1), "by slot, reversed");
    press(&mut screen, KeyCode::Char('k'));
    let question = screen
        .question
        .as_ref()
        .map(|question| question.text.clone());
    assert!(question.is_some_and(|text| text.contains("slot 0 ")));
}

#[test]
fn each_thing_has_its_own_orders() {
    let order = |view, keys: &[KeyCode]| {
        let mut screen = screen(view);
        for key in keys {
            press(&mut screen, *key);
        }
        press(&mut screen, KeyCode::Char('y'))
    };
    let letter = KeyCode::Char;
    let pool = |name: &str| name.to_owned();
    let switched = |tag: &str| {
        Outcome::Order(Command::Switch {
            domain: "x.example".into(),
            tag: tag.into(),
            percent: None,
            require_healthy: false,
        })
    };
    let state = |id: &str, state| {
        let id = id.into();
        Outcome::Order(Command::SetState { id, state })
    };
    // By name, so that the paused one comes first.
    let resume = Command::Resume {
        pool: pool("asleep"),
    };
    assert_eq!(order(View::Pools, &[letter('r')]), Outcome::Order(resume));
    let pause = Command::Pause {
        pool: pool("reports"),
    };
    assert_eq!(
        order(View::Pools, &[KeyCode::Down, letter('p')]),
        Outcome::Order(pause)
    );
    let all = Command::Refresh { user: None };
    assert_eq!(order(View::Pools, &[letter('f')]), Outcome::Order(all));
    assert_eq!(order(View::Hosts, &[letter('w')]), switched("b"));
    let other = [letter('w'), KeyCode::Right];
    assert_eq!(order(View::Hosts, &other), switched("c"));
    let round = [letter('w'), KeyCode::Left];
    assert_eq!(order(View::Hosts, &round), switched("c"));
    let first = order(View::Backends, &[letter('d')]);
    assert_eq!(first, state("one", BackendState::Drain));
    let last = order(View::Backends, &[KeyCode::End, letter('d')]);
    assert_eq!(last, state("two", BackendState::Ready));
    // What is not for it asks nothing.
    assert_eq!(order(View::Workers, &[letter('k')]), Outcome::Redraw);
    assert_eq!(order(View::Pools, &[letter('p')]), Outcome::Redraw);
}

#[test]
fn views_are_turned_and_it_is_quit() {
    let mut screen = screen(View::Pools);
    press(&mut screen, KeyCode::Left);
    assert_eq!(screen.view, View::Workers);
    press(&mut screen, KeyCode::Tab);
    assert_eq!(screen.view, View::Pools);
    press(&mut screen, KeyCode::Char('4'));
    assert_eq!(screen.view, View::Backends);
    assert_eq!(press(&mut screen, KeyCode::Char('q')), Outcome::Quit);
    press(&mut screen, KeyCode::Char('d'));
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(screen.press(interrupt), Outcome::Quit, "asked or not");
}

#[test]
fn nothing_foreign_drives_the_terminal() {
    let mut look = look();
    look.holders[0].user = "a\x1b[2J".into();
    look.status.reasons = vec!["\x1b]0;title\x07".into()];
    let mut screen = screen(View::Holders);
    screen.see(look, 0.0);
    screen.said = "\x1b[2J".into();
    let lines = drawn(&screen, 120, 20);
    assert!(
        lines.iter().all(|line| !line.contains(char::is_control)),
        "{lines:#?}"
    );
    assert!(has(&lines, "a\\u{1b}[2J"), "{lines:#?}");
}
