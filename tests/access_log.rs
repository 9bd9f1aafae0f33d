//! A line for each request: true in every field, in a file that may be moved away, and never waited for.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    time::{Duration, Instant},
};

use crate::common::{
    client::Client, origin::Origin, processes, proxy::Proxy, settings::Settings,
    upstream::Upstream, wait_for, wait_until,
};
use nix::{
    sys::{signal::Signal, stat::Mode},
    unistd::mkfifo,
};
use serde_json::Value;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// A tpp with so many tokens and its access log beside its configuration.
fn logging(upstream: &Upstream, tokens: usize) -> Settings {
    Settings::in_front_of(upstream)
        .accounts(upstream, tokens)
        .set("telemetry.access_log", "\"{directory}/access.log\"")
}

/// All lines so far.
fn lines(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    whole.lines().map(parse).collect()
}

/// The line of the request for `path`, once it is there.
fn line_of(proxy: &Proxy, path: &str) -> Value {
    let file = proxy.directory().join("access.log");
    wait_for(&format!("a line for {path}"), || {
        let mut all = lines(&file).into_iter();
        all.find(|line| line["path"] == path)
    })
}

/// Sends `request` on a connection of its own; what comes until its end.
fn ask(to: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(to).expect("connect");
    stream.write_all(request.as_bytes()).expect("send");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    String::from_utf8(answer).expect("text")
}

fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n{fields}\r\n")
}

/// The value of a field in a head.
fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut lines = head.lines();
    lines.find_map(|line| {
        let (found, value) = line.split_once(": ")?;
        found.eq_ignore_ascii_case(name).then_some(value)
    })
}

#[track_caller]
fn millis(line: &Value, field: &str) -> f64 {
    line[field]
        .as_f64()
        .unwrap_or_else(|| panic!("{field} in {line}"))
}

#[test]
fn every_field_is_what_client_and_upstream_saw() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&logging(&upstream, 2));
    let fields = format!(
        "X-Request-Id: of-the-client\r\ntraceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\nAuthorization: Bearer own-secret\r\n"
    );
    let request = get("/delay/300?key=secret", &fields);
    let begun = Instant::now();
    let answer = ask(proxy.address(), &request);
    let took = begun.elapsed().as_secs_f64() * 1000.0;
    let line = line_of(&proxy, "/delay/300");
    let address = upstream.address();
    for (name, value) in [
        ("request_id", Value::from("of-the-client")),
        ("trace_id", TRACE.into()),
        ("proxy_name", "default".into()),
        ("method", "GET".into()),
        ("protocol", "HTTP/1.1".into()),
        ("tls", false.into()),
        ("client", "127.0.0.1".into()),
        ("status_code", 200.into()),
        ("bytes_in", request.len().into()),
        ("bytes_out", answer.len().into()),
        ("token_wait_ms", 0.0.into()),
        ("queue_wait_ms", 0.0.into()),
        ("backend", "upstream".into()),
        ("attempts", 1.into()),
        ("circuit_state", Value::Null),
        ("concurrent_count", 1.into()),
        ("end", "complete".into()),
    ] {
        assert_eq!(line[name], value, "{name} in {line}, before {address}");
    }
    let time = line["time"].as_str().expect("a time");
    assert!(time.ends_with('Z') && time.contains('T'), "{time}");
    let (there, here) = (
        millis(&line, "upstream_latency_ms"),
        millis(&line, "proxy_latency_ms"),
    );
    assert!(there >= 300.0 && there + here <= took, "{line}, {took} ms");
    let text = fs::read_to_string(proxy.directory().join("access.log")).expect("the log");
    assert!(!text.contains("secret"), "{text}");
    // The id goes both ways.
    assert_eq!(field(&answer, "x-request-id"), Some("of-the-client"));
    let seen = upstream.seen();
    let seen = seen.last().expect("a request");
    assert_eq!(seen.head.field("x-request-id"), Some("of-the-client"));
}

#[test]
fn a_wait_for_a_token_is_told_apart_and_a_made_id_is_the_same_everywhere() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&logging(&upstream, 1));
    let mut holder = proxy.client(&upstream);
    holder.get("/who").ok();
    // It is under way no more.
    let first = line_of(&proxy, "/who");
    let address = proxy.address();
    let late =
        std::thread::spawn(move || ask(address, &get("/late", "X-Request-Id: not sane\r\n")));
    wait_until("it waits", || proxy.pool().waiting == 1);
    std::thread::sleep(Duration::from_millis(200));
    drop(holder);
    let answer = late.join().expect("no panic");
    let line = line_of(&proxy, "/late");
    assert!(millis(&line, "token_wait_ms") >= 200.0, "{line}");
    assert_eq!(line["concurrent_count"], 1, "{line}");
    let id = field(&answer, "x-request-id").expect("an id");
    assert!(
        id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{id}"
    );
    assert_eq!(line["request_id"], id);
    let seen = upstream.seen();
    let seen = seen.last().expect("a request");
    assert_eq!(seen.head.field("x-request-id"), Some(id));
    assert_ne!(first["request_id"], line["request_id"]);
}

#[test]
fn refusals_and_requests_that_break_off_have_their_lines_too() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&logging(&upstream, 1).set("lease.wait_timeout_seconds", 1));
    let log = proxy.directory().join("access.log");
    // What is no request.
    let answer = ask(proxy.address(), "GET / HTTP/1.1\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let bad = wait_for("a line for it", || lines(&log).into_iter().next());
    assert_eq!(bad["end"], "bad_request", "{bad}");
    assert_eq!(
        (&bad["status_code"], &bad["method"]),
        (&400.into(), &Value::Null)
    );
    assert_eq!(bad["bytes_out"], answer.len(), "{bad}");
    assert_eq!(field(&answer, "x-request-id"), bad["request_id"].as_str());
    // An answer that breaks off.
    let answer = ask(proxy.address(), &get("/cut/10", ""));
    // 502 if it broke off before anything of it was passed on.
    let told: u16 = answer[9..12].parse().expect("a status");
    let cut = line_of(&proxy, "/cut/10");
    assert_eq!(
        (&cut["status_code"], &cut["end"]),
        (&told.into(), &"upstream_ended".into())
    );
    // A client that leaves, and one that waits in vain meanwhile.
    let mut gone = Client::connect(proxy.address());
    gone.send_raw(get("/gate/x", "").as_bytes());
    wait_until("the upstream has it", || {
        upstream.seen().iter().any(|seen| seen.target == "/gate/x")
    });
    let answer = ask(proxy.address(), &get("/vain", ""));
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    let vain = line_of(&proxy, "/vain");
    assert_eq!(
        (&vain["status_code"], &vain["end"]),
        (&503.into(), &"refused".into())
    );
    assert!(millis(&vain, "token_wait_ms") >= 900.0, "{vain}");
    assert_eq!(
        (&vain["backend"], &vain["attempts"]),
        (&Value::Null, &0.into())
    );
    assert_eq!(vain["concurrent_count"], 2, "{vain}");
    gone.reset();
    let gone = line_of(&proxy, "/gate/x");
    upstream.gates().open("x");
    assert_eq!(
        (&gone["status_code"], &gone["end"]),
        (&499.into(), &"client_gone".into())
    );
}

#[test]
fn a_gateways_hosts_backends_and_limits_stand_in_the_line() {
    let one = Origin::start("one");
    let settings = Settings::of_gateway()
        .set("health_check.enabled", false)
        .set("telemetry.access_log", "\"{directory}/access.log\"")
        .further(
            "\n[[virtual_hosts]]\ndomain = \"a.test\"\nenabled_backends_tag = \"a\"\nrate_limit = \"few\"\n\
             circuit_breaker = { enabled = true }\n\
             [[rate_limits]]\nname = \"few\"\nrequests = 1\nper_seconds = 3600\nburst = 1\n",
        )
        .further(&one.table("\"a\"", ""));
    let proxy = Proxy::start_without_tokens(&settings);
    let answer = ask(proxy.address(), &get("/first", ""));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let first = line_of(&proxy, "/first");
    for (name, value) in [
        ("proxy_name", "a.test"),
        ("backend", "one"),
        ("circuit_state", "closed"),
        ("end", "complete"),
    ] {
        assert_eq!(first[name], value, "{name} in {first}");
    }
    let id = first["request_id"].as_str().expect("an id");
    assert_eq!(field(&answer, "x-request-id"), Some(id));
    assert_eq!(field(&one.asked()[0], "x-request-id"), Some(id));
    let answer = ask(proxy.address(), &get("/second", ""));
    assert!(answer.starts_with("HTTP/1.1 429"), "{answer}");
    let second = line_of(&proxy, "/second");
    assert_eq!(
        (&second["status_code"], &second["end"]),
        (&429.into(), &"refused".into())
    );
    assert_eq!(
        (&second["proxy_name"], &second["backend"]),
        (&"a.test".into(), &Value::Null)
    );
    let elsewhere = get("/nobody", "").replace("a.test", "b.test");
    assert!(ask(proxy.address(), &elsewhere).starts_with("HTTP/1.1 404"));
    let nobody = line_of(&proxy, "/nobody");
    assert_eq!(
        (&nobody["status_code"], &nobody["proxy_name"]),
        (&404.into(), &Value::Null)
    );
}

#[test]
fn a_file_that_is_moved_away_is_followed_by_a_new_one_and_a_reload_changes_the_form() {
    let upstream = Upstream::start();
    let settings = logging(&upstream, 2).set("telemetry.log_output", "\"{directory}/tpp.log\"");
    let proxy = Proxy::start(&settings);
    ask(proxy.address(), &get("/one", ""));
    line_of(&proxy, "/one");
    let file = |name: &str| proxy.directory().join(name);
    let text = |name: &str| fs::read_to_string(file(name)).unwrap_or_default();
    for said in ["listening for clients", "worker ready"] {
        assert!(
            text("tpp.log").contains(said),
            "{said}: {}",
            text("tpp.log")
        );
        assert!(
            !proxy.log().contains(said),
            "standard error is another place"
        );
    }
    // As logrotate does.
    fs::rename(file("access.log"), file("access.log.1")).expect("move the log");
    fs::rename(file("tpp.log"), file("tpp.log.1")).expect("move the log");
    proxy.signal_supervisor(Signal::SIGHUP);
    ask(proxy.address(), &get("/two", ""));
    line_of(&proxy, "/two");
    wait_until("the log goes on in a new file", || {
        text("tpp.log").contains("reload")
    });
    let old = lines(&file("access.log.1"));
    assert!(old.len() == 1 && old[0]["path"] == "/one", "{old:?}");
    settings
        .clone()
        .set("telemetry.access_log_format", "\"combined\"")
        .set("telemetry.access_log", "\"{directory}/combined.log\"")
        .write_to(proxy.directory());
    assert_eq!(proxy.ctl(&["reload"]).code, Some(0));
    let answer = ask(proxy.address(), &get("/three?x", "User-Agent: a \"b\"\r\n"));
    let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
    wait_until("a combined line", || {
        let combined = text("combined.log");
        let end = format!(
            "] \"GET /three HTTP/1.1\" 200 {} \"-\" \"a \\x22b\\x22\"\n",
            body.len()
        );
        combined.starts_with("127.0.0.1 - - [") && combined.ends_with(&end)
    });
}

#[test]
fn what_cannot_be_written_holds_nobody_up_and_is_counted() {
    for place in ["/dev/full", "{directory}/pipe"] {
        let upstream = Upstream::start();
        let settings = logging(&upstream, 4)
            .workers(1)
            .set("telemetry.access_log", format!("\"{place}\""));
        let proxy = Proxy::start(&settings.clone().set("telemetry.access_log", "\"off\""));
        mkfifo(&proxy.directory().join("pipe"), Mode::S_IRWXU).expect("a pipe");
        settings.write_to(proxy.directory());
        assert_eq!(proxy.ctl(&["reload"]).code, Some(0));
        for _ in 0..20 {
            let answer = ask(proxy.address(), &get("/who", ""));
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
        wait_until("all are counted", || {
            proxy.metric("tpp_access_log_dropped_total") == Some(20.0)
        });
        let status = proxy.status();
        let said = "20 lines of the access log were dropped";
        assert!(status.reasons.iter().any(|line| line == said), "{status:?}");
        wait_until("the log says why", || {
            proxy.log().contains("the access log cannot be written")
        });
    }
}

#[test]
fn without_a_log_no_request_has_an_id_and_no_thread_stays_when_no_line_comes() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 1);
    let has_id = |settings: &Settings| {
        let proxy = Proxy::start(&settings.clone().workers(1));
        let answer = ask(proxy.address(), &get("/who", ""));
        let worker = proxy.workers()[0].pid;
        wait_until("the worker has one thread alone", || {
            fs::read_dir(format!("/proc/{worker}/task")).is_ok_and(|tasks| tasks.count() == 1)
        });
        assert!(processes::in_session(proxy.supervisor_pid()).contains(&worker));
        field(&answer, "x-request-id").is_some()
    };
    assert!(!has_id(&settings));
    let logged = settings.set("telemetry.access_log", "\"{directory}/access.log\"");
    assert!(has_id(&logged));
}
