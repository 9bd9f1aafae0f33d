//! What was written reads back the same.

use serde_json::Value as Json;

use super::*;
use crate::config::{
    section::section_keys,
    text::key::{Key, Kind},
};

/// Numbers that look like chance and are the same each time (splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        let index = self.below(list.len() as u64);
        &list[usize::try_from(index).unwrap()]
    }
}

/// A value for a key, within its bounds; some keys want a grammar of their own.
fn value(key: &Key, chance: &mut Chance) -> Option<Json> {
    let text = |list: &[&str], chance: &mut Chance| Some(Json::from(*chance.of(list)));
    match key.path {
        "virtual_hosts.domain" => return text(&["a.example", "*.b.example", "[::1]"], chance),
        "virtual_hosts.split" => {
            return Some(json!({ "a": chance.below(50), "b": chance.below(51) }));
        }
        "virtual_hosts.split_by" => {
            return text(&["random", "cookie:C", "header:h", "address"], chance);
        }
        "virtual_hosts.balance" => {
            return text(
                &[
                    "least_connections",
                    "hash:header:x",
                    "hash:cookie:Y",
                    "hash:address",
                ],
                chance,
            );
        }
        "backends.address" => return text(&["h:1", "[::1]:65535", "10.0.0.1:80"], chance),
        "health_check.expect" => return text(&["2xx", "200-399,404", "204", "1xx,5xx"], chance),
        "health_check.path" => return text(&["/", "/a?b=c"], chance),
        "rate_limits.key" => return text(&["address", "api_key", "all", "header:x"], chance),
        "access.allow" | "access.deny" => {
            return Some(json!([
                chance.of(&["10.0.0.0/8", "1.2.3.4/32", "fd00::/8"]),
                "::1/128"
            ]));
        }
        "upstream.proxy" => {
            return text(
                &[
                    "none",
                    "environment",
                    "http://p.example:1",
                    "http://[::1]:2",
                ],
                chance,
            );
        }
        "upstream.host" | "upstream.port" | "upstream.ca_file" => return None,
        _ => {}
    }
    match key.kind {
        Kind::Flag => Some((chance.below(2) == 0).into()),
        Kind::Whole { min, max, .. } => Some((min + chance.below(max - min + 1)).into()),
        Kind::OneOf(numbers) => Some((*chance.of(numbers)).into()),
        Kind::Choice(words) => text(words, chance),
        Kind::Text { .. } => text(&["a", "b-1", "c.d"], chance),
        Kind::Texts { .. } => Some(json!([chance.of(&["a", "b"]), "t"])),
        _ => None,
    }
}

/// A table of the section, with about half of the keys that may be left out.
fn table(keys: &[Key], chance: &mut Chance) -> serde_json::Map<String, Json> {
    let mut map = serde_json::Map::new();
    for key in keys {
        let required = matches!(key.default, crate::config::text::key::Default::Required);
        if required || chance.below(2) == 0 {
            map.extend(value(key, chance).map(|value| (key.leaf().to_owned(), value)));
        }
    }
    map
}

fn some_host(chance: &mut Chance) -> Json {
    let mut host = table(VirtualHost::KEYS, chance);
    for leaf in ["queue", "circuit_breaker", "timeouts"] {
        let section = format!("virtual_hosts.{leaf}");
        host.insert(
            leaf.to_owned(),
            table(&section_keys(&section), chance).into(),
        );
    }
    host.into()
}

fn some_backend(chance: &mut Chance) -> Json {
    let mut backend = table(&section_keys("upstream"), chance);
    backend.extend(table(Backend::KEYS, chance));
    let check = table(HealthCheck::KEYS, chance);
    backend.insert("health_check".to_owned(), check.into());
    backend.into()
}

fn plain() -> Config {
    read(PLAIN).unwrap()
}

#[test]
fn any_entry_reads_back_from_its_own_json() {
    let (mut chance, config) = (Chance(1), plain());
    for _ in 0..2000 {
        let host = VirtualHost::of_json(&some_host(&mut chance), &config).unwrap();
        assert_eq!(
            VirtualHost::of_json(&host.to_json(), &config).unwrap(),
            host
        );
        let backend = Backend::of_json(&some_backend(&mut chance), &config).unwrap();
        assert_eq!(
            Backend::of_json(&backend.to_json(), &config).unwrap(),
            backend
        );
    }
}

#[test]
fn any_gateway_reads_back_from_its_own_toml() {
    let (mut chance, config) = (Chance(2), plain());
    for round in 0..300 {
        let named = |mut json: Json, key: &str, index: u64| {
            json[key] = format!("n{index}").into();
            json
        };
        let backends = 1 + chance.below(3);
        let policy = |name: &Option<String>| name.clone().map(|_| "n0".to_owned());
        let gateway = Gateway {
            pools: Vec::new(),
            backends: (0..backends)
                .map(|index| {
                    let json = named(some_backend(&mut chance), "id", index);
                    let backend = Backend::of_json(&json, &config).unwrap();
                    Backend {
                        pool: None,
                        tags: ["a", "b", "c.d", "b-1"].map(str::to_owned).to_vec(),
                        ..backend
                    }
                })
                .collect(),
            virtual_hosts: (0..chance.below(3))
                .map(|index| {
                    let json = named(some_host(&mut chance), "domain", index);
                    let host = VirtualHost::of_json(&json, &config).unwrap();
                    VirtualHost {
                        http_to_https: false,
                        certificate: "auto".to_owned(),
                        rate_limit: policy(&host.rate_limit),
                        access: policy(&host.access),
                        ..host
                    }
                })
                .collect(),
            rate_limits: vec![],
            access: vec![],
            ..config.gateway.clone()
        };
        let text = gateway.to_toml().unwrap();
        let text = format!(
            "{text}[[rate_limits]]\nname = 'n0'\nrequests = {}\n[[access]]\nname = 'n0'\nallow = ['10.0.0.0/8']\n",
            round + 1
        );
        let once = read(&text).unwrap().gateway;
        let bare = Gateway {
            rate_limits: vec![],
            access: vec![],
            ..once.clone()
        };
        assert_eq!(bare, gateway, "{text}");
        // With the lists that were written by hand.
        let again = read(&once.to_toml().unwrap()).unwrap().gateway;
        assert_eq!(again, once);
    }
}

#[test]
fn a_pool_whose_secrets_lie_in_files_reads_back_and_none_is_shown() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (one, keys) = (
        file("one", "hunter2\n"),
        file("keys", "hunter3\n# no key\nhunter4\n"),
    );
    let text = [
        format!("[[pools]]\nname = 'd'\n[pools.token]\nttl_seconds = 7\n[[pools.credentials]]\nusername = 'u'\npassword_file = '{one}'\nsessions = 3\n"),
        format!("[[pools]]\nname = 'o'\nprovider = 'oauth2'\ntoken_scope = 'pool'\n[pools.login]\nurl = 'http://x'\nauth = 'body'\n[pools.inject]\nheader = 'x-api-key'\nprefix = ''\n[[pools.credentials]]\nclient_id = 'c'\nclient_secret_file = '{one}'\nscope = 'r'\n"),
        format!("[[pools]]\nname = 's'\nprovider = 'static'\n[[pools.credentials]]\nkeys_file = '{keys}'\nsessions = 2\n"),
        "[[pools]]\nname = 'j'\nprovider = 'json'\n[pools.login]\nurl = 'http://x'\ntoken = '/t'\nheaders = { Accept = 'x' }\nok = { pointer = '/code', equals = 0 }\n".to_owned()
            + &format!("[[pools.credentials]]\nusername = 'u'\npassword_file = '{one}'\n"),
        backend("x", "pool = 'd'"),
    ];
    let gateway = read(&text.concat()).unwrap().gateway;
    assert_eq!(gateway.pools[2].credentials.len(), 2);
    let written = gateway.to_toml().unwrap();
    assert!(!written.contains("hunter"), "{written}");
    assert_eq!(read(&written).unwrap().gateway, gateway, "{written}");
}

#[test]
fn a_plain_file_is_written_as_the_tables_it_stands_for() {
    let text = plain().gateway.to_toml().unwrap();
    assert!(!text.contains("hunter2"), "{text}");
    let problems = read(&text).unwrap_err();
    assert_eq!(problems.iter().count(), 1, "{problems}");
    let whole = text.replace(
        "username = \"u\"",
        "username = \"u\"\npassword = \"hunter2\"",
    );
    assert_eq!(read(&whole).unwrap().gateway, plain().gateway);
}

#[test]
fn what_is_laid_over_an_entry_changes_that_alone() {
    let config = plain();
    let host = VirtualHost::of_json(
        &json!({ "domain": "a.example", "enabled_backends_tag": "a", "split": { "b": 10 }, "queue": { "max_waiting": 5, "wait_timeout_seconds": 7 }, "rate_limit": "r" }),
        &config,
    )
    .unwrap();
    let over = |body: Json, how| host.laid_over(&body, how, &config).unwrap();
    assert_eq!(over(json!({}), Overlay::Subset), host);
    let put = over(
        json!({ "split": { "c": 20 }, "queue": { "max_waiting": 6 } }),
        Overlay::Subset,
    );
    assert_eq!(put.split, BTreeMap::from([("c".to_owned(), 20)]));
    assert_eq!(
        (put.queue.max_waiting, put.queue.wait_timeout),
        (6, Some(Duration::from_secs(7)))
    );
    let patch = over(
        json!({ "split": { "c": 20, "b": null }, "rate_limit": null, "queue": null }),
        Overlay::MergePatch,
    );
    assert_eq!(patch.split, BTreeMap::from([("c".to_owned(), 20)]));
    assert_eq!((patch.rate_limit, patch.queue.max_waiting), (None, 0));
    let patch = over(json!({ "split": { "c": 20 } }), Overlay::MergePatch);
    assert_eq!(patch.split.len(), 2);
}

#[test]
fn a_body_that_is_wrong_names_each_field() {
    let config = plain();
    let fields = |body: Json| -> Vec<String> {
        let problems = VirtualHost::of_json(&body, &config).unwrap_err();
        assert!(problems.iter().all(|one| one.place == Place::Body));
        problems.into_iter().map(|one| one.key).collect()
    };
    assert_eq!(fields(json!([])), [""]);
    assert_eq!(fields(json!({})), ["domain", "enabled_backends_tag"]);
    assert_eq!(
        fields(
            json!({ "domain": "a b", "enabled_backends_tag": 1, "splitt": {}, "queue": { "max_waiting": -1 }, "hsts_seconds": 1.5 })
        ),
        [
            "splitt",
            "domain",
            "enabled_backends_tag",
            "hsts_seconds",
            "queue.max_waiting"
        ]
    );
    let of_backend =
        Backend::of_json(&json!({ "id": "A", "address": "h", "host": "h" }), &config).unwrap_err();
    let keys: Vec<_> = of_backend.iter().map(|one| one.key.as_str()).collect();
    assert_eq!(keys, ["host", "id", "address"]);
}
