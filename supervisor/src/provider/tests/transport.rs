//! Servers that are down, slow, lost, elsewhere or too generous.

use std::{
    io::ErrorKind,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
    time::sleep,
};

use super::{
    server::{Server, http},
    *,
};

pub(super) const GRANT: &str =
    r#"{"session":"1","user":"ann","code":"0","message":"","result":["to\nk\n"]}"#;

/// A client that is soon out of patience.
async fn hasty_login_to(address: SocketAddr) -> LoginError {
    let rules = TokenRules {
        login_timeout: Duration::from_millis(200),
        ..rules()
    };
    DolphinDb::new(&upstream(address), &rules)
        .unwrap()
        .login(&credential())
        .await
        .unwrap_err()
}

#[tokio::test]
async fn the_request_is_the_documented_one() {
    let server = Server::answering(http("200 OK", GRANT)).await;
    let rules = TokenRules {
        login_path: "/other/login?x=1".to_owned(),
        ..rules()
    };
    let credential = Credential::new("an\"n", "p\\w\nü", 1);
    DolphinDb::new(&upstream(server.address), &rules)
        .unwrap()
        .login(&credential)
        .await
        .unwrap();
    let requests = server.requests();
    let (head, body) = requests[0].split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with("POST /other/login?x=1 HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(
        head.to_lowercase()
            .contains("content-type: application/json"),
        "{head}"
    );
    assert_eq!(body, r#"{"username":"an\"n","password":"p\\w\nü"}"#);
}

#[tokio::test]
async fn a_server_that_is_down_is_a_connect_error() {
    let address = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let error = login_to(address).await.unwrap_err();
    assert!(
        matches!(&error, LoginError::Connect { cause, .. } if cause.contains("refused")),
        "{error:?}"
    );
    assert!(
        error
            .to_string()
            .starts_with(&format!("connect {address}: ")),
        "{error}"
    );
    assert!(!(error.outcome() == Outcome::Refused));
}

#[tokio::test]
async fn a_full_backlog_is_a_connect_timeout() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let upstream = Upstream {
        connect_timeout: Duration::from_millis(100),
        ..upstream(address)
    };
    let rules = TokenRules {
        login_timeout: Duration::from_millis(200),
        ..rules()
    };
    let client = DolphinDb::new(&upstream, &rules).unwrap();
    // Nobody accepts: each login that still finds room takes it for good, until there is none.
    for _ in 0..20 {
        match client.login(&credential()).await.unwrap_err() {
            LoginError::ConnectTimeout { .. } => return,
            error => assert!(matches!(error, LoginError::Timeout { .. }), "{error:?}"),
        }
    }
    panic!("every login got a connection");
}

#[tokio::test]
async fn a_name_without_an_address_is_a_resolve_error() {
    // A label of 64 letters is refused by the system's resolver before it asks anybody.
    let upstream = Upstream {
        host: format!("{}.invalid", "x".repeat(64)),
        ..upstream("127.0.0.1:1".parse().unwrap())
    };
    let error = DolphinDb::new(&upstream, &rules())
        .unwrap()
        .login(&credential())
        .await
        .unwrap_err();
    assert!(matches!(error, LoginError::Resolve { .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_that_hangs_is_a_timeout() {
    let server = Server::start(async |stream| {
        let _held = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let error = hasty_login_to(server.address).await;
    assert!(matches!(error, LoginError::Timeout { .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_that_drips_for_ever_is_a_timeout() {
    let server = Server::start(async |mut stream: TcpStream| {
        let mut alive = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n{").await.is_ok();
        while alive {
            sleep(Duration::from_millis(5)).await;
            alive = stream.write_all(b" ").await.is_ok();
        }
    })
    .await;
    let error = hasty_login_to(server.address).await;
    assert!(matches!(error, LoginError::Timeout { .. }), "{error:?}");
}

#[tokio::test]
async fn a_slow_server_that_comes_to_an_end_is_waited_for() {
    let server = Server::start(async |mut stream: TcpStream| {
        for piece in http("200 OK", GRANT).as_bytes().chunks(7) {
            stream.write_all(piece).await.unwrap();
            stream.flush().await.unwrap();
            sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    assert_eq!(granted(login_to(server.address).await), "tok");
}

#[tokio::test]
async fn an_answer_cut_off_is_a_broken_exchange() {
    let short = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"code\":0,";
    for answer in ["", "HTTP/1.1 200", short, "SSH-2.0-OpenSSH_9.9\r\n"] {
        let error = login_with(answer).await.unwrap_err();
        assert!(
            matches!(error, LoginError::Broken { .. }),
            "{answer}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_reset_is_a_broken_exchange() {
    let server = Server::start(async |stream: TcpStream| {
        stream.set_zero_linger().unwrap();
    })
    .await;
    let error = login_to(server.address).await.unwrap_err();
    assert!(matches!(error, LoginError::Broken { .. }), "{error:?}");
    assert_eq!(server.requests().len(), 1, "a login is sent once");
}

#[tokio::test]
async fn an_endless_answer_is_given_up_at_the_bound() {
    const SIZE: usize = 100_000_000;
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let (done, ended) = std::sync::mpsc::channel();
    let server = Server::start(move |mut stream: TcpStream| {
        let (counter, done) = (Arc::clone(&counter), done.clone());
        async move {
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\n\r\n{\"code\":0,\"result\":\"")
                .await;
            let block = vec![b'x'; 64 * 1024];
            while counter.load(Ordering::Relaxed) < SIZE && stream.write_all(&block).await.is_ok() {
                counter.fetch_add(block.len(), Ordering::Relaxed);
            }
            done.send(()).unwrap();
        }
    })
    .await;
    let limit = 64 * 1024 + 2 * 4096;
    assert_eq!(
        login_to(server.address).await.unwrap_err(),
        LoginError::TooLarge { limit }
    );
    tokio::task::spawn_blocking(move || ended.recv_timeout(Duration::from_secs(30)).unwrap())
        .await
        .unwrap();
    // What the kernel's buffers took, and no more.
    assert!(sent.load(Ordering::Relaxed) < SIZE / 2);
}

#[tokio::test]
async fn an_announced_hundred_megabytes_are_not_waited_for() {
    let error = login_with("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        .await
        .unwrap_err();
    assert!(matches!(error, LoginError::TooLarge { .. }), "{error:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_the_password_stays_here() {
    let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let target = elsewhere.local_addr().unwrap();
    for status in [
        "301 Moved",
        "302 Found",
        "303 See Other",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        let answer = format!(
            "HTTP/1.1 {status}\r\nLocation: http://{target}/x\r\nContent-Length: 0\r\n\r\n"
        );
        let error = login_with(answer).await.unwrap_err();
        assert!(
            matches!(&error, LoginError::Redirect { location, .. } if location.contains("/x")),
            "{error:?}"
        );
        assert_eq!(
            elsewhere.accept().unwrap_err().kind(),
            ErrorKind::WouldBlock,
            "{status}"
        );
    }
}

#[tokio::test]
async fn unauthorized_and_forbidden_are_refusals_with_or_without_a_reason() {
    for status in ["401 Unauthorized", "403 Forbidden"] {
        let number = &status[..3];
        assert_eq!(
            refused(login_with(http(status, "")).await),
            format!("status {number}")
        );
        assert_eq!(
            refused(login_with(http(status, "<html>")).await),
            format!("status {number}")
        );
        assert_eq!(
            refused(login_with(http(status, r#"{"code":1,"message":"locked"}"#)).await),
            "locked"
        );
    }
}

#[tokio::test]
async fn other_statuses_are_trouble() {
    for status in [204, 400, 404, 405, 408, 429, 500, 502, 503, 504] {
        let error = login_with(http(&format!("{status} Some Words"), ""))
            .await
            .unwrap_err();
        assert_eq!(error, LoginError::Status { status });
        assert!(!(error.outcome() == Outcome::Refused));
    }
}

#[tokio::test]
async fn a_login_answer_under_a_client_error_is_heard_but_not_when_the_server_is_busy() {
    let body = r#"{"code":"1","message":"no such user","result":[]}"#;
    assert_eq!(
        refused(login_with(http("400 Bad Request", body)).await),
        "no such user"
    );
    for status in [
        "408 Request Timeout",
        "429 Too Many Requests",
        "503 Service Unavailable",
    ] {
        let error = login_with(http(status, body)).await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::Trouble, "{status}");
    }
}

#[tokio::test]
async fn one_client_serves_many_logins_at_once_on_connections_of_their_own() {
    let server = Server::answering(http("200 OK", GRANT)).await;
    let client = Arc::new(DolphinDb::new(&upstream(server.address), &rules()).unwrap());
    let logins: Vec<_> = (0..20)
        .map(|_| {
            let client = Arc::clone(&client);
            tokio::spawn(async move { client.login(&credential()).await })
        })
        .collect();
    for login in logins {
        assert_eq!(granted(login.await.unwrap()), "tok");
    }
    assert_eq!(server.requests().len(), 20);
}

#[test]
fn an_impossible_host_is_a_setup_error() {
    let upstream = Upstream {
        host: "a b".to_owned(),
        ..upstream("127.0.0.1:1".parse().unwrap())
    };
    assert!(matches!(
        DolphinDb::new(&upstream, &rules()),
        Err(SetupError::Url { .. })
    ));
}
