//! The alerts in a real Prometheus, Debian's, on loopback: quiet before a tpp that is well, and each of them firing once it is not.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use nix::sys::signal::Signal;
use regex::Regex;
use serde_json::Value;
use tempfile::TempDir;

use super::{
    common::{
        client::Client, etcd::Etcd, message::Request, place::Place, processes, proxy::Proxy,
        settings::Settings, upstream::Upstream, wait_for, wait_until,
    },
    names::expressions,
    scene::{BOARD, RULES, Scene, good_for},
};

/// A running Prometheus with the packaged rules, but that they have no time to wait for.
struct Prometheus {
    process: Child,
    place: Place,
    directory: TempDir,
}

impl Prometheus {
    /// One that looks at `targets` each second.
    fn start(targets: &[SocketAddr]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let targets: Vec<_> = targets.iter().map(|one| format!("\"{one}\"")).collect();
        let config = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: [rules.yml]\n\
             scrape_configs:\n- job_name: tpp\n  static_configs: [{{ targets: [{}] }}]\n",
            targets.join(", ")
        );
        fs::write(directory.path().join("prometheus.yml"), config).expect("write");
        fs::write(directory.path().join("rules.yml"), hasty(RULES)).expect("write");
        // It takes no port of the system's choice.
        let place = Place::any();
        let address = place.address;
        let log = fs::File::create(directory.path().join("log")).expect("a log");
        let process = Command::new("prometheus")
            .current_dir(directory.path())
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=data")
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("start prometheus (make watching installs it)");
        Self {
            process,
            place,
            directory,
        }
    }

    fn ask(&self, path: &str) -> Option<Value> {
        let request = Request::get(path).field("Connection", "close");
        let answer = Client::try_connect(self.place.address)
            .ok()?
            .try_ask(&request);
        let answer = answer.ok().filter(|answer| answer.status == 200)?;
        Some(answer.json())
    }

    /// The state of each alert: inactive, pending or firing. `None`: not all have been looked at yet.
    fn alerts(&self) -> Option<BTreeMap<String, String>> {
        let rules = self.ask("/api/v1/rules?type=alert")?;
        let rules = rules["data"]["groups"][0]["rules"].as_array()?.clone();
        let text = |rule: &Value, key: &str| rule[key].as_str().map(str::to_owned);
        let alerts = rules.iter().map(|rule| {
            let is_looked_at = text(rule, "health")? == "ok";
            is_looked_at.then_some((text(rule, "name")?, text(rule, "state")?))
        });
        alerts.collect()
    }

    fn wait_until_up(&self, targets: usize) {
        wait_until("all targets are scraped", || {
            let up = self.ask("/api/v1/query?query=sum(up)");
            let up = up.map(|up| up["data"]["result"][0]["value"][1].clone());
            up == Some(targets.to_string().into())
        });
    }

    #[track_caller]
    fn wait_until_fires(&self, alert: &str) {
        wait_until(&format!("{alert} fires"), || {
            let alerts = self.alerts();
            alerts.is_some_and(|alerts| alerts.get(alert).is_some_and(|state| state == "firing"))
        });
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        processes::send(self.process.id(), Signal::SIGKILL);
        drop(self.process.wait());
        if std::thread::panicking() {
            let log = fs::read_to_string(self.directory.path().join("log"));
            eprintln!("--- prometheus ---\n{}", log.unwrap_or_default());
        }
    }
}

/// The rules without their patience.
fn hasty(rules: &str) -> String {
    let rules = Regex::new(r"for: [0-9]+[ms]")
        .expect("a pattern")
        .replace_all(rules, "for: 0s");
    let wait = "tpp_longest_wait_seconds > 30";
    assert!(rules.contains(wait), "{rules}");
    rules.replace(wait, "tpp_longest_wait_seconds > 1")
}

fn promtool(directory: &Path, arguments: &[&str]) {
    let outcome = Command::new("promtool")
        .current_dir(directory)
        .args(arguments)
        .output()
        .expect("run promtool (make watching installs it)");
    assert!(outcome.status.success(), "{arguments:?}: {outcome:?}");
}

/// Where a tpp serves its metrics.
fn metrics_of(proxy: &Proxy) -> SocketAddr {
    let address = proxy.status().health_listen;
    address.parse().expect("an address")
}

fn reload(proxy: &Proxy, settings: &Settings) -> Option<i32> {
    settings.write_to(proxy.directory());
    proxy.ctl(&["reload"]).code
}

#[test]
#[ignore = "needs Prometheus: make watching"]
fn promtool_finds_nothing_wrong_with_the_rules_and_the_boards_expressions() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("rules.yml"), RULES).expect("write");
    let board = serde_json::from_str(BOARD).expect("JSON");
    // It checks expressions in rules alone.
    let mut rules = "groups:\n- name: board\n  rules:\n".to_owned();
    for (at, (_, expression)) in expressions(&board).iter().enumerate() {
        let expression = expression.replace("$__rate_interval", "1m");
        let expression = Value::from(expression).to_string();
        rules += &format!("  - record: board:{at}\n    expr: {expression}\n");
    }
    fs::write(directory.path().join("board.yml"), rules).expect("write");
    promtool(directory.path(), &["check", "rules", "board.yml"]);
    promtool(
        directory.path(),
        &["check", "rules", "--lint-fatal", "rules.yml"],
    );
}

#[test]
#[ignore = "needs Prometheus: make watching"]
fn each_alert_fires_in_its_state_and_none_before() {
    let scene = Scene::start();
    // The only account of this one is refused from the begin.
    let stranger = Settings::in_front_of(&scene.upstream).known_account("stranger", 1);
    let targets = [&scene.plain, &scene.gateway].map(metrics_of);
    let prometheus = Prometheus::start(&targets);
    prometheus.wait_until_up(targets.len());
    let alerts = wait_for("all rules are looked at", || prometheus.alerts());
    assert!(alerts.len() >= 10, "{alerts:?}");
    assert!(
        alerts.values().all(|state| state == "inactive"),
        "{alerts:?}"
    );
    let mut untold = alerts;
    let mut fires = |alert: &str| {
        prometheus.wait_until_fires(alert);
        assert!(untold.remove(alert).is_some(), "{alert}");
    };

    scene.origin.set_fails(true);
    let failing = || Client::connect(scene.gateway.address()).get("/who").status;
    wait_until("the breaker is open", || failing() == 503);
    fires("TppBreakerOpen");
    scene.origin.set_fails(false);

    scene.origin.set_well(false);
    fires("TppBackendDown");

    let worker = scene.plain.workers()[0].pid;
    processes::send(worker, Signal::SIGKILL);
    fires("TppWorkerRestarts");
    scene.plain.wait_until_ready(2);

    let mut holder = scene.plain.client(&scene.upstream);
    holder.get("/who").ok();
    let mut waiting = scene.plain.client(&scene.upstream);
    waiting.send(&Request::get("/who"));
    fires("TppLongWait");
    drop(holder);
    waiting.read_answer().ok();
    drop(waiting);

    let lossy = scene.settings.clone().known_account("stranger", 1);
    let lossy = lossy.set("telemetry.access_log", "\"/dev/full\"");
    assert_eq!(reload(&scene.plain, &lossy), Some(0));
    fires("TppTokensMissing");
    fires("TppAccountsRefused");
    // Both samples of a rise have to be seen.
    scene.plain.client(&scene.upstream).get("/who").ok();
    fires("TppLogLinesDropped");

    assert_eq!(
        reload(&scene.gateway, &good_for(scene.of_gateway.clone(), 13)),
        Some(0)
    );
    fires("TppCertificateExpires");

    let wrong = scene.settings.clone().set("lease.mode", "\"wrong\"");
    assert_ne!(reload(&scene.plain, &wrong), Some(0));
    fires("TppReloadRefused");

    let poor = Proxy::start_without_tokens(&stranger);
    let another = Prometheus::start(&[metrics_of(&poor)]);
    another.wait_until_fires("TppNoToken");
    untold.remove("TppNoToken");

    for alert in of_a_lost_etcd(&scene.upstream) {
        assert!(untold.remove(alert).is_some(), "{alert}");
    }
    assert!(untold.is_empty(), "never driven into: {untold:?}");
}

/// Of one of many hosts: the alerts that fire, each when it ought to, while its etcd answers nobody.
fn of_a_lost_etcd(upstream: &Upstream) -> [&'static str; 2] {
    let etcd = Etcd::start().expect("etcd (make watching installs it)");
    let host = Settings::in_front_of(upstream)
        .account(upstream, "wanderer", 1)
        .set("hosts.endpoints", format!("[\"{}\"]", etcd.endpoint()))
        .set("hosts.cluster", "\"test\"")
        .set("hosts.name", "\"one\"")
        .set("hosts.home_percent", 0);
    let host = Proxy::start(&host);
    let prometheus = Prometheus::start(&[metrics_of(&host)]);
    prometheus.wait_until_up(1);
    let alerts = ["TppHostLosesEtcd", "TppHostLapsed"];
    let states = wait_for("all rules are looked at", || prometheus.alerts());
    for alert in alerts {
        assert_eq!(states[alert], "inactive", "{alert}");
    }
    etcd.stop();
    alerts.map(|alert| {
        prometheus.wait_until_fires(alert);
        alert
    })
}
