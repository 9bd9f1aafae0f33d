//! The same in colour and in JSON, and what a terminal must not be sent.

use tpp::control::{CertificateStatus, Renewal};

use super::*;

#[test]
fn colours_are_all_that_colours_change() {
    let strip = |text: String| {
        let mut plain = text;
        for code in [
            "\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m",
        ] {
            plain = plain.replace(code, "");
        }
        // Spaces that a colour's end hides from the trimming of the line.
        plain
            .lines()
            .map(|line| format!("{}\n", line.trim_end()))
            .collect::<String>()
    };
    let coloured = status(&troubled(), NOW, COLOURED);
    assert!(
        coloured.starts_with("tpp 0.1.0: \x1b[33mdegraded\x1b[0m\n"),
        "{coloured}"
    );
    assert!(coloured.contains("\x1b[31mbackoff\x1b[0m"), "{coloured}");
    assert_eq!(strip(coloured), status(&troubled(), NOW, PLAIN));
    assert_eq!(
        strip(tokens(&[refused()], COLOURED)),
        tokens(&[refused()], PLAIN)
    );
}

#[test]
fn nothing_foreign_reaches_the_terminal_raw() {
    let evil = "\x1b]0;title\x07\u{9b}31m\u{202e}\r\n";
    let slot = TokenStatus {
        last_error: Some(evil.into()),
        fingerprint: Some(evil.into()),
        ..token(0, evil, evil)
    };
    let seat = WorkerStatus {
        last_exit: Some(evil.into()),
        ..worker(0, evil)
    };
    let picture = Status {
        reasons: vec![evil.into()],
        version: evil.into(),
        listen: vec![evil.into()],
        certificates: vec![CertificateStatus {
            name: evil.into(),
            hosts: vec![evil.into()],
            issuer: evil.into(),
            source: evil.into(),
            not_after: 0,
            error: Some(evil.into()),
            renewal: Some(Renewal {
                state: evil.into(),
                next_at: 0,
                failures: 1,
                error: Some(evil.into()),
            }),
        }],
        health_listen: evil.into(),
        upstream: evil.into(),
        upstream_addresses: vec![evil.into()],
        config_file: evil.into(),
        last_reload: Some(evil.into()),
        workers: vec![seat],
        ..healthy()
    };
    for text in [
        status(&picture, NOW, PLAIN),
        tokens(std::slice::from_ref(&slot), PLAIN),
        json(&picture).unwrap(),
        json(&[&slot]).unwrap(),
    ] {
        assert!(
            !text.contains(|c| text::is_hidden(c) && c != '\n'),
            "{text:?}"
        );
    }
    assert_eq!(
        serde_json::from_str::<Status>(&json(&picture).unwrap()).unwrap(),
        picture
    );
}

#[test]
fn json_is_the_struct_pretty_printed() {
    let text = json(&[refused()]).unwrap();
    assert_eq!(
        text,
        r#"[
  {
    "slot": 2,
    "user": "user2",
    "state": "refused",
    "age_seconds": null,
    "refresh_in_seconds": null,
    "holder": null,
    "uses": 0,
    "errors": 3,
    "last_error": "login refused: The user name or password is incorrect, says the server at length",
    "fingerprint": null,
    "pool": "default",
    "provider": "dolphindb",
    "expires_in_seconds": null,
    "last_used_seconds": null,
    "held_ms": null,
    "client": null,
    "idle_ms": null
  }
]
"#
    );
}
