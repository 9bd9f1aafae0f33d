//! Who may do what.

use serde_json::json;

use crate::{
    asking::{Asking, settings},
    common::{proxy::Proxy, upstream::Upstream},
};

/// A tpp with a token for each role; what `tppctl api-token` prints goes into its file.
fn tpp(upstream: &Upstream) -> (Proxy, [String; 3]) {
    // Any tpp will do to run tppctl on.
    let maker = Proxy::start(&settings(upstream).accounts(upstream, 1));
    let made = ["read", "operate", "admin"].map(|role| {
        let outcome = maker.ctl(&["api-token", &format!("one-who-may-{role}"), role]);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let part = |name: &str| {
            let line = outcome.out.lines().find_map(|line| line.strip_prefix(name));
            line.expect("its line").trim().to_owned()
        };
        (part("token "), part("line "))
    });
    let lines: Vec<_> = made.iter().map(|(_, line)| line.as_str()).collect();
    let settings = settings(upstream)
        .set("api.tokens_file", "\"api-tokens\"")
        .file("api-tokens", &format!("# who may\n{}\n", lines.join("\n")));
    let proxy = Proxy::start(&settings.account(upstream, "user9", 1));
    (proxy, made.map(|(token, _)| token))
}

#[test]
fn each_role_may_what_it_may_and_no_more() {
    let upstream = Upstream::start();
    let (proxy, [read, operate, admin]) = tpp(&upstream);
    let asking = Asking::of(&proxy);
    let may = |token: &str, method: &str, path: &str| {
        let answer = asking.with_token(token).ask(method, path, None);
        assert!(
            matches!(answer.status, 200 | 403),
            "{path}: {}",
            answer.text()
        );
        answer.status == 200
    };
    for (method, path, least) in [
        ("GET", "/pools", 0),
        ("GET", "/openapi.json", 0),
        ("POST", "/pools/default/pause", 1),
        ("POST", "/pools/default/resume", 1),
        ("POST", "/reload", 2),
    ] {
        let verdicts = [&read, &operate, &admin].map(|token| may(token, method, path));
        assert_eq!(
            verdicts,
            [least <= 0, least <= 1, least <= 2],
            "{method} {path}"
        );
    }
    for secret in [&read, &operate, &admin] {
        assert!(
            !proxy.log().contains(secret.as_str()),
            "a token is in the log"
        );
    }
    assert!(
        proxy.log().contains("one-who-may-admin"),
        "the audit names who it was"
    );
}

#[test]
fn without_a_token_or_with_a_wrong_one_nothing_is_to_be_had_and_guessing_ends() {
    let upstream = Upstream::start();
    let (proxy, [read, ..]) = tpp(&upstream);
    let asking = Asking::of(&proxy);
    let answer = asking.get("/health");
    assert_eq!(answer.status, 401);
    let challenge = answer.head.field("www-authenticate");
    assert!(
        challenge.is_some_and(|text| text.starts_with("Bearer ")),
        "{challenge:?}"
    );
    asking.with_token(&read).get("/health").ok();
    for number in 0..10 {
        let answer = asking.with_token(&format!("tpp_{number}")).get("/health");
        assert_eq!(answer.status, 401, "guess {number}");
    }
    let answer = asking.with_token("tpp_10").get("/health");
    assert_eq!(answer.status, 429);
    let wait = answer
        .head
        .field("retry-after")
        .and_then(|wait| wait.parse::<u64>().ok());
    assert!(wait.is_some_and(|seconds| seconds >= 1), "{wait:?}");
}

#[test]
fn a_reload_takes_another_file_of_tokens_and_refuses_a_wrong_one() {
    let upstream = Upstream::start();
    let (proxy, [read, _, admin]) = tpp(&upstream);
    let asking = Asking::of(&proxy);
    let file = proxy.directory().join("api-tokens");
    let text = std::fs::read_to_string(&file).unwrap();
    let without_reader: String = text
        .lines()
        .filter(|line| !line.contains(":read:"))
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(&file, format!("{without_reader}x:owner:00\n")).unwrap();
    let answer = asking.with_token(&admin).post("/reload", None);
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("api-tokens:4"), "{}", answer.text());
    asking.with_token(&read).get("/health").ok();
    std::fs::write(&file, without_reader).unwrap();
    asking.with_token(&admin).post("/reload", None).ok();
    assert_eq!(asking.with_token(&read).get("/health").status, 401);
}

#[test]
fn no_token_is_made_for_a_name_that_could_not_be_read_back() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&settings(&upstream).accounts(&upstream, 1));
    let outcome = proxy.ctl(&["api-token", "a:b", "read"]);
    assert_eq!(outcome.code, Some(1));
    assert_eq!(outcome.out, "");
    assert_eq!(json!(outcome.err.lines().count()), 1, "{outcome:?}");
}
