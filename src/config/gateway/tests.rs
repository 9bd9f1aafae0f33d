//! Entries by themselves and with each other.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::{collections::BTreeMap, path::Path, time::Duration};

use serde_json::json;

use super::*;
use crate::config::{
    BackendState, Balance, Config, Format, HashKey, LeaseMode, Place, Problems, Selector,
    TokenScope, parse,
};

mod round_trip;

const PLAIN: &str =
    "[upstream]\nhost = 'db'\n[[credentials]]\nusername = 'u'\npassword = 'hunter2'\n";

fn read(text: &str) -> Result<Config, Problems> {
    let none = BTreeMap::new();
    let (name, base) = (Path::new("tpp.toml"), Path::new("/"));
    parse(text, name, Format::Toml, base, &none)
}

/// Each problem as line, key and what was found.
fn wrong(text: &str) -> Vec<String> {
    let problems = read(text).unwrap_err();
    let line = |place: &Place| match place {
        Place::File { line, .. } => line.unwrap_or(0),
        _ => 0,
    };
    let said = problems.iter();
    said.map(|one| format!("{} {}: {}", line(&one.place), one.key, one.found))
        .collect()
}

fn backend(id: &str, rest: &str) -> String {
    format!("[[backends]]\nid = '{id}'\naddress = '10.0.0.1:80'\n{rest}\n")
}

fn host(domain: &str, rest: &str) -> String {
    format!("[[virtual_hosts]]\ndomain = '{domain}'\nenabled_backends_tag = 'a'\n{rest}\n")
}

#[test]
fn a_plain_file_is_one_pool_one_backend_and_one_host() {
    let config = read(PLAIN).unwrap();
    let gateway = &config.gateway;
    assert_eq!(gateway.pools.len(), 1);
    assert_eq!(gateway.pools[0].name, "default");
    assert_eq!(gateway.pools[0].credentials, config.credentials);
    assert_eq!(gateway.pools[0].token, config.token);
    assert_eq!(gateway.backends.len(), 1);
    let backend = &gateway.backends[0];
    assert_eq!(
        (backend.id.as_str(), &backend.upstream),
        ("upstream", &config.upstream)
    );
    assert_eq!(
        (&backend.tags[..], backend.pool.as_deref()),
        (&["default".to_owned()][..], Some("default"))
    );
    assert!(!backend.health_check.enabled);
    assert_eq!(
        gateway.virtual_hosts,
        [VirtualHost::of("default", "default")]
    );
    assert_eq!(config.api, None);
    assert_eq!(gateway.check(), []);
}

#[test]
fn a_plain_file_is_checked_only_if_it_asks_for_it() {
    let config = read(&format!("{PLAIN}[health_check]\nenabled = true\n")).unwrap();
    assert!(config.gateway.backends[0].health_check.enabled);
    let config = read(&format!("{PLAIN}[health_check]\npath = '/x'\n")).unwrap();
    assert!(!config.gateway.backends[0].health_check.enabled);
}

#[test]
fn with_backends_neither_a_host_nor_an_account_need_be_given() {
    let config = read(&[backend("x", "tags = ['a']"), host("A.example.", "")].concat()).unwrap();
    let gateway = &config.gateway;
    assert_eq!((gateway.pools.len(), config.credentials.len()), (0, 0));
    assert_eq!(gateway.backends[0].pool, None);
    assert!(gateway.backends[0].health_check.enabled);
    assert_eq!(gateway.virtual_hosts[0].domain, "a.example");
    assert_eq!(config.upstream.authority(), "10.0.0.1:80");
    assert_eq!(wrong("[[virtual_hosts]]\ndomain = 'x'\n").len(), 3);
}

#[test]
fn backends_take_the_top_for_what_they_leave_out() {
    let text = "[upstream]\ntls = true\nread_timeout_seconds = 0\n[health_check]\npath = '/up'\ninterval_seconds = 3\n";
    let own = "verify = false\nconnect_timeout_seconds = 9\nmax_concurrent = 5\nstate = 'drain'\n[backends.health_check]\ninterval_seconds = 7";
    let config = read(&format!("{text}{}", backend("x", own))).unwrap();
    let backend = &config.gateway.backends[0];
    assert!(backend.upstream.tls && !backend.upstream.verify);
    assert_eq!(backend.upstream.read_timeout, None);
    assert_eq!(backend.upstream.connect_timeout, Duration::from_secs(9));
    assert_eq!(backend.upstream.max_idle_connections, 100);
    assert_eq!(
        (backend.max_concurrent, backend.state),
        (Some(5), BackendState::Drain)
    );
    assert_eq!(backend.health_check.path, "/up");
    assert_eq!(backend.health_check.interval, Duration::from_secs(7));
}

#[test]
fn pools_take_the_top_for_what_they_leave_out() {
    let text = "[token]\nttl_seconds = 100\n[lease]\nmode = 'request'\n[[pools]]\nname = 'p'\ntoken_scope = 'pool'\n[pools.token]\nrenew_on = [419]\n[pools.lease]\nmax_waiting = 3\n[[pools.credentials]]\nusername = 'u'\npassword = 'p'\nsessions = 4\n";
    let config = read(&[text.to_owned(), backend("x", "")].concat()).unwrap();
    let pool = &config.gateway.pools[0];
    assert_eq!(
        (pool.token.scope, pool.token.ttl),
        (TokenScope::Pool, Duration::from_secs(100))
    );
    assert_eq!(pool.token.renew_on, [419]);
    assert_eq!(
        (pool.lease.mode, pool.lease.max_waiting),
        (LeaseMode::Request, Some(3))
    );
    assert_eq!(pool.credentials[0].sessions, 4);
    assert_eq!(config.gateway.backends[0].pool.as_deref(), Some("p"));
}

#[test]
fn what_a_host_names_and_is_not_there_is_named_with_its_line() {
    let said = wrong(
        &[
            backend("x", "tags = ['b']"),
            host("h", "rate_limit = 'r'"),
            host("H.", "access = 'l'"),
        ]
        .concat(),
    );
    assert_eq!(
        said,
        [
            "7 virtual_hosts[0].enabled_backends_tag: \"a\", which no backend has",
            "8 virtual_hosts[0].rate_limit: \"r\", which is no rate limit",
            "10 virtual_hosts[1].domain: \"h\" again (first in virtual_hosts[0])",
            "11 virtual_hosts[1].enabled_backends_tag: \"a\", which no backend has",
            "12 virtual_hosts[1].access: \"l\", which is no access list",
        ]
    );
    let split = [
        backend("x", "tags = ['a', 'b', 'c']"),
        host("h", "split = { b = 60, c = 41 }"),
        host("i", "http_to_https = true"),
    ];
    assert_eq!(
        wrong(&split.concat()),
        [
            "8 virtual_hosts[0].split: 101 percent in all",
            "12 virtual_hosts[1].http_to_https: true, without a certificate for \"i\"",
        ]
    );
}

/// A pool of five lines; a backend and a host take four.
fn pool(name: &str) -> String {
    format!("[[pools]]\nname = '{name}'\n[[pools.credentials]]\nusername = 'u'\npassword = 'p'\n")
}

#[test]
fn which_backends_a_pool_may_have_is_said_with_the_line() {
    let said = wrong(&[backend("x", "pool = 'p'"), backend("x", "pool = 'none'")].concat());
    assert_eq!(
        said,
        [
            "4 backends[0].pool: \"p\", which is no pool",
            "6 backends[1].id: \"x\" again (first in backends[0])",
        ]
    );
    let two = [
        pool("p"),
        pool("q"),
        backend("x", "tags = ['t']\npool = 'p'"),
        backend("y", "tags = ['t']\npool = 'q'"),
        backend("z", ""),
    ];
    assert_eq!(
        wrong(&two.concat()),
        [
            "20 backends[1].pool: \"q\", while backend \"x\" of the same tag \"t\" has \"p\"",
            "21 backends[2].pool: nothing, and several pools",
        ]
    );
    let uneven = [
        pool("p"),
        backend("x", "tags = ['t']"),
        backend("y", "tags = ['t', 'u']"),
    ];
    assert_eq!(
        wrong(&uneven.concat()),
        [
            "13 backends[1].tags: [\"t\", \"u\"], while backend \"x\" of the same pool \"p\" has [\"t\"]"
        ]
    );
    let wide = [
        pool("p").replace("name = 'p'\n", "name = 'p'\ntoken_scope = 'pool'\n"),
        uneven[1].clone(),
        uneven[2].clone(),
    ];
    assert!(read(&wide.concat()).is_ok());
}

#[test]
fn the_api_is_open_to_this_machine_alone_unless_it_asks_for_tokens() {
    let with = |api: &str| format!("{PLAIN}[api]\n{api}\n");
    let directory = env!("CARGO_MANIFEST_DIR");
    let with_tokens = format!(
        "listen = '0.0.0.0:81'\ntokens_file = '{directory}/tests/fixtures/config/files/api-tokens'"
    );
    for good in [
        "listen = '127.0.0.1:81'",
        "listen = '[::1]:81'",
        "listen = 'unix:/run/tpp/api.sock'",
        &with_tokens,
    ] {
        assert!(read(&with(good)).unwrap().api.is_some(), "{good}");
    }
    assert_eq!(
        wrong(&with("listen = '0.0.0.0:81'")),
        ["7 api.listen: \"0.0.0.0:81\" without api.tokens_file"]
    );
    assert_eq!(
        wrong(&with("listen = '127.0.0.1:8080'")),
        ["7 api.listen: \"127.0.0.1:8080\", which overlaps listen \"0.0.0.0:8080\""]
    );
    assert_eq!(
        wrong(&with("listen = '127.0.0.1:9090'"))[0],
        "7 api.listen: \"127.0.0.1:9090\", which overlaps health_listen \"0.0.0.0:9090\""
    );
    assert_eq!(
        wrong(&with("listen = 'unix:relative'"))[0],
        "7 api.listen: \"unix:relative\""
    );
    assert_eq!(read(&with("persist = false")).unwrap().api, None);
}

/// A pool of this provider, in front of a backend.
fn of(provider: &str, login: &str, account: &str) -> String {
    let pool = format!(
        "[[pools]]\nname = 'p'\nprovider = '{provider}'\n[pools.login]\n{login}\n[[pools.credentials]]\n{account}\n"
    );
    pool + &backend("x", "")
}

const LOGIN_URL: &str = "url = 'http://login'";

#[test]
fn accounts_are_read_as_their_provider_has_them() {
    let url = LOGIN_URL;
    let read_one = |text: String| read(&text).unwrap().gateway.pools[0].credentials[0].clone();
    let client = read_one(of(
        "oauth2",
        url,
        "client_id = 'c'\nclient_secret = 's'\nscope = 'r w'",
    ));
    assert_eq!(
        (
            client.username.as_str(),
            client.password.expose(),
            client.field("scope")
        ),
        ("c", "s", Some("r w"))
    );
    let app = read_one(of(
        "feishu",
        "",
        "app_id = 'a'\napp_secret = 's'\nkind = 'app'\nsessions = 3",
    ));
    assert_eq!(
        (app.username.as_str(), app.field("kind"), app.sessions),
        ("a", Some("app"), 3)
    );
    let user = read_one(of(
        "json",
        &format!("{url}\ntoken = '/t'"),
        "username = 'u'\npassword = 'p'\nrealm = 'x'\nnumber = 5",
    ));
    assert_eq!(
        (user.field("realm"), user.field("number")),
        (Some("x"), Some("5"))
    );
    let key = read_one(of("static", "", "key = 'hunter2'"));
    assert_eq!(key.password.expose(), "hunter2");
    assert!(
        key.username.starts_with("key-") && !key.username.contains("hunter"),
        "{}",
        key.username
    );
}

#[test]
fn what_an_account_or_a_login_lacks_is_named() {
    assert_eq!(
        wrong(&of("json", "", "username = 'u'\npassword = 'p'")),
        [
            "4 pools[0].login.url: nothing",
            "4 pools[0].login.token: nothing"
        ]
    );
    assert_eq!(
        wrong(&of("oauth2", LOGIN_URL, "username = 'u'\npassword = 'p'")).len(),
        4
    );
    assert_eq!(
        wrong(&of("static", "", "sessions = 2")),
        ["6 pools[0].credentials[0]: neither key nor key_file"]
    );
    let none = "[[pools]]\nname = 'p'\n".to_owned() + &backend("x", "");
    assert_eq!(wrong(&none), ["1 pools[0].credentials: nothing"]);
}

#[test]
fn words_with_names_are_read_and_others_refused() {
    let with = |key: &str, value: &str| {
        [
            backend("x", "tags = ['a']"),
            host("h", &format!("{key} = '{value}'")),
        ]
        .concat()
    };
    let host_of =
        |key: &str, value: &str| read(&with(key, value)).unwrap().gateway.virtual_hosts[0].clone();
    assert_eq!(
        host_of("split_by", "header:X-User").split_by,
        Selector::Header("x-user".to_owned())
    );
    assert_eq!(
        host_of("split_by", "cookie:Id").split_by,
        Selector::Cookie("Id".to_owned())
    );
    assert_eq!(
        host_of("balance", "hash:cookie:Id").balance,
        Balance::Hash(HashKey::Cookie("Id".to_owned()))
    );
    for (key, bad) in [
        ("split_by", "header:"),
        ("split_by", "cookie:a b"),
        ("balance", "hash:"),
        ("balance", "header:x"),
        ("affinity", "header"),
        ("domain2", "x"),
    ] {
        assert_eq!(wrong(&with(key, bad)).len(), 1, "{key} = {bad}");
    }
}

#[test]
fn tokens_of_one_backend_each_do_not_go_with_a_proxy() {
    let pool = |scope: &str| {
        format!(
            "[[pools]]\nname = 'p'\ntoken_scope = '{scope}'\n[[pools.credentials]]\nusername = 'u'\npassword = 'x'\n"
        )
    };
    let proxied = "tags = ['a']\nproxy = 'http://proxy.example:3128'";
    let one = pool("backend") + &backend("one", proxied) + &host("default", "");
    assert!(read(&one).is_ok(), "there is no other");
    let other = backend("two", "tags = ['a']");
    let said = wrong(&(one + &other));
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains("backends[0].proxy: \"http://proxy.example:3128\""),
        "{said:?}"
    );
    let shared = pool("pool") + &backend("one", proxied) + &other + &host("default", "");
    assert!(read(&shared).is_ok());
}
