//! Virtual hosts, and the backends behind their tags: without tokens, so that nothing else decides where a request goes.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tpp::{
    config::{Affinity, BackendState, Selector, VirtualHost},
    ids::Origin,
    lending::{RowKeys, row_key},
    plan::{BackendPlan, HostPlan, Place, Plan},
    shared::{Failing, code_label},
};

use super::play::{Peer, Stage, soon, until};

/// Servers that say who they are, each in a backend of its own.
pub(super) struct Servers {
    pub(super) stage: Stage,
}

/// Answers whatever comes with `name` and what it was told in `Authorization`.
async fn tell(listener: TcpListener, name: &'static str) {
    loop {
        let mut peer = Peer::new(listener.accept().await.unwrap().0);
        tokio::spawn(async move {
            while !peer.is_at_end().await {
                let head = peer.head().await;
                let told = head
                    .lines()
                    .find_map(|line| line.strip_prefix("Authorization: "));
                let body = format!("{name} {}", told.unwrap_or("-"));
                let length = body.len();
                peer.send(format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"
                ))
                .await;
            }
        });
    }
}

fn backend(plan: &Plan, id: &str, tag: &str, address: SocketAddr) -> BackendPlan {
    BackendPlan {
        id: id.to_owned(),
        places: vec![Place {
            address,
            origin: Origin::NONE,
        }],
        tags: vec![tag.to_owned()],
        pool: None,
        ..plan.backends[0].clone()
    }
}

impl Servers {
    /// One backend for each of `names`, all with the tag `a`, behind the default host.
    pub(super) async fn new(names: &[&'static str]) -> Self {
        let mut stage = Stage::new(1, |_| {}).await;
        let mut addresses = Vec::new();
        for name in names {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            addresses.push((*name, listener.local_addr().unwrap()));
            stage.play(tell(listener, name));
        }
        stage.put_in_force(|plan| {
            let backends = addresses
                .iter()
                .map(|(name, address)| backend(plan, name, "a", *address));
            plan.backends = backends.collect();
            plan.hosts[0].host = VirtualHost::of("default", "a");
        });
        Self { stage }
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Plan)) {
        self.stage.put_in_force(change);
    }

    pub(super) async fn client(&self) -> Peer {
        self.stage.client().await
    }

    /// Who answers one request over a connection of its own.
    async fn who(&self) -> String {
        ask(&mut self.client().await, "").await.1
    }
}

/// Asks with these fields besides; head and body of the answer.
pub(super) async fn ask(client: &mut Peer, fields: &str) -> (String, String) {
    let host = if fields.contains("Host: ") {
        ""
    } else {
        "Host: x\r\n"
    };
    client
        .send(format!("GET / HTTP/1.1\r\n{host}{fields}\r\n"))
        .await;
    let head = client.head().await;
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "));
    let body = client.exactly(length.unwrap().parse().unwrap()).await;
    (head, body)
}

fn host(domain: &str, tag: &str) -> HostPlan {
    HostPlan {
        host: VirtualHost::of(domain, tag),
        rate_limit: None,
        access: None,
        permits: None,
        row: 0,
        pairs: Vec::new(),
        groups: Vec::new(),
    }
}

#[tokio::test]
async fn each_name_is_served_by_the_backends_of_its_tag_and_a_foreign_one_by_nobody() {
    let servers = Servers::new(&["one", "two"]).await;
    servers.change(|plan| {
        plan.backends[1].tags = vec!["b".to_owned()];
        plan.hosts = vec![host("a.example", "a"), host("*.b.example", "b")];
    });
    let mut client = servers.client().await;
    for (name, who) in [
        ("a.example", "one -"),
        ("x.B.example:80", "two -"),
        ("a.example.", "one -"),
    ] {
        assert_eq!(
            ask(&mut client, &format!("Host: {name}\r\n")).await.1,
            who,
            "{name}"
        );
    }
    let (head, body) = ask(&mut client, "Host: c.example\r\n").await;
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
    assert!(body.contains("\"not found\""), "{body}");
    // Nothing was wrong with the connection.
    assert_eq!(ask(&mut client, "Host: a.example\r\n").await.1, "one -");
}

#[tokio::test]
async fn a_backend_without_tokens_gets_what_the_client_says_and_no_token() {
    let servers = Servers::new(&["one"]).await;
    let mut client = servers.client().await;
    assert_eq!(
        ask(&mut client, "Authorization: Basic abc\r\n").await.1,
        "one Basic abc"
    );
    assert_eq!(ask(&mut client, "").await.1, "one -");
    assert_eq!(servers.stage.census().in_use, 0);
}

#[tokio::test]
async fn turns_are_taken_as_weights_say() {
    let servers = Servers::new(&["one", "two"]).await;
    servers.change(|plan| plan.backends[0].weight = 3);
    let mut seen = Vec::new();
    for _ in 0..8 {
        seen.push(servers.who().await);
    }
    assert_eq!(
        seen.iter().filter(|who| *who == "one -").count(),
        6,
        "{seen:?}"
    );
}

#[tokio::test]
async fn a_switch_takes_the_next_request_of_an_open_connection() {
    let servers = Servers::new(&["one", "two"]).await;
    servers.change(|plan| plan.backends[1].tags = vec!["b".to_owned()]);
    let mut client = servers.client().await;
    assert_eq!(ask(&mut client, "").await.1, "one -");
    servers.change(|plan| plan.hosts[0].host.enabled_backends_tag = "b".to_owned());
    let (head, body) = ask(&mut client, "").await;
    assert_eq!(body, "two -");
    assert!(
        !head.contains("close"),
        "nothing was lent, so nothing ends: {head}"
    );
}

#[tokio::test]
async fn who_is_down_or_drains_is_not_asked_and_a_backup_only_then() {
    let servers = Servers::new(&["one", "two", "three"]).await;
    servers.change(|plan| plan.backends[2].backup = true);
    servers.change(|plan| plan.backends[0].is_healthy = false);
    for _ in 0..4 {
        assert_eq!(servers.who().await, "two -");
    }
    servers.change(|plan| plan.backends[1].state = BackendState::Drain);
    assert_eq!(servers.who().await, "three -");
    servers.change(|plan| plan.backends[2].state = BackendState::Maint);
    let mut client = servers.client().await;
    let (head, body) = ask(&mut client, "").await;
    assert!(
        head.starts_with("HTTP/1.1 503 ") && head.contains("Retry-After: "),
        "{head}"
    );
    let why =
        "no backend with the tag \\\"a\\\" takes requests: 1 down, 1 draining, 1 in maintenance";
    assert!(body.contains(why), "{body}");
    servers.change(|plan| {
        let others = plan.backends[1..].iter_mut();
        others.for_each(|one| (one.state, one.is_healthy) = (BackendState::Ready, false));
    });
    let (_, body) = ask(&mut client, "").await;
    assert!(
        body.contains("all backends with the tag \\\"a\\\" are down"),
        "{body}"
    );
    servers.change(|plan| plan.backends[0].is_healthy = true);
    assert_eq!(ask(&mut client, "").await.1, "one -");
}

#[tokio::test]
async fn who_cannot_be_reached_costs_the_client_nothing_as_long_as_another_can() {
    let servers = Servers::new(&["one", "two"]).await;
    let nobody = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    servers.change(|plan| plan.backends[0].places[0].address = nobody);
    for _ in 0..4 {
        assert_eq!(servers.who().await, "two -");
    }
    // No more than configured.
    servers.change(|plan| plan.settings.retry.attempts = 0);
    let mut failed = 0;
    for _ in 0..4 {
        let (head, _) = ask(&mut servers.client().await, "").await;
        failed += usize::from(head.starts_with("HTTP/1.1 502 "));
    }
    assert_eq!(failed, 2);
}

#[tokio::test]
async fn by_its_cookie_a_client_stays_with_its_backend_and_with_the_next_one_when_that_is_gone() {
    let servers = Servers::new(&["one", "two", "three"]).await;
    servers.change(|plan| plan.hosts[0].host.affinity = Affinity::Cookie);
    let (head, first) = ask(&mut servers.client().await, "").await;
    let cookie = cookie_of(&head).expect("a new client gets one");
    assert!(!cookie.contains(first.split(' ').next().unwrap()));
    let with = |cookie: &str| format!("Cookie: other=1; {cookie}\r\n");
    for _ in 0..6 {
        let (head, who) = ask(&mut servers.client().await, &with(&cookie)).await;
        assert_eq!((who, cookie_of(&head)), (first.clone(), None));
    }
    let index = ["one -", "two -", "three -"]
        .iter()
        .position(|who| *who == first)
        .unwrap();
    servers.change(|plan| plan.backends[index].is_healthy = false);
    let (head, second) = ask(&mut servers.client().await, &with(&cookie)).await;
    assert_ne!(second, first);
    let moved = cookie_of(&head).expect("it is told where it is now");
    servers.change(|plan| plan.backends[index].is_healthy = true);
    for _ in 0..6 {
        assert_eq!(
            ask(&mut servers.client().await, &with(&moved)).await.1,
            second
        );
    }
}

/// The cookie that an answer sets.
fn cookie_of(head: &str) -> Option<String> {
    let line = head
        .lines()
        .find_map(|line| line.strip_prefix("Set-Cookie: "))?;
    assert!(line.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{line}");
    line.split(';').next().map(str::to_owned)
}

#[tokio::test]
async fn a_split_sends_some_elsewhere_and_keeps_them_there_when_it_grows() {
    let servers = Servers::new(&["one", "two"]).await;
    let split = |percent| {
        servers.change(|plan| {
            plan.backends[1].tags = vec!["b".to_owned()];
            let host = &mut plan.hosts[0].host;
            host.split = [("b".to_owned(), percent)].into();
            host.split_by = Selector::Header("x-key".to_owned());
        });
    };
    split(30);
    let mut client = servers.client().await;
    let mut moved = Vec::new();
    for key in 0..200 {
        if ask(&mut client, &format!("X-Key: {key}\r\n")).await.1 == "two -" {
            moved.push(key);
        }
    }
    assert!((30..=90).contains(&moved.len()), "{}", moved.len());
    split(60);
    for key in moved {
        assert_eq!(
            ask(&mut client, &format!("X-Key: {key}\r\n")).await.1,
            "two -"
        );
    }
    split(100);
    assert_eq!(soon("all", servers.who()).await, "two -");
}

#[tokio::test]
async fn each_request_is_counted_at_its_host_also_one_whose_client_leaves() {
    let mut servers = Servers::new(&["one"]).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    servers.stage.play(async move {
        let _open = silent.accept().await;
        std::future::pending::<()>().await;
    });
    let keys = RowKeys {
        hosts: vec![row_key(&["default"]), row_key(&["b.example"])],
        ..RowKeys::default()
    };
    let rows = servers.stage.stock.give_rows(9, &keys).unwrap().hosts;
    servers.change(|plan| {
        let silent = backend(plan, "silent", "b", address);
        plan.backends.push(silent);
        plan.hosts.push(host("b.example", "b"));
        for (host, row) in plan.hosts.iter_mut().zip(&rows) {
            host.row = *row;
        }
    });
    let totals = |index: usize| servers.stage.stock.host_totals(rows[index]);
    let count = |index: usize, code: &str| {
        let codes = totals(index).codes;
        let at = (0..codes.len()).find(|at| code_label(*at) == code);
        codes[at.unwrap()]
    };
    let mut client = servers.client().await;
    for _ in 0..3 {
        ask(&mut client, "").await;
    }
    let mut leaving = servers.client().await;
    leaving
        .send("GET / HTTP/1.1\r\nHost: b.example\r\n\r\n")
        .await;
    until("it is under way", || totals(1).in_flight == 1).await;
    leaving.reset();
    until("the one who left is counted", || count(1, "499") == 1).await;
    until("all are counted", || count(0, "200") == 3).await;
    assert_eq!((totals(0).in_flight, totals(1).in_flight), (0, 0));
    assert_eq!(totals(0).duration.buckets.iter().sum::<u64>(), 3);
    assert_eq!(totals(1).failures[Failing::ClientGone as usize], 1);
}
