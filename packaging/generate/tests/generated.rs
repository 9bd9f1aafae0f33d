//! What is generated says all there is to say.

use std::{
    collections::BTreeMap,
    fs,
    process::{Command, Stdio},
};

/// All generated files, by name.
fn generated() -> BTreeMap<String, String> {
    let directory = tempfile::tempdir().expect("a directory");
    let target = directory.path().join("new");
    let status = Command::new(env!("CARGO_BIN_EXE_tpp-generate"))
        .arg(&target)
        .stdin(Stdio::null())
        .status();
    assert!(status.expect("start the generator").success());
    let files = fs::read_dir(target).expect("list the files").map(|entry| {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("a name in UTF-8");
        let text = fs::read_to_string(entry.path()).expect("text in UTF-8");
        (name, text)
    });
    files.collect()
}

#[test]
fn there_is_a_page_for_each_program_and_completions_for_three_shells() {
    let names: Vec<_> = generated().into_keys().collect();
    let expected = [
        "_tpp",
        "_tppctl",
        "tpp.1",
        "tpp.bash",
        "tpp.fish",
        "tpp.toml.5",
        "tppctl.1",
        "tppctl.bash",
        "tppctl.fish",
    ];
    assert_eq!(expected.as_slice(), names);
}

#[test]
fn every_key_stands_in_its_section_of_the_manual_page() {
    let page = &generated()["tpp.toml.5"];
    let keys = tpp::config::describe();
    assert!(keys.len() > 30, "{}", keys.len());
    for key in keys {
        let (section, name) = key.path.rsplit_once('.').unwrap_or(("", key.path));
        let heading = match section {
            "" => ".SS \"At the top".to_owned(),
            "credentials" | "pools" | "pools.credentials" | "backends" | "virtual_hosts"
            | "rate_limits" | "access" | "listeners" | "certificates" => {
                format!(".SS \"[[{section}]]")
            }
            section => format!(".SS [{section}]"),
        };
        let (_, part) = page
            .split_once(&heading)
            .unwrap_or_else(|| panic!("{heading} is not in:\n{page}"));
        let part = part.split_once("\n.S").map_or(part, |(part, _)| part);
        let entry = format!("\\fB{name}\\fR\n");
        let (_, entry) = part
            .split_once(&entry)
            .unwrap_or_else(|| panic!("{name} is not under {heading}:\n{part}"));
        let entry = entry.split_once("\n.TP").map_or(entry, |(entry, _)| entry);
        let default = key.default.unwrap_or_default().replace('-', "\\-");
        assert!(
            entry.contains("Allowed: ") && entry.contains(&default),
            "{name}: {default} is not in:\n{entry}"
        );
        assert_eq!(
            key.effect == tpp::config::Effect::Restart,
            entry.contains("takes a restart"),
            "{name}:\n{entry}"
        );
        assert_eq!(
            key.effect == tpp::config::Effect::Workers,
            entry.contains("other workers"),
            "{name}:\n{entry}"
        );
    }
}

#[test]
fn every_command_stands_in_the_page_and_in_the_completions() {
    let files = generated();
    for (program, commands) in [
        ("tpp", &["run", "check", "dev"][..]),
        (
            "tppctl",
            &[
                "status", "workers", "tokens", "refresh", "reload", "restart", "upgrade", "check",
            ],
        ),
    ] {
        for command in commands {
            let heading = format!(".SS \"{program} {command}\"\n");
            let page = &files[&format!("{program}.1")];
            assert!(page.contains(&heading), "{heading} is not in:\n{page}");
            for shell in [
                format!("{program}.bash"),
                format!("_{program}"),
                format!("{program}.fish"),
            ] {
                assert!(files[&shell].contains(command), "{command}: {shell}");
            }
        }
    }
}

#[test]
fn what_is_not_for_people_is_not_offered() {
    for (name, text) in generated() {
        for word in ["epoch", "takes"] {
            assert!(
                !text.contains(&format!("--{word}")) && !text.contains(&format!("\\-\\-{word}")),
                "--{word} stands in {name}:\n{text}"
            );
        }
    }
}
