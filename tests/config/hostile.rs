//! Text that no administrator would write.

use proptest::prelude::*;

use crate::*;

#[test]
fn deep_or_growing_files_are_refused_and_harm_nothing() {
    let laughs: String = (1..30).fold(
        "a0: &a0 [x, x, x, x, x, x, x, x]\n".to_owned(),
        |text, n| {
            let m = n - 1;
            format!("{text}a{n}: &a{n} [*a{m}, *a{m}, *a{m}, *a{m}, *a{m}, *a{m}, *a{m}, *a{m}]\n")
        },
    );
    let deep = 50_000;
    let cases = [
        ("x.yaml", laughs, "too many values"),
        ("x.yaml", "- ".repeat(deep), "nested too deep"),
        ("x.yaml", "? ".repeat(deep), "nested too deep"),
        ("x.yaml", "[".repeat(deep), "recursion limit"),
        ("x.yaml", "{a: ".repeat(deep), "recursion limit"),
        ("x.toml", format!("x = {}", "[".repeat(deep)), "recurs"),
        ("x.toml", format!("x = {}", "{a=".repeat(deep)), "recurs"),
        ("x.toml", format!("{}a = 1", "a.".repeat(deep)), "recurs"),
        ("x.toml", format!("[{}a]", "a.".repeat(deep)), "recurs"),
    ];
    for (name, text, expected) in cases {
        let problems = parse(name, &text, &Variables::new())
            .unwrap_err()
            .to_string();
        assert!(
            problems.contains(expected),
            "{name} {}…: {problems}",
            &text[..20]
        );
    }
}

/// Text made of what configurations are made of, so that many of them parse.
fn pieces() -> impl Strategy<Value = String> {
    let words = [
        "listen",
        "upstream",
        "credentials",
        "token",
        "lease",
        "workers",
        "telemetry",
        "host",
        "port",
        "username",
        "password",
        "password_file",
        "sessions",
        "credential",
        "pool_size",
        "ttl_seconds",
        "mode",
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        " = ",
        ": ",
        ", ",
        "\n",
        "\n  ",
        "- ",
        "'",
        "\"",
        "\"\"\"",
        "#",
        "&a ",
        "*a",
        "!!str ",
        "|\n",
        "? ",
        "---\n",
        "true",
        "null",
        "-1",
        "70000",
        "1e9",
        "0x",
        "2024-01-01",
        "0.0.0.0:80",
        "é",
        "\u{0}",
        "\u{feff}",
        "\r",
        ".",
    ];
    proptest::collection::vec(proptest::sample::select(words.to_vec()), 0..40)
        .prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in prop_oneof![any::<String>(), pieces()]) {
        for name in ["x.toml", "x.yaml"] {
            let result = parse(name, &text, &Variables::new());
            if let Err(problems) = result {
                prop_assert!(problems.iter().count() > 0);
                let shown = problems.to_string();
                prop_assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
            }
        }
    }

    #[test]
    fn no_value_of_a_variable_makes_the_reader_panic(value in any::<String>()) {
        for name in ["TPP_LISTEN", "TPP_UPSTREAM_PORT", "TPP_UPSTREAM_TLS", "TPP_TELEMETRY_LOG_FILTER", "CREDENTIALS_DIRECTORY"] {
            let _ = parse("x.toml", LEAST, &variables(&[(name, &value)]));
        }
    }

    #[test]
    fn a_password_is_kept_byte_for_byte(password in "[^\u{0}-\u{1f}\u{7f}-\u{9f}]{1,40}") {
        let quoted = password.replace('\\', "\\\\").replace('"', "\\\"");
        let text = LEAST.replace("'hunter2'", &format!("\"{quoted}\""));
        let config = parse("x.toml", &text, &Variables::new()).unwrap();
        prop_assert_eq!(config.credentials[0].password.expose(), password);
    }

    #[test]
    fn no_password_reaches_a_message(password in "[A-Za-z0-9:@,{}=#'\\[\\]&*!|>%-]{8,30}") {
        let lines = [
            format!("password = {password}"), format!("password = \"{password}"), format!("password = '{password}'x"),
            format!("passwd = \"{password}\""), format!("password: {password}"), format!("- {password}"),
        ];
        for line in lines {
            for name in ["x.toml", "x.yaml"] {
                for text in [format!("[[credentials]]\n{line}\n"), format!("credentials:\n  - {line}\n"), line.clone()] {
                    if let Err(problems) = parse(name, &text, &Variables::new()) {
                        prop_assert!(!problems.to_string().contains(&password), "{text}\n{problems}");
                    }
                }
            }
        }
    }
}
