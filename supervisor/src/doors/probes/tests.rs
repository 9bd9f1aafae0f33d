use std::{net::SocketAddr, sync::Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::oneshot,
    task::JoinHandle,
};

use super::*;
use crate::outlook::{metrics, snapshot::examples};

/// Answers with whatever the test puts here.
struct Fixed(Mutex<Snapshot>, Mutex<Option<Secret>>, Scrapes);

impl Source for Fixed {
    fn glance(&self) -> Snapshot {
        self.0.lock().unwrap().clone()
    }

    fn scrapes(&self) -> &Scrapes {
        &self.2
    }

    fn metrics_token(&self) -> Option<Secret> {
        self.1.lock().unwrap().clone()
    }
}

impl Fixed {
    fn change(&self, change: impl FnOnce(&mut Snapshot)) {
        change(&mut self.0.lock().unwrap());
    }
}

fn healthy() -> Snapshot {
    let mut snapshot = examples::snapshot(150, 200);
    let details = Arc::make_mut(&mut snapshot.details);
    details.upstream_addresses = vec!["127.0.0.1:8848".parse().unwrap()];
    snapshot
}

struct Server {
    address: SocketAddr,
    source: Arc<Fixed>,
    stop: oneshot::Sender<()>,
    running: JoinHandle<io::Result<()>>,
}

impl Server {
    fn start(limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let source = Arc::new(Fixed(
            Mutex::new(healthy()),
            Mutex::default(),
            Scrapes::default(),
        ));
        let (stop, stopped) = oneshot::channel();
        let stopped = async { stopped.await.unwrap_or_default() };
        let running = tokio::spawn(serve_within(
            limits,
            listener,
            Arc::clone(&source) as Arc<dyn Source>,
            stopped,
        ));
        Self {
            address,
            source,
            stop,
            running,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `request` as it is, closes that half, and reads to the end.
    async fn exchange(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// Code, head and body of the answer to `METHOD path`.
    async fn ask(&self, method: &str, path: &str) -> (u16, String, String) {
        self.ask_with(method, path, "").await
    }

    /// The same with further lines in the head.
    async fn ask_with(&self, method: &str, path: &str, lines: &str) -> (u16, String, String) {
        let answer = self
            .exchange(&format!(
                "{method} {path} HTTP/1.1\r\nHost: x\r\n{lines}\r\n"
            ))
            .await;
        let (head, body) = answer.split_once("\r\n\r\n").expect(&answer);
        (
            head[9..12].parse().unwrap(),
            head.to_lowercase(),
            body.to_owned(),
        )
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let (code, _, body) = self.ask("GET", path).await;
        (code, body)
    }
}

/// Reads until the server closes, however it does so.
async fn closed(mut stream: TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    answer
}

#[tokio::test]
async fn health_is_in_one_word_and_its_code_tells_whether_it_serves() {
    let server = Server::start(LIMITS);
    for (total, health, expected) in [
        (200, "healthy", 200),
        (199, "degraded", 200),
        (0, "unhealthy", 503),
    ] {
        server.source.change(|now| now.numbers.pool.total = total);
        for path in ["/health", "/healthz"] {
            let (code, head, body) = server.ask("GET", path).await;
            assert_eq!(code, expected, "{path} {health}");
            assert!(
                head.contains("\r\ncontent-type: application/json"),
                "{head}"
            );
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(body["status"], health);
            assert_eq!(body["pool"]["total"], total);
        }
    }
    server.source.change(|now| *now = healthy());
    let (_, body) = server.get("/health").await;
    assert!(
        body.contains(r#""pool":{"total":200,"in_use":150,"available":50,"waiting":0}"#),
        "{body}"
    );
}

#[tokio::test]
async fn it_is_live_whatever_its_health() {
    let server = Server::start(LIMITS);
    server.source.change(|now| *now = Snapshot::default());
    assert_eq!(
        server.get("/livez").await,
        (200, r#"{"status":"alive"}"#.into())
    );
}

#[tokio::test]
async fn readiness_says_what_is_missing() {
    let server = Server::start(LIMITS);
    assert_eq!(
        server.get("/readyz").await,
        (200, r#"{"status":"ready"}"#.into())
    );
    server.source.change(|now| now.numbers.pool.total = 0);
    let expected = r#"{"reason":"no usable token","status":"not ready"}"#;
    assert_eq!(server.get("/readyz").await, (503, expected.into()));
}

#[tokio::test]
async fn metrics_are_prometheus_text() {
    let server = Server::start(LIMITS);
    let (code, head, body) = server.ask("GET", "/metrics").await;
    assert_eq!(code, 200);
    assert!(
        head.contains("\r\ncontent-type: text/plain; version=0.0.4"),
        "{head}"
    );
    let families = metrics::families(&server.source.glance());
    assert_eq!(body, metrics::text(&families));
}

#[tokio::test]
async fn metrics_are_openmetrics_for_those_who_ask() {
    let server = Server::start(LIMITS);
    let accept = "Accept: application/openmetrics-text; version=1.0.0\r\n";
    let (code, head, body) = server.ask_with("GET", "/metrics", accept).await;
    assert_eq!(code, 200);
    let kind = "\r\ncontent-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n";
    assert!(format!("{head}\r\n").contains(kind), "{head}");
    let families = metrics::families(&server.source.glance());
    assert_eq!(body, metrics::openmetrics::render(&families));
}

#[tokio::test]
async fn a_token_shuts_the_metrics_and_nothing_else() {
    let server = Server::start(LIMITS);
    let token = Secret::new("s3cret".to_owned());
    *server.source.1.lock().unwrap() = Some(token);
    for path in ["/metrics", "/api/v1/metrics", "/api/gateway/metrics"] {
        for method in ["GET", "HEAD"] {
            let (code, head, body) = server.ask(method, path).await;
            assert_eq!(code, 401, "{method} {path}");
            let challenge = "\r\nwww-authenticate: bearer realm=\"tpp\"\r\n";
            assert!(format!("{head}\r\n").contains(challenge), "{head}");
            assert!(!body.contains("tpp_"), "{body}");
        }
        for wrong in [
            "Bearer s3cre",
            "Bearer s3crets",
            "Basic s3cret",
            "s3cret",
            "Bearer ",
        ] {
            let line = format!("Authorization: {wrong}\r\n");
            let (code, head, body) = server.ask_with("GET", path, &line).await;
            assert_eq!(code, 401, "{wrong}");
            assert!(head.contains("\r\nwww-authenticate: bearer "), "{head}");
            assert!(!body.contains("s3cret"), "{body}");
        }
        for right in ["Bearer s3cret", "bearer  s3cret "] {
            let line = format!("Authorization: {right}\r\n");
            let (code, _, body) = server.ask_with("GET", path, &line).await;
            assert_eq!(code, 200, "{right}");
            assert!(body.contains("tpp_tokens_total 200"), "{body}");
        }
    }
    for path in ["/health", "/healthz", "/livez", "/readyz"] {
        assert_eq!(server.get(path).await.0, 200, "{path}");
    }
    *server.source.1.lock().unwrap() = None;
    assert_eq!(server.get("/metrics").await.0, 200);
}

#[tokio::test]
async fn a_head_request_gets_the_head_alone() {
    let server = Server::start(LIMITS);
    for path in ["/health", "/metrics", "/readyz"] {
        let (code, head, body) = server.ask("HEAD", path).await;
        assert_eq!((code, body.as_str()), (200, ""), "{path}");
        assert!(head.contains("\r\ncontent-length: "), "{head}");
    }
}

#[tokio::test]
async fn other_paths_and_methods_are_refused_in_json() {
    let server = Server::start(LIMITS);
    let (code, head, body) = server.ask("GET", "/metrics/x").await;
    assert_eq!(code, 404);
    assert!(
        head.contains("\r\ncontent-type: application/json"),
        "{head}"
    );
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&body).unwrap()["error"],
        "not found"
    );

    let (code, head, body) = server.ask("POST", "/health").await;
    assert_eq!(code, 405);
    assert!(head.contains("\r\nallow: get,head"), "{head}");
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&body).unwrap()["error"],
        "method not allowed"
    );
}

#[tokio::test]
async fn garbage_and_oversized_heads_are_client_errors() {
    let server = Server::start(LIMITS);
    let garbage = server.exchange("\x16\x03\x01\x02\r\n\r\n").await;
    assert!(garbage.starts_with("HTTP/1.1 400 "), "{garbage}");

    let mut stream = server.connect().await;
    let head = format!("GET /health HTTP/1.1\r\nX: {}\r\n", "x".repeat(1 << 20));
    // The server may close before it has all.
    let _ = stream.write_all(head.as_bytes()).await;
    let answer = String::from_utf8(closed(stream).await).unwrap();
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431 "),
        "{answer}"
    );
    assert_eq!(server.get("/livez").await.0, 200);
}

#[tokio::test]
async fn a_connection_carries_one_request() {
    let server = Server::start(LIMITS);
    let twice = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2);
    let answer = server.exchange(&twice).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 1, "{answer}");
    assert!(
        answer.to_lowercase().contains("\r\nconnection: close\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_silent_client_gives_its_place_up() {
    let server = Server::start(Limits {
        connections: 1,
        exchange: Duration::from_millis(50),
    });
    let silent = server.connect().await;
    let mut slow = server.connect().await;
    slow.write_all(b"GET /livez HT").await.unwrap();
    // Accepted only when both are gone, as there is one place and they came first.
    assert_eq!(server.get("/livez").await.0, 200);
    assert_eq!(closed(silent).await, b"");
    assert_eq!(closed(slow).await, b"");
}

#[tokio::test]
async fn it_stops_when_told() {
    let server = Server::start(LIMITS);
    assert_eq!(server.get("/livez").await.0, 200);
    server.stop.send(()).unwrap();
    server.running.await.unwrap().unwrap();
    let refused = TcpStream::connect(server.address).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
}
