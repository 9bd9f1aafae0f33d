//! What the API says of tpp itself, and has it do.

use serde_json::json;

use crate::{
    asking::{Asking, DESCRIPTION, address_of, settings},
    common::{
        client::Client, message::Request, proxy::Proxy, settings::Settings, upstream::Upstream,
        wait_until,
    },
};

fn tpp(upstream: &Upstream) -> (Settings, Proxy) {
    let settings = settings(upstream).accounts(upstream, 1);
    let proxy = Proxy::start(&settings);
    (settings, proxy)
}

#[test]
fn it_shows_health_workers_plan_numbers_and_its_own_description() {
    let upstream = Upstream::start();
    let (_, proxy) = tpp(&upstream);
    let asking = Asking::of(&proxy);
    let health = asking.get("/health").ok().json();
    assert_eq!(health["status"], "healthy");
    assert_eq!(
        health["pool"],
        json!({"total": 1, "in_use": 0, "available": 1, "waiting": 0})
    );
    let workers = asking.get("/workers").ok().json();
    assert_eq!(workers.as_array().unwrap().len(), 2);
    assert!(
        workers
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["state"] == "ready"),
        "{workers}"
    );
    let answer = asking.get("/generation").ok();
    let plan = answer.json();
    assert_eq!(plan["reached"], true);
    let generation = plan["generation"].as_u64().unwrap();
    for worker in plan["workers"].as_array().unwrap() {
        assert_eq!(worker["generation"], generation, "{plan}");
    }
    assert_eq!(
        answer.head.field("tpp-generation"),
        Some(generation.to_string().as_str())
    );
    let metrics = asking.get("/metrics").ok().text();
    assert!(metrics.contains("\ntpp_tokens_total 1\n"), "{metrics}");
    assert_eq!(asking.get("/openapi.json").ok().json(), *DESCRIPTION);
}

#[test]
fn a_head_has_what_a_get_has_but_the_body() {
    let upstream = Upstream::start();
    let (_, proxy) = tpp(&upstream);
    let mut client = Client::connect(address_of(&proxy));
    let head = client.ask(&Request::new("HEAD", "/api/v1/pools"));
    assert_eq!(head.status, 200);
    assert_eq!(head.head.field("content-type"), Some("application/json"));
    // The connection goes on: nothing followed the head.
    assert_eq!(client.get("/api/v1/pools").status, 200);
}

#[test]
fn a_reload_is_done_or_says_all_that_is_wrong() {
    let upstream = Upstream::start();
    let (settings, proxy) = tpp(&upstream);
    let asking = Asking::of(&proxy);
    let before = asking.get("/generation").json()["generation"]
        .as_u64()
        .unwrap();
    let wrong = settings
        .clone()
        .set("lease.max_waiting", "\"many\"")
        .set("client.hair_timeout_seconds", 3);
    wrong.write_to(proxy.directory());
    let answer = asking.post("/reload", None);
    assert_eq!(answer.status, 400);
    let problems = answer.json()["problems"].as_array().unwrap().clone();
    let lines: Vec<_> = problems
        .iter()
        .map(|one| one["detail"].as_str().unwrap())
        .collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    let fields: Vec<_> = problems.iter().map(|one| one["field"].as_str()).collect();
    for field in ["lease.max_waiting", "client.hair_timeout_seconds"] {
        assert!(fields.contains(&Some(field)), "{fields:?}");
    }
    assert_eq!(answer.json()["field"], problems[0]["field"]);
    assert!(
        lines.iter().any(|line| line.contains("lease.max_waiting")),
        "{lines:?}"
    );
    assert!(
        lines
            .iter()
            .any(|line| line.contains("client.hair_timeout_seconds")),
        "{lines:?}"
    );
    settings
        .clone()
        .set("lease.max_waiting", 3)
        .write_to(proxy.directory());
    let done = asking.post("/reload", None).ok().json();
    assert_eq!(done["changes"], "changed: lease");
    assert!(done["generation"].as_u64().unwrap() > before, "{done}");
    wait_until("the change is in the log", || {
        proxy
            .log()
            .lines()
            .any(|line| line.contains("changed by API") && line.contains("reload: changed: lease"))
    });
    settings
        .set("health_listen", "\"127.0.0.2:0\"")
        .write_to(proxy.directory());
    let answer = asking.post("/reload", None);
    assert_eq!(answer.status, 409);
    assert!(
        answer
            .text()
            .contains("a change of health_listen needs a restart"),
        "{}",
        answer.text()
    );
}

#[test]
fn a_configuration_is_checked_without_a_change() {
    let upstream = Upstream::start();
    let (_, proxy) = tpp(&upstream);
    let asking = Asking::of(&proxy);
    let before = asking.get("/generation").json()["generation"].clone();
    let check = |media: &str, body: &str| {
        let request = Request::post("/api/v1/config/check", body).field("Content-Type", media);
        asking.send(request, "POST", "/config/check")
    };
    let sound =
        "[upstream]\nhost = \"a.example\"\n[[credentials]]\nusername = \"a\"\npassword = \"b\"\n";
    assert_eq!(check("application/toml", sound).ok().json()["status"], "ok");
    let same = json!({"upstream": {"host": "a.example"}, "credentials": [{"username": "a", "password": "b"}]});
    check("application/json", &same.to_string()).ok();
    let wrong = check(
        "application/toml",
        "[upstream]\nhost = \"a.example\"\nport = 0\n[lease]\nmode = \"x\"\n",
    );
    assert_eq!(wrong.status, 400);
    let problems = wrong.json()["problems"].as_array().unwrap().clone();
    let fields: Vec<_> = problems
        .iter()
        .map(|one| one["field"].as_str().unwrap())
        .collect();
    assert!(
        fields.contains(&"upstream.port") && fields.contains(&"lease.mode"),
        "{fields:?}"
    );
    assert_eq!(check("application/json", "{").status, 400);
    assert_eq!(check("text/html", sound).status, 415);
    assert_eq!(asking.get("/generation").json()["generation"], before);
}

#[test]
fn while_tpp_ends_it_says_so() {
    let upstream = Upstream::start();
    let (_, mut proxy) = tpp(&upstream);
    let asking = Asking::of(&proxy);
    let mut client = proxy.client(&upstream);
    client.send(&Request::get("/gate/open"));
    wait_until("it is in service", || {
        upstream.gates().waiting_at("open") == 1
    });
    proxy.signal_supervisor(nix::sys::signal::Signal::SIGTERM);
    wait_until("the API says that tpp is stopping", || {
        asking.get("/health").status == 503
    });
    upstream.gates().open("open");
    client.read_answer().ok();
    drop(client);
    assert_eq!(proxy.wait_for_exit().code(), Some(0));
    proxy.assert_gone();
}
