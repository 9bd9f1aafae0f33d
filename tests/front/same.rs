//! What tpp says itself is the same in both versions of HTTP.

use std::collections::BTreeMap;

use super::{
    browser::{Answer, Browser},
    common::{origin::Origin, proxy::Proxy, wait_until},
    http2::agreed,
    scene::{Scene, secure},
    speaks::{Answered, Http2, runtime},
};

const NAMES: [&str; 6] = [
    "a.test",
    "rated.test",
    "broken.test",
    "closed.test",
    "full.test",
    "unknown.test",
];

/// An answer, but for what no two have alike.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    status: u16,
    fields: BTreeMap<String, String>,
    body: String,
}

impl Said {
    fn new<'a>(
        status: u16,
        fields: impl Iterator<Item = (&'a str, &'a str)>,
        body: String,
    ) -> Self {
        let fields = fields.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
        let is_its_own =
            |name: &str| !matches!(name, "connection" | "date" | "keep-alive" | "x-request-id");
        let mut fields: BTreeMap<_, _> = fields.filter(|(name, _)| is_its_own(name)).collect();
        if let Some(after) = fields.get_mut("retry-after") {
            // The clock goes on between the two.
            let seconds: u64 = after.parse().expect("seconds");
            *after = format!("at least {}", seconds.min(1));
        }
        Self {
            status,
            fields,
            body,
        }
    }

    fn of_old(answer: Answer) -> Self {
        let fields = answer.head.lines().filter_map(|line| line.split_once(": "));
        Self::new(answer.status, fields, answer.body.clone())
    }

    fn of_new(answer: Answered) -> Self {
        let fields = answer.head.headers().iter();
        let fields = fields.map(|(name, value)| (name.as_str(), value.to_str().expect("text")));
        let body = String::from_utf8(answer.body).expect("text");
        Self::new(answer.head.status().as_u16(), fields, body)
    }
}

/// What one client of each version is answered by `host`.
fn both(proxy: &Proxy, scene: &Scene, host: &str) -> [Said; 2] {
    let browser = Browser::trusting(&scene.authority);
    let mut old = browser
        .connect(secure(proxy), "a.test")
        .expect("a handshake");
    let old = old.get(host, "/").expect(host);
    let new = runtime().block_on(async {
        let (_, tls) = agreed(proxy, scene).await;
        let client = Http2::over(tls).await;
        let request = http::Request::get(format!("https://{host}/")).body(());
        client.ask(request.expect("a request"), None).await
    });
    [Said::of_old(old), Said::of_new(new.expect(host))]
}

fn host(name: &str, tag: &str, further: &str) -> String {
    format!(
        "\n[[virtual_hosts]]\ndomain = \"{name}\"\nenabled_backends_tag = \"{tag}\"\n{further}\n"
    )
}

#[test]
fn what_tpp_says_itself_is_said_alike_in_both_protocols() {
    let (failing, slow) = (Origin::start("failing"), Origin::start("slow"));
    let breaker = "circuit_breaker = { enabled = true, failure_threshold = 1, recovery_timeout_seconds = 600 }";
    let hosts = [
        host("a.test", "a", ""),
        host("rated.test", "a", "rate_limit = \"few\""),
        host("broken.test", "b", breaker),
        host("closed.test", "a", "access = \"nobody\""),
        host("full.test", "c", "max_concurrent = 1"),
        "\n[[rate_limits]]\nname = \"few\"\nrequests = 1\nper_seconds = 3600\nburst = 1\n".into(),
        "\n[[access]]\nname = \"nobody\"\ndeny = [\"0.0.0.0/0\"]\n".into(),
        failing.table("\"b\"", ""),
        slow.table("\"c\"", ""),
    ];
    let (scene, _) = Scene::new("", &hosts.concat()).certificate("one", &NAMES);
    let proxy = scene.start();
    failing.set_fails(true);
    slow.hold(true);
    let browser = Browser::trusting(&scene.authority);
    let mut client = browser
        .connect(secure(&proxy), "a.test")
        .expect("a handshake");
    for (host, status) in [("rated.test", 200), ("broken.test", 500)] {
        assert_eq!(client.get(host, "/").expect(host).status, status, "{host}");
    }
    std::thread::scope(|scope| {
        let holder = scope.spawn(|| client.get("full.test", "/").expect("an answer").status);
        wait_until("the only place is taken", || slow.asked().len() == 1);
        for (host, status, field) in [
            ("a.test", 200, "content-length"),
            ("rated.test", 429, "retry-after"),
            ("broken.test", 503, "x-circuit-breaker"),
            ("broken.test", 503, "retry-after"),
            ("closed.test", 403, "content-type"),
            ("full.test", 429, "retry-after"),
            ("unknown.test", 404, "content-type"),
            ("other.test", 421, "content-type"),
        ] {
            let [old, new] = both(&proxy, &scene, host);
            assert_eq!(old, new, "{host}");
            assert_eq!(old.status, status, "{host}: {old:?}");
            assert!(old.fields.contains_key(field), "{host}: {old:?}");
        }
        slow.hold(false);
        assert_eq!(holder.join().expect("an answer"), 200);
    });
}
