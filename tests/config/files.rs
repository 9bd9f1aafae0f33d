//! The files that a configuration names, and what is said of them.

use std::{fs, os::unix::fs::PermissionsExt};

use tpp::config;

use crate::*;

#[test]
fn a_password_file_loses_one_line_break_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let text = "[upstream]\nhost = 'db'\n[[credentials]]\nusername = 'user1'\npassword_file = 'password'\n";
    for (content, expected) in [
        ("p", "p"),
        ("p\n", "p"),
        ("p\r\n", "p"),
        ("p\n\n", "p\n"),
        (" p: # \n", " p: # "),
        ("\u{feff}p\r\n", "p"),
    ] {
        fs::write(directory.path().join("password"), content).unwrap();
        let config = config::parse(
            text,
            Path::new("tpp.toml"),
            Format::Toml,
            directory.path(),
            &Variables::new(),
        );
        assert_eq!(expected, config.unwrap().credentials[0].password.expose());
    }
}

#[test]
fn lines_of_a_credentials_file_end_in_either_way_and_keep_their_colons() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(
        directory.path().join("list"),
        "\u{feff}# all\r\na:1:2\r\n\n  # b:no\n c :3#\n",
    )
    .unwrap();
    let text = "credentials_file = 'list'\n[upstream]\nhost = 'db'\n";
    let config = config::parse(
        text,
        Path::new("tpp.toml"),
        Format::Toml,
        directory.path(),
        &Variables::new(),
    )
    .unwrap();
    let pairs: Vec<_> = config
        .credentials
        .iter()
        .map(|c| (c.username.as_str(), c.password.expose()))
        .collect();
    assert_eq!([("a", "1:2"), ("c", "3#")].as_slice(), pairs);
}

#[test]
fn files_of_secrets_are_found_among_the_services_credentials() {
    let (passed, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(passed.path().join("tpp"), "a:from systemd\n").unwrap();
    fs::write(own.path().join("tpp"), "a:from the own directory\n").unwrap();
    let with = variables(&[("CREDENTIALS_DIRECTORY", passed.path().to_str().unwrap())]);
    let password = |file: &str, vars: &Variables| {
        let text = format!("credentials_file = '{file}'\n[upstream]\nhost = 'db'\n");
        let config =
            config::parse(&text, Path::new("tpp.toml"), Format::Toml, own.path(), vars).unwrap();
        config.credentials[0].password.expose().to_owned()
    };
    for file in [
        "tpp",
        "$CREDENTIALS_DIRECTORY/tpp",
        "${CREDENTIALS_DIRECTORY}/tpp",
        passed.path().join("tpp").to_str().unwrap(),
    ] {
        assert_eq!("from systemd", password(file, &with), "{file}");
    }
    assert_eq!("from the own directory", password("tpp", &Variables::new()));
}

#[test]
fn a_file_in_a_directory_is_found_under_the_flat_name_that_systemd_gives_it() {
    let (passed, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::create_dir(own.path().join("credentials")).unwrap();
    for (path, password) in [
        (passed.path().join("credentials_a"), "from systemd"),
        (own.path().join("credentials/a"), "from the own directory"),
    ] {
        fs::write(path, password).unwrap();
    }
    let password = |vars: &Variables| {
        let text = "upstream.host = 'db'\n[[credentials]]\nusername = 'a'\npassword_file = 'credentials/a'\n";
        let config = config::parse(text, Path::new("tpp.toml"), Format::Toml, own.path(), vars);
        config.unwrap().credentials[0].password.expose().to_owned()
    };
    let with = variables(&[("CREDENTIALS_DIRECTORY", passed.path().to_str().unwrap())]);
    assert_eq!("from systemd", password(&with));
    assert_eq!("from the own directory", password(&Variables::new()));
}

#[test]
fn load_reads_files_beside_the_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.YAML");
    fs::write(&path, "upstream: {host: db}\ncredentials_file: list\n").unwrap();
    fs::write(directory.path().join("list"), "a:b\n").unwrap();
    let config = config::load(&path, &Variables::new()).unwrap();
    assert_eq!("b", config.credentials[0].password.expose());
}

#[test]
fn warnings_name_what_is_risky_or_without_effect() {
    let text = format!(
        "{}\n",
        LEAST.replace("host = 'db'", "host = 'db'\ntls = true\nverify = false")
    );
    let vars = variables(&[
        ("TPP_CREDENTIAL_PASSWORD", "hunter2"),
        ("TPP_TOKEN_POOL_SIZE", ""),
    ]);
    let expected = [
        "TPP_CREDENTIAL_PASSWORD is set, but not read: write password_file in [[credentials]]",
        "upstream.verify is false: whoever stands between can pose as the upstream and read passwords and tokens",
    ];
    assert_eq!(
        expected.as_slice(),
        parse("tpp.toml", &text, &vars).unwrap().warnings()
    );
    let without_tls = LEAST.replace(
        "host = 'db'",
        "host = 'db'\nverify = false\nca_file = 'files/ca.pem'",
    );
    assert_eq!(
        ["upstream.ca_file has no effect while upstream.tls is false"].as_slice(),
        toml(&without_tls).warnings()
    );
    assert!(toml(LEAST).warnings().is_empty());
}

#[test]
fn passwords_open_to_all_users_are_warned_of() {
    let directory = tempfile::tempdir().unwrap();
    let (path, list) = (
        directory.path().join("tpp.toml"),
        directory.path().join("list"),
    );
    fs::write(&list, "a:ends in a blank \n").unwrap();
    let warnings = |text: &str, own_mode: u32, list_mode: u32| {
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(own_mode)).unwrap();
        fs::set_permissions(&list, fs::Permissions::from_mode(list_mode)).unwrap();
        config::load(&path, &Variables::new()).unwrap().warnings()
    };
    let open = |path: &Path| {
        format!(
            "{} holds passwords and every user of this machine may read it; chmod o-r helps",
            path.display()
        )
    };
    let blank = format!(
        "{}: a password ends in white space, which is taken as part of it",
        list.display()
    );
    let by_file = "credentials_file = 'list'\n[upstream]\nhost = 'db'\n";
    assert_eq!(
        vec![open(&list), blank.clone()],
        warnings(by_file, 0o644, 0o644)
    );
    assert_eq!(vec![blank], warnings(by_file, 0o644, 0o640));
    assert!(warnings(LEAST, 0o640, 0o640).is_empty());
    assert_eq!(vec![open(&path)], warnings(LEAST, 0o604, 0o640));
}

#[test]
fn a_password_that_begins_or_ends_in_white_space_is_warned_of_once_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secret");
    let warnings = |key: &str, content: &str| -> Vec<String> {
        fs::write(&file, content).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let text = match key {
            "credentials_file" => "credentials_file = 'secret'\n[upstream]\nhost = 'db'\n",
            _ => {
                "[upstream]\nhost = 'db'\n[[credentials]]\nusername = 'a'\npassword_file = 'secret'\n"
            }
        };
        let (name, base) = (Path::new("tpp.toml"), directory.path());
        let config = config::parse(text, name, Format::Toml, base, &Variables::new());
        config.unwrap().warnings()
    };
    let odd = |how: &str| {
        let file = file.display();
        format!("{file}: a password {how} white space, which is taken as part of it")
    };
    let (begins, ends) = (odd("begins with"), odd("ends in"));
    for (key, content, expected) in [
        ("password_file", "p\n\n", vec![&ends]),
        ("password_file", " p\n", vec![&begins]),
        ("password_file", "\u{feff}p\r\n", vec![]),
        ("credentials_file", "a: p\nb: p\n", vec![&begins]),
        ("credentials_file", "a:p\r\nb: p \r\n", vec![&begins, &ends]),
        ("credentials_file", "\u{feff}a:p\r\n\r\n", vec![]),
    ] {
        let said = warnings(key, content);
        let said: Vec<_> = said.iter().collect();
        assert_eq!(expected, said, "{key}: {content:?}");
    }
}

#[test]
fn a_pipe_in_a_files_place_is_named_and_keeps_nobody_waiting() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let lines = |text: &str| {
        let (name, base) = (Path::new("tpp.toml"), directory.path());
        let read = config::parse(text, name, Format::Toml, base, &Variables::new());
        read.unwrap_err().to_string()
    };
    let what = format!("found {pipe:?} (a pipe that nobody writes to); allowed: the path of a");
    let text = "[upstream]\nhost = 'db'\n[[credentials]]\nusername = 'a'\npassword_file = 'pipe'\n";
    let line = lines(text);
    assert!(
        line.starts_with(&format!("tpp.toml:5: credentials[0].password_file: {what}")),
        "{line}"
    );
    let line = lines("credentials_file = 'pipe'\n[upstream]\nhost = 'db'\n");
    assert!(
        line.starts_with(&format!("tpp.toml:1: credentials_file: {what}")),
        "{line}"
    );
    let problems = config::load(&pipe, &Variables::new()).unwrap_err();
    assert!(problems.is_unreadable(), "{problems}");
}
