use std::sync::{Arc, Mutex};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

type Answer = Result<Vec<&'static str>, io::ErrorKind>;

/// Answers what it is told to, and counts how often it was asked.
#[derive(Clone)]
struct Script(Arc<Mutex<(Answer, usize)>>);

impl Script {
    fn new(answer: Answer) -> Self {
        Self(Arc::new(Mutex::new((answer, 0))))
    }

    fn set(&self, answer: Answer) {
        self.0.lock().unwrap().0 = answer;
    }

    fn asked(&self) -> usize {
        self.0.lock().unwrap().1
    }
}

impl Lookup for Script {
    async fn lookup(&self, _host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let mut script = self.0.lock().unwrap();
        script.1 += 1;
        let ips = script.0.clone()?;
        Ok(ips
            .iter()
            .map(|ip| SocketAddr::new(ip.parse().unwrap(), port))
            .collect())
    }
}

fn upstream(host: &str) -> Upstream {
    Upstream::at(host, 8848)
}

fn shown<L: Lookup>(resolver: &Resolver<L>) -> Vec<String> {
    resolver
        .addresses()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[tokio::test]
async fn an_address_needs_no_lookup() {
    let now = Instant::now();
    for (host, address) in [("192.0.2.7", "192.0.2.7:8848"), ("::1", "[::1]:8848")] {
        let script = Script::new(Ok(vec![]));
        let mut resolver = Resolver::with_lookup(&upstream(host), now, script.clone());
        assert_eq!(shown(&resolver), [address]);
        assert_eq!(resolver.next_look(), None);
        assert!(matches!(resolver.look(now).await, Resolution::Skipped));
        assert!(matches!(
            resolver.look_on_request(now).await,
            Resolution::Skipped
        ));
        assert_eq!(script.asked(), 0);
    }
}

#[tokio::test]
async fn addresses_are_sorted_and_each_is_there_once() {
    let now = Instant::now();
    let script = Script::new(Ok(vec![
        "192.0.2.9",
        "2001:db8::1",
        "192.0.2.1",
        "192.0.2.9",
    ]));
    let mut resolver = Resolver::with_lookup(&upstream("db"), now, script.clone());
    assert!(resolver.addresses().is_empty());
    assert!(matches!(resolver.look(now).await, Resolution::Changed));
    assert_eq!(
        shown(&resolver),
        ["192.0.2.1:8848", "192.0.2.9:8848", "[2001:db8::1]:8848"]
    );
    script.set(Ok(vec!["2001:db8::1", "192.0.2.9", "192.0.2.1"]));
    assert!(
        matches!(
            resolver.look(now + 30 * SECOND).await,
            Resolution::Unchanged
        ),
        "another order is no change"
    );
}

#[tokio::test]
async fn a_name_is_looked_up_every_thirty_seconds() {
    let now = Instant::now();
    let script = Script::new(Ok(vec!["192.0.2.1"]));
    let mut resolver = Resolver::with_lookup(&upstream("db"), now, script.clone());
    resolver.look(now).await;
    assert_eq!(resolver.next_look(), Some(now + 30 * SECOND));
    assert!(matches!(
        resolver.look(now + 29 * SECOND).await,
        Resolution::Skipped
    ));
    script.set(Ok(vec!["192.0.2.2"]));
    assert!(matches!(
        resolver.look(now + 30 * SECOND).await,
        Resolution::Changed
    ));
    assert_eq!(shown(&resolver), ["192.0.2.2:8848"]);
    assert_eq!(script.asked(), 2);
}

#[tokio::test]
async fn requests_are_heard_once_a_second() {
    let now = Instant::now();
    let script = Script::new(Ok(vec!["192.0.2.1"]));
    let mut resolver = Resolver::with_lookup(&upstream("db"), now, script.clone());
    resolver.look(now).await;
    assert!(matches!(
        resolver.look_on_request(now + SECOND / 2).await,
        Resolution::Skipped
    ));
    assert!(matches!(
        resolver.look_on_request(now + SECOND).await,
        Resolution::Unchanged
    ));
    assert!(matches!(
        resolver.look_on_request(now + SECOND * 3 / 2).await,
        Resolution::Skipped
    ));
    assert_eq!(script.asked(), 2);
    assert_eq!(resolver.next_look(), Some(now + 31 * SECOND));
}

#[tokio::test]
async fn a_failed_lookup_keeps_what_is_known() {
    let now = Instant::now();
    let script = Script::new(Ok(vec!["192.0.2.1"]));
    let mut resolver = Resolver::with_lookup(&upstream("db"), now, script.clone());
    resolver.look(now).await;
    for answer in [Err(io::ErrorKind::Other), Ok(vec![])] {
        script.set(answer);
        let due = resolver.next_look().unwrap();
        assert!(matches!(resolver.look(due).await, Resolution::Failed(_)));
        assert_eq!(shown(&resolver), ["192.0.2.1:8848"]);
        assert_eq!(resolver.next_look(), Some(due + 30 * SECOND));
    }
}

#[tokio::test]
async fn without_any_address_a_failed_lookup_is_soon_repeated() {
    let now = Instant::now();
    let script = Script::new(Err(io::ErrorKind::Other));
    let mut resolver = Resolver::with_lookup(&upstream("db"), now, script.clone());
    let Resolution::Failed(error) = resolver.look(now).await else {
        panic!("it resolved")
    };
    assert_eq!(error.to_string(), "resolve db");
    assert_eq!(resolver.next_look(), Some(now + SECOND));
    script.set(Ok(vec!["192.0.2.1"]));
    assert!(matches!(
        resolver.look(now + SECOND).await,
        Resolution::Changed
    ));
    assert_eq!(resolver.next_look(), Some(now + 31 * SECOND));
}

#[tokio::test]
async fn the_system_knows_localhost_and_not_an_impossible_name() {
    let now = Instant::now();
    let mut resolver = Resolver::new(&upstream("localhost"), now);
    assert!(matches!(resolver.look(now).await, Resolution::Changed));
    assert!(
        resolver
            .addresses()
            .iter()
            .all(|address| address.ip().is_loopback() && address.port() == 8848)
    );
    // A label of 64 letters is refused by the system's resolver before it asks anybody.
    let mut resolver = Resolver::new(&upstream(&"x".repeat(64)), now);
    assert!(matches!(
        resolver.look(now).await,
        Resolution::Failed(ResolveError::Lookup { .. })
    ));
}

struct Deaf;

impl Lookup for Deaf {
    async fn lookup(&self, _host: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_lookup_without_an_answer_is_given_up() {
    let now = Instant::now();
    let mut resolver = Resolver::with_lookup(&upstream("db"), now, Deaf);
    assert!(matches!(
        resolver.look(now).await,
        Resolution::Failed(ResolveError::Timeout { .. })
    ));
}
