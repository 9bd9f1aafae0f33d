//! The description against what is really taken: each bound, word and key of a body.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Value, json};
use tpp::config::{self, Backend, Config, Entry, Format, VirtualHost};

fn schema(name: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("openapi.json")).unwrap();
    all["components"]["schemas"][name].clone()
}

fn config() -> Config {
    let text = "[[backends]]\nid = \"one\"\naddress = \"10.0.0.1:80\"\ntags = [\"a\"]\n\
                [[virtual_hosts]]\ndomain = \"default\"\nenabled_backends_tag = \"a\"\n";
    let none = BTreeMap::<String, String>::new();
    let (path, directory) = (Path::new("tpp.toml"), Path::new("/"));
    config::parse(text, path, Format::Toml, directory, &none).unwrap()
}

/// Whether `value` is taken for the key at `path` of an entry that is right but for it.
fn takes<T: Entry>(config: &Config, whole: &Value, path: &[&str], value: &Value) -> bool {
    let mut body = whole.clone();
    let mut place = &mut body;
    for key in path {
        place = &mut place[*key];
    }
    *place = value.clone();
    T::of_json(&body, config).is_ok()
}

/// Asserts of each key that `properties` describe that just what is described is taken.
fn hold<T: Entry>(config: &Config, whole: &Value, properties: &Value, above: &[&str]) {
    for (key, described) in properties.as_object().unwrap() {
        let path = [above, &[key.as_str()]].concat();
        let takes = |value: &Value| takes::<T>(config, whole, &path, value);
        if described.get("properties").is_some() {
            hold::<T>(config, whole, &described["properties"], &path);
            assert!(!takes(&json!({"no_such_key": 1})), "{path:?}");
        }
        if let (Some(least), Some(most)) =
            (described["minimum"].as_i64(), described["maximum"].as_i64())
        {
            for (value, is_taken) in [
                (least - 1, false),
                (least, true),
                (most, true),
                (most + 1, false),
            ] {
                assert_eq!(takes(&json!(value)), is_taken, "{path:?} = {value}");
            }
        }
        for word in described["enum"].as_array().into_iter().flatten() {
            assert!(takes(word), "{path:?} = {word}");
        }
        if described.get("enum").is_some() {
            assert!(!takes(&json!("no_such_word")), "{path:?}");
        }
        if described["type"] == json!(["boolean", "null"]) {
            assert!(
                [json!(true), json!(false), json!(null)].iter().all(takes),
                "{path:?}"
            );
            assert!(!takes(&json!("yes")), "{path:?}");
        }
        if let Some(most) = described["maxLength"]
            .as_u64()
            .filter(|_| described.get("pattern").is_some())
        {
            let long = json!("a".repeat(most as usize + 1));
            assert!(!takes(&long) && !takes(&json!("")), "{path:?}");
        }
    }
}

fn is_shown_alone(described: &Value) -> bool {
    described["description"] == "Shown alone: means nothing here"
}

#[test]
fn bodies_have_the_bounds_that_are_described_and_every_key() {
    let config = config();
    let host = json!({"domain": "a.test", "enabled_backends_tag": "a"});
    let backend = json!({"id": "two", "address": "10.0.0.2:80", "tags": ["a"]});
    let described = ["VirtualHost", "BackendEntry"].map(schema);
    hold::<VirtualHost>(&config, &host, &described[0]["properties"], &[]);
    hold::<Backend>(&config, &backend, &described[1]["properties"], &[]);
    let whole = [
        VirtualHost::of_json(&host, &config).unwrap().to_json(),
        Backend::of_json(&backend, &config).unwrap().to_json(),
    ];
    for (described, whole) in described.iter().zip(&whole) {
        let properties = described["properties"].as_object().unwrap();
        for key in whole.as_object().unwrap().keys() {
            let of_entry = properties.get(key).is_some_and(|one| !is_shown_alone(one));
            assert!(of_entry, "{key} is not described");
        }
    }
}
