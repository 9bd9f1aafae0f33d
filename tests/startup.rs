//! What tpp can be started with: files, variables, formats.

use std::process::Command;

use crate::common::{
    built::built,
    client::Client,
    command::run,
    processes,
    proxy::Proxy,
    settings::{DIRECTORY, Settings, password_of},
    upstream::Upstream,
    wait_until,
};
use nix::sys::signal::Signal;
use serde_json::Value;

#[test]
fn a_control_socket_left_by_a_crash_is_taken_over() {
    let directory = tempfile::tempdir().expect("make a directory");
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 1);
    let socket = directory.path().join("left.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).expect("bind a socket"));
    assert!(socket.exists());
    let text = format!("\"{}\"", socket.display());
    let mut process = Proxy::spawn(&settings.set("control_socket", text));
    let mut command = Command::new(built("tppctl"));
    command.arg("--socket").arg(&socket).arg("status");
    wait_until("tpp answers on the socket", || {
        run(&mut command).code == Some(0)
    });
    process.signal_supervisor(Signal::SIGTERM);
    assert_eq!(process.wait_for_exit().code(), Some(0));
    process.assert_gone();
    assert_eq!(upstream.attempts().len(), 1);
}

#[test]
fn no_process_may_leave_a_core_behind() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 1));
    let all = proxy.processes();
    assert!(all.len() > 1, "{all:?}");
    for pid in all {
        let limits = processes::proc_text(pid, "limits").expect("a living process");
        let mut lines = limits.lines();
        let line = lines.find_map(|line| line.strip_prefix("Max core file size"));
        let values: Vec<_> = line.expect("a line of it").split_whitespace().collect();
        assert_eq!(values, ["0", "0", "bytes"]);
    }
}

#[test]
fn variables_go_before_the_file() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 1);
    let settings = settings
        .set("upstream.host", "\"no-such-host.invalid\"")
        .set("upstream.port", 9);
    let address = upstream.address();
    let settings = settings.variable("TPP_UPSTREAM_HOST", &address.ip().to_string());
    let proxy = Proxy::start(&settings.variable("TPP_UPSTREAM_PORT", &address.port().to_string()));
    proxy.client(&upstream).get("/who").ok();
}

#[test]
fn credentials_come_from_files_too() {
    let upstream = Upstream::start();
    for user in ["filed", "listed", "colon"] {
        let password = if user == "colon" {
            "a:b#c".to_owned()
        } else {
            password_of(user)
        };
        upstream.add_account(user, &password, 1);
    }
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 1);
    let lines = format!(
        "# those of the second floor\n\nlisted:{}\ncolon:a:b#c\n",
        password_of("listed")
    );
    let settings = settings
        .file("credentials", &lines)
        .file("password", &format!("{}\n", password_of("filed")));
    let settings = settings.set("credentials_file", format!("\"{DIRECTORY}/credentials\""));
    // The last section of the file is the accounts' own, so that a further one may follow.
    let file = format!("{DIRECTORY}/password");
    let settings = settings.further(&format!(
        "\n[[credentials]]\nusername = \"filed\"\npassword_file = \"{file}\"\n"
    ));
    let proxy = Proxy::start(&settings.slots_besides(3));
    let mut users: Vec<String> = proxy.tokens().into_iter().map(|token| token.user).collect();
    users.sort();
    assert_eq!(users, ["colon", "filed", "listed", "user0"]);
}

#[test]
fn a_file_of_the_first_tpp_serves() {
    let upstream = Upstream::start();
    ["user1", "user2"]
        .iter()
        .for_each(|user| upstream.add_account(user, &password_of(user), 1));
    let (host, port) = (upstream.address().ip(), upstream.address().port());
    let text = format!(
        "listen: \"127.0.0.1:0\"\nhealth_listen: \"127.0.0.1:0\"\ncontrol_socket: \"{DIRECTORY}/control.sock\"\n\
         workers:\n  count: 2\nupstream:\n  host: \"{host}\"\n  port: {port}\n  tls: false\n\
         token:\n  ttl_seconds: 3600\n  refresh_check_seconds: 60\n\
         credentials:\n  - username: user1\n    password: {}\n  - username: user2\n    password: {}\n",
        password_of("user1"),
        password_of("user2"),
    );
    let settings = Settings::in_front_of(&upstream)
        .instead("config.yaml", &text)
        .slots_besides(2);
    let proxy = Proxy::start(&settings);
    proxy.client(&upstream).get("/who").ok();
    upstream.assert_clean();
}

#[test]
fn logs_are_one_json_object_a_line_when_asked() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 1);
    let proxy = Proxy::start(
        &settings
            .set("telemetry.log_format", "\"json\"")
            .set("telemetry.log_filter", "\"debug\""),
    );
    proxy.client(&upstream).get("/who").ok();
    let log = proxy.log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}"))
        })
        .collect();
    assert!(lines.len() > 2);
    assert!(lines.iter().all(|line| line["level"].is_string()), "{log}");
}

#[test]
fn several_addresses_are_listened_on() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 1);
    let proxy = Proxy::start(&settings.set("listen", "[\"127.0.0.1:0\", \"[::1]:0\"]"));
    let addresses = proxy.status().listen;
    assert_eq!(addresses.len(), 2, "{addresses:?}");
    for address in addresses {
        let address = address.parse().expect("an address");
        Client::connect_watched(address, &upstream).get("/who").ok();
    }
    upstream.assert_clean();
}
