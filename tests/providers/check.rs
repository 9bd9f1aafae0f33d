//! `tpp check --login`: each account is tried once, and what its server said is told.

use crate::{
    common::{
        command::{Outcome, run, tpp_command},
        settings::{PASSWORD_MARK, Settings},
        upstream::{Login, TOKEN_MARK, Upstream},
    },
    recipes::Kind,
    scene::Scene,
};
use std::path::Path;

fn check(config: &Path) -> Outcome {
    let mut command = tpp_command();
    let outcome = run(command
        .arg("check")
        .arg("--login")
        .arg("--config")
        .arg(config));
    for secret in [PASSWORD_MARK, TOKEN_MARK] {
        assert!(
            !outcome.out.contains(secret) && !outcome.err.contains(secret),
            "{outcome:?}"
        );
    }
    outcome
}

#[test]
fn accounts_that_can_log_in_are_said_to_and_are_logged_out_again() {
    for (kind, told) in [
        (
            Kind::Json,
            "pool reports (json), ann: logged in, the token is good for 7200 s; logged out again\n",
        ),
        (
            Kind::OAuth2,
            "pool api (oauth2), reports: logged in, the token is good for 7200 s\n",
        ),
        (
            Kind::Feishu,
            "pool feishu (feishu), cli_a1b2c3: logged in, the token is good for ",
        ),
        (Kind::Static, ": a key, which needs no login\n"),
    ] {
        let scene = Scene::of(kind);
        let logins = scene.identity.asked().len();
        let outcome = check(&scene.proxy.config_file());
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert!(outcome.out.contains(told), "{outcome:?}");
        let more = scene.identity.asked().len() - logins;
        let expected = match kind {
            Kind::Json => 2,
            Kind::Static => 0,
            _ => 1,
        };
        assert_eq!(more, expected, "one login for each account, and its end");
        scene.client().get("/who").ok();
        scene.assert_clean();
    }
}

#[test]
fn what_a_server_says_against_an_account_is_told_and_is_a_failure() {
    let scene = Scene::of(Kind::OAuth2);
    scene.identity.change_secret("reports", "another one");
    let outcome = check(&scene.proxy.config_file());
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let told = "reports: login refused: invalid_client: client authentication failed\n";
    assert!(outcome.out.contains(told), "{outcome:?}");
    assert!(
        outcome
            .err
            .ends_with("tpp: 1 of 1 accounts cannot log in\n"),
        "{outcome:?}"
    );
}

#[test]
fn dolphindbs_own_login_is_tried_at_the_upstream() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream)
        .account(&upstream, "good", 3)
        .account(&upstream, "bad", 1);
    upstream.script_login("bad", Login::Refuse("no"));
    let directory = tempfile::tempdir().expect("a directory");
    let config = settings.write_to(directory.path());
    let outcome = check(&config);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let lines = [
        "pool default (dolphindb), good: logged in\n",
        "pool default (dolphindb), bad: login refused: no\n",
    ];
    assert!(
        lines.iter().all(|line| outcome.out.contains(line)),
        "{outcome:?}"
    );
    assert_eq!(
        (upstream.attempts_of("good"), upstream.attempts_of("bad")),
        (1, 1)
    );
    drop(upstream);
    let outcome = check(&config);
    assert!(
        outcome
            .err
            .ends_with("tpp: 2 of 2 accounts cannot log in\n"),
        "{outcome:?}"
    );
}

#[test]
fn without_the_flag_nobody_is_asked() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).account(&upstream, "ann", 1);
    let directory = tempfile::tempdir().expect("a directory");
    let config = settings.write_to(directory.path());
    let outcome = run(tpp_command().arg("check").arg("--config").arg(&config));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(upstream.attempts_of("ann"), 0);
}
