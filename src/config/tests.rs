//! What only the inside shows: the example against the table, and the shapes of texts.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod example;

use std::path::Path;

use super::{
    Format,
    text::{
        notation::parse,
        shape,
        tree::{Node, Value},
    },
};

#[test]
fn hosts_are_names_or_addresses_and_nothing_else() {
    let long_label = "a".repeat(64);
    let long_name = ["abcdefghi"; 26].join(".");
    for good in [
        "db",
        "db.example.com",
        "my_db-1",
        "10.0.0.5",
        "::1",
        "fe80::1",
        "3com.example",
        "xn--nxasmq6b",
    ] {
        assert!(shape::host(good), "{good}");
    }
    for bad in [
        "",
        ".",
        "db.",
        "-db",
        "db-",
        "a..b",
        "a b",
        "1.2.3",
        "[::1]",
        "db:80",
        "http://db",
        "dß",
        "a/b",
    ]
    .into_iter()
    .chain([long_label.as_str(), long_name.as_str()])
    {
        assert!(!shape::host(bad), "{bad}");
    }
}

#[test]
fn log_filters_are_levels_and_targets_with_levels() {
    for good in [
        "info",
        "OFF",
        "info,tpp_worker=debug",
        "tpp::lease=trace, warn",
        "[lease]",
        "tpp[lease{slot=1,user=\"a\"}]=debug",
    ] {
        assert!(shape::log_filter(good), "{good}");
    }
    for bad in [
        "",
        "inof",
        "info,",
        "tpp=",
        "=info",
        "tpp=loud",
        "tpp[lease=debug",
        "tpp]=debug",
        "a b=info",
        "tpp[x]debug",
    ] {
        assert!(!shape::log_filter(bad), "{bad}");
    }
}

#[test]
fn urls_and_request_paths_hold_no_blanks() {
    assert!(
        shape::http_url("http://localhost:4317") && shape::http_url("https://[::1]:4317/v1?x=1")
    );
    for bad in [
        "",
        "http://",
        "http://:80",
        "https:///x",
        "ftp://host",
        "http://a b",
        "HTTP//host",
    ] {
        assert!(!shape::http_url(bad), "{bad}");
    }
    assert!(shape::request_path("/") && shape::request_path("/api/login?x=%20"));
    for bad in ["", "api", "/a b", "/a#b", "/ä", "/a\r\nHost: x"] {
        assert!(!shape::request_path(bad), "{bad}");
    }
}

fn entry<'a>(node: &'a Node, name: &str) -> &'a Node {
    let Value::Table(entries) = &node.value else {
        panic!("{name} is asked of what is no table");
    };
    &entries
        .iter()
        .find(|entry| entry.name == name)
        .unwrap()
        .node
}

#[test]
fn a_yaml_scalar_is_what_the_core_schema_says() {
    let kinds = [
        ("null", "nothing"),
        ("~", "nothing"),
        ("", "nothing"),
        ("True", "true"),
        ("false", "false"),
        ("12", "12"),
        ("-3", "-3"),
        ("+4", "4"),
        ("007", "7"),
        ("0x1F", "31"),
        ("0o17", "15"),
        ("1.50", "1.50"),
        ("1e3", "1e3"),
        (".5", ".5"),
        ("-.inf", "-.inf"),
        (".nan", ".nan"),
        ("yes", "\"yes\""),
        ("inf", "\"inf\""),
        ("1_000", "\"1_000\""),
        ("0.0.0.0:80", "\"0.0.0.0:80\""),
        ("'12'", "\"12\""),
        ("\"true\"", "\"true\""),
        ("!!str 12", "\"12\""),
        ("!!int 12", "12"),
    ];
    for (written, described) in kinds {
        let text = format!("key: {written}\n");
        let node =
            parse(&text, Path::new("x.yaml"), Format::Yaml).unwrap_or_else(|_| panic!("{written}"));
        assert_eq!(described, entry(&node, "key").value.describe(), "{written}");
    }
}

#[test]
fn a_value_in_a_message_is_escaped_cut_and_without_user_information() {
    let describe = |text: &str| Value::text(text).describe();
    assert_eq!(r#""a\n\u{1b}[31m""#, describe("a\n\u{1b}[31m"));
    assert_eq!(
        format!("\"{}…\"", "x".repeat(60)),
        describe(&"x".repeat(61))
    );
    assert_eq!("\"…@host\"", describe("http://user:p@ssword@host"));
}
