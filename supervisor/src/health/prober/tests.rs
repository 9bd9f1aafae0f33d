use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tpp::config::Credential;

use super::*;
use crate::{
    health::rules::{Rules, Trust},
    provider::{Grant, Granting, LoginError, Provider, Token},
};

/// A server that answers each connection's first bytes with `answer`; what it was asked.
async fn server(answer: Vec<u8>) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let read = stream.read(&mut request).await.unwrap_or(0);
            let text = String::from_utf8_lossy(&request[..read]).into_owned();
            seen.lock().unwrap().push(text);
            let _ = stream.write_all(&answer).await;
        }
    });
    (address, asked)
}

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

fn target(kind: Kind, addresses: &[SocketAddr]) -> Target {
    let port = addresses.first().map_or(80, SocketAddr::port);
    Target {
        id: "a".to_owned(),
        upstream: Upstream::at("backend.example", port),
        trust: Trust::default(),
        addresses: addresses.to_vec(),
        rules: Rules {
            kind,
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            healthy_threshold: 1,
            unhealthy_threshold: 1,
        },
    }
}

fn http() -> Kind {
    Kind::Http {
        path: "/health?deep=1".to_owned(),
        expect: serde_json::from_str("[[200,299],[401,401]]").unwrap(),
    }
}

async fn check_answer(answer: &str) -> Result<Alive, String> {
    let (address, _) = server(answer.as_bytes().to_vec()).await;
    Network.check(&target(http(), &[address])).await
}

#[tokio::test]
async fn the_request_is_one_that_a_server_can_tell_from_others() {
    let (address, asked) = server(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()).await;
    let result = Network.check(&target(http(), &[address])).await;
    assert_eq!(result, Ok(Alive::Well));
    let request = asked.lock().unwrap()[0].to_ascii_lowercase();
    let port = address.port();
    assert!(
        request.starts_with("get /health?deep=1 http/1.1\r\n"),
        "{request}"
    );
    for line in [
        format!("host: backend.example:{port}"),
        format!("user-agent: {USER_AGENT}"),
        "connection: close".to_owned(),
    ] {
        assert!(request.contains(&format!("\r\n{line}\r\n")), "{request}");
    }
}

#[tokio::test]
async fn the_status_decides_and_a_redirect_is_not_followed() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    assert_eq!(check_answer(ok).await, Ok(Alive::Well));
    let listed = "HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(check_answer(listed).await, Ok(Alive::Well));
    let (elsewhere, asked) = server(ok.as_bytes().to_vec()).await;
    let moved =
        format!("HTTP/1.1 302 Found\r\nLocation: http://{elsewhere}/\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(
        check_answer(&moved).await.unwrap_err(),
        "answered with status 302"
    );
    assert!(asked.lock().unwrap().is_empty());
    let broken = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(
        check_answer(broken).await.unwrap_err(),
        "answered with status 503"
    );
}

#[tokio::test]
async fn half_an_answer_is_none_and_no_more_of_one_is_read_than_need_be() {
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok";
    let error = check_answer(half).await.unwrap_err();
    assert!(error.starts_with("exchange broken off: "), "{error}");
    for nonsense in ["", "SSH-2.0-OpenSSH_9.9\r\n"] {
        let error = check_answer(nonsense).await.unwrap_err();
        assert!(error.starts_with("exchange broken off: "), "{error}");
    }
    let mut long = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n".to_vec();
    long.resize(long.len() + 2 * MOST_BODY, b'x');
    let (address, _) = server(long).await;
    let result = Network.check(&target(http(), &[address])).await;
    assert_eq!(result, Ok(Alive::Well));
}

#[tokio::test]
async fn any_address_that_is_reached_will_do() {
    let (address, _) = server(Vec::new()).await;
    let result = Network
        .check(&target(Kind::Tcp, &[nobody(), address]))
        .await;
    assert_eq!(result, Ok(Alive::Well));
    let dead = nobody();
    let error = Network
        .check(&target(Kind::Tcp, &[dead]))
        .await
        .unwrap_err();
    assert!(error.starts_with(&format!("connect {dead}: ")), "{error}");
    let error = Network.check(&target(http(), &[])).await.unwrap_err();
    assert_eq!(error, "resolve backend.example: it has no address");
}

#[tokio::test]
async fn tls_is_spoken_and_trusted_as_by_requests() {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls");
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let secured = |kind| {
        let address = crate::provider::tests::server::tls_once(ok.to_owned());
        let mut target = target(kind, &[address]);
        target.upstream.host = "localhost".to_owned();
        target.upstream.tls = true;
        target.upstream.ca_file = Some(format!("{fixtures}/ca.pem").into());
        target
    };
    assert_eq!(Network.check(&secured(http())).await, Ok(Alive::Well));
    assert_eq!(Network.check(&secured(Kind::Tcp)).await, Ok(Alive::Well));
    let mut stranger = secured(Kind::Tcp);
    stranger.upstream.host = "elsewhere.example".to_owned();
    let error = Network.check(&stranger).await.unwrap_err();
    assert!(error.starts_with("tls with elsewhere.example: "), "{error}");
}

/// Answers each login alike.
#[derive(Debug)]
struct Answering(Result<&'static str, LoginError>);

impl Provider for Answering {
    fn grant<'a>(&'a self, _: &'a Credential, _: SocketAddr) -> Granting<'a> {
        let answer = self.0.clone();
        Box::pin(async move {
            Ok(Grant {
                secret: Token::new(answer?, 100)?,
                expires_in: None,
            })
        })
    }

    fn unresolved(&self) -> LoginError {
        LoginError::Html
    }
}

#[tokio::test]
async fn whoever_answers_a_login_lives() {
    let check = async |answer| {
        let provider = Arc::new(Answering(answer));
        let account = Arc::new(Credential::new("u", "p", 1));
        let login = Kind::Login(Login { provider, account });
        Network.check(&target(login, &[nobody()])).await
    };
    let reason = || "no".to_owned();
    let refused = LoginError::Refused { reason: reason() };
    let busy = LoginError::Busy { reason: reason() };
    assert_eq!(check(Ok("t")).await, Ok(Alive::Well));
    assert_eq!(check(Err(refused)).await, Ok(Alive::Refused));
    assert_eq!(check(Err(busy)).await, Ok(Alive::Well));
    let page = check(Err(LoginError::Html)).await.unwrap_err();
    assert_eq!(page, LoginError::Html.to_string());
    let unreached = LoginError::Connect {
        address: "a:80".to_owned(),
        cause: "connection refused".to_owned(),
    };
    let error = check(Err(unreached.clone())).await.unwrap_err();
    assert_eq!(error, unreached.to_string());
}

#[test]
fn a_host_has_no_port_that_its_scheme_has_already() {
    let mut upstream = Upstream::at("a.example", 80);
    assert_eq!(host(&upstream), "a.example");
    upstream.tls = true;
    assert_eq!(host(&upstream), "a.example:80");
    assert_eq!(host(&Upstream::at("::1", 8848)), "[::1]:8848");
}
