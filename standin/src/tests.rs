use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;

async fn stand_in() -> StandIn {
    stand_in_with(StandInOptions::default()).await
}

async fn stand_in_with(options: StandInOptions) -> StandIn {
    let users = ["ann", "bob"]
        .map(|user| (user.to_owned(), Secret::new(format!("{user}'s word"))))
        .to_vec();
    StandIn::start(StandInOptions { users, ..options })
        .await
        .unwrap()
}

/// The answer to a login.
async fn log_in(address: SocketAddr, user: &str, password: &str) -> Value {
    let body = json!({ "username": user, "password": password }).to_string();
    receive(send(address, "/api/login", "", &body).await)
        .await
        .1
}

async fn token_of(stand_in: &StandIn, user: &str) -> String {
    let answer = log_in(stand_in.addr(), user, &format!("{user}'s word")).await;
    let token = answer["result"][0].as_str().unwrap();
    token.split_whitespace().collect()
}

/// Sends a request on a connection of its own.
async fn send(address: SocketAddr, path: &str, token: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let method = if body.is_empty() { "GET" } else { "POST" };
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream
        .write_all(format!("{head}{body}").as_bytes())
        .await
        .unwrap();
    stream
}

/// Reads an answer: status and JSON.
async fn receive(mut stream: TcpStream) -> (u16, Value) {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (
        head[9..12].parse().unwrap(),
        serde_json::from_str(body).unwrap(),
    )
}

async fn execute(address: SocketAddr, token: &str, script: &str) -> (u16, Value) {
    let body = json!({ "script": script }).to_string();
    receive(send(address, "/api/execute", &format!("Bearer {token}"), &body).await).await
}

/// Begins a script that will not end by itself, and returns when it is under way.
async fn begin_sleep(stand_in: &StandIn, token: &str) -> TcpStream {
    let under_way = stand_in.stats().in_flight;
    let body = json!({ "script": "sleep(3600000)" }).to_string();
    let stream = send(
        stand_in.addr(),
        "/api/execute",
        &format!("Bearer {token}"),
        &body,
    )
    .await;
    until(stand_in, |stats| stats.in_flight > under_way).await;
    stream
}

async fn until(stand_in: &StandIn, claim: impl Fn(&Stats) -> bool) {
    let wait = async {
        while !claim(&stand_in.stats()) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), wait).await;
    assert!(
        waited.is_ok(),
        "it did not come about: {:?}",
        stand_in.stats()
    );
}

#[tokio::test]
async fn a_login_yields_a_token_that_executes() {
    let stand_in = stand_in().await;
    let token = token_of(&stand_in, "ann").await;
    assert_eq!(token.len(), 172);
    let (status, answer) = execute(stand_in.addr(), &token, "1+2").await;
    assert_eq!(status, 200);
    assert_eq!(answer["code"], "0");
    assert_eq!(answer["user"], "ann");
    assert_eq!(
        answer["result"],
        json!([{ "name": "", "form": "scalar", "type": "int", "value": "3" }])
    );
    let (_, answer) = execute(stand_in.addr(), &token, "user()").await;
    assert_eq!(answer["result"][0]["value"], "ann");
}

#[tokio::test]
async fn the_login_answer_is_the_documented_one() {
    let stand_in = stand_in().await;
    let body = json!({ "username": "ann", "password": "ann's word" }).to_string();
    let (status, answer) = receive(send(stand_in.addr(), "/api/login", "", &body).await).await;
    assert_eq!(status, 200);
    assert_eq!(
        (&answer["code"], &answer["message"], &answer["user"]),
        (&json!("0"), &json!(""), &json!("ann"))
    );
    assert!(answer["session"].as_str().unwrap().parse::<u32>().is_ok());
    let token = answer["result"][0].as_str().unwrap();
    assert_eq!(
        token.lines().map(str::len).collect::<Vec<_>>(),
        [64, 64, 44]
    );
    assert!(token.ends_with('\n'));
}

#[tokio::test]
async fn a_wrong_password_is_refused_as_dolphindb_does() {
    let stand_in = stand_in().await;
    for (user, password) in [("ann", "wrong"), ("eve", "wrong")] {
        let answer = log_in(stand_in.addr(), user, password).await;
        assert_eq!(
            answer["message"],
            format!("login({user:?}, {password:?}) => The user name or password is incorrect.")
        );
        assert_eq!(
            (&answer["code"], &answer["result"]),
            (&json!("1"), &json!([]))
        );
    }
    let stats = stand_in.stats();
    assert_eq!(
        (
            stats.logins,
            stats.logins_refused,
            stats.users["ann"].logins_refused
        ),
        (0, 2, 1)
    );
}

#[tokio::test]
async fn a_new_password_holds_from_then_on() {
    let stand_in = stand_in().await;
    stand_in.set_password("ann", Secret::new("new".to_owned()));
    let refused = log_in(stand_in.addr(), "ann", "ann's word").await;
    assert_eq!(refused["code"], "1");
    assert_eq!(log_in(stand_in.addr(), "ann", "new").await["code"], "0");
}

#[tokio::test]
async fn an_execute_without_a_good_token_is_unauthorized() {
    let stand_in = stand_in().await;
    let token = token_of(&stand_in, "ann").await;
    let body = json!({ "script": "1" }).to_string();
    for authorization in [
        "",
        "Bearer",
        "Bearer nonsense",
        &format!("Basic {token}"),
        &token,
    ] {
        let (status, answer) =
            receive(send(stand_in.addr(), "/api/execute", authorization, &body).await).await;
        assert_eq!(
            (status, &answer["code"]),
            (401, &json!("1")),
            "{authorization}"
        );
    }
    assert_eq!(stand_in.stats().unauthorized, 5);
}

#[tokio::test]
async fn tokens_expire_and_can_be_revoked() {
    let short_lived = stand_in_with(StandInOptions {
        token_ttl: Some(Duration::ZERO),
        ..Default::default()
    })
    .await;
    let token = token_of(&short_lived, "ann").await;
    assert_eq!(execute(short_lived.addr(), &token, "1").await.0, 401);
    assert_eq!(short_lived.stats().tokens, 0);

    let stand_in = stand_in().await;
    let token = token_of(&stand_in, "ann").await;
    assert_eq!(execute(stand_in.addr(), &token, "1").await.0, 200);
    stand_in.revoke_all();
    assert_eq!(execute(stand_in.addr(), &token, "1").await.0, 401);
}

#[tokio::test]
async fn a_script_it_does_not_know_is_a_syntax_error() {
    let stand_in = stand_in().await;
    let token = token_of(&stand_in, "ann").await;
    let (status, answer) = execute(stand_in.addr(), &token, "select 1").await;
    assert_eq!(
        (status, &answer["code"], &answer["result"]),
        (200, &json!("1"), &json!([]))
    );
    assert_eq!(
        answer["message"],
        "Syntax Error: [line #1] Cannot recognize the token select"
    );
}

#[tokio::test]
async fn what_is_no_request_of_its_gets_an_answer_in_json() {
    let stand_in = stand_in().await;
    let token = format!("Bearer {}", token_of(&stand_in, "ann").await);
    assert_eq!(
        receive(send(stand_in.addr(), "/api/login", "", "garbage").await)
            .await
            .0,
        400
    );
    assert_eq!(
        receive(send(stand_in.addr(), "/api/execute", &token, "garbage").await)
            .await
            .0,
        400
    );
    assert_eq!(
        receive(send(stand_in.addr(), "/", "", "").await).await.0,
        404
    );
}

#[tokio::test]
async fn a_token_in_two_requests_that_both_end_is_a_violation() {
    let stand_in = stand_in().await;
    let token = token_of(&stand_in, "ann").await;
    let ledger = Arc::clone(&stand_in.ledger);
    let first = begin_sleep(&stand_in, &token).await;
    let second = begin_sleep(&stand_in, &token).await;
    // The end wakes both.
    stand_in.stop().await;
    receive(first).await;
    receive(second).await;
    let stats = ledger.stats();
    assert_eq!(
        (stats.overlaps, stats.violations, stats.most_in_flight),
        (1, 1, 2)
    );
}

#[tokio::test]
async fn the_stats_are_served_as_json() {
    let stand_in = stand_in().await;
    let token = token_of(&stand_in, "bob").await;
    execute(stand_in.addr(), &token, "1").await;
    let (status, shown) = receive(send(stand_in.addr(), "/stats", "", "").await).await;
    let stats = serde_json::from_value::<Stats>(shown).unwrap();
    assert_eq!((status, &stats), (200, &stand_in.stats()));
    assert_eq!(
        (stats.requests, stats.users["bob"].requests, stats.tokens),
        (1, 1, 1)
    );
}

#[tokio::test]
async fn two_tokens_at_once_violate_nothing() {
    let stand_in = stand_in().await;
    let (one, other) = (
        token_of(&stand_in, "ann").await,
        token_of(&stand_in, "ann").await,
    );
    let sleeping = begin_sleep(&stand_in, &one).await;
    execute(stand_in.addr(), &other, "1").await;
    drop(sleeping);
    until(&stand_in, |stats| stats.in_flight == 0).await;
    assert_eq!(
        (stand_in.stats().overlaps, stand_in.stats().violations),
        (0, 0)
    );
}

#[tokio::test]
async fn a_request_whose_client_is_gone_violates_nothing() {
    let stand_in = stand_in().await;
    let token = token_of(&stand_in, "ann").await;
    let gone = begin_sleep(&stand_in, &token).await;
    let after = begin_sleep(&stand_in, &token).await;
    drop(gone);
    until(&stand_in, |stats| stats.in_flight == 1).await;
    drop(after);
    until(&stand_in, |stats| stats.in_flight == 0).await;
    assert_eq!(
        (stand_in.stats().overlaps, stand_in.stats().violations),
        (1, 0)
    );
}

#[tokio::test]
async fn it_stops_in_the_middle_of_a_sleep_and_frees_its_port() {
    let stand_in = stand_in().await;
    let token = token_of(&stand_in, "ann").await;
    let address = stand_in.addr();
    let sleeping = begin_sleep(&stand_in, &token).await;
    stand_in.stop().await;
    assert_eq!(receive(sleeping).await.0, 200);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_web_server_says_its_name_and_is_as_well_as_it_is_told() {
    let web = WebStandIn::start("web-v1", StandInOptions::default().listen)
        .await
        .unwrap();
    let ask = async |path: &str, body: &str| {
        let mut answer = String::new();
        let mut stream = send(web.addr(), path, "", body).await;
        stream.read_to_string(&mut answer).await.unwrap();
        (answer[9..12].to_owned(), answer)
    };
    let (status, answer) = ask("/shop", "").await;
    assert_eq!(status, "200");
    assert!(
        answer.contains("web-v1") && answer.contains("/shop"),
        "{answer}"
    );
    for (mode, health, page) in [
        ("failing", "200", "500"),
        ("ill", "503", "500"),
        ("well", "200", "200"),
    ] {
        assert_eq!(ask("/mode", mode).await.0, "200");
        assert_eq!(ask("/health", "").await.0, health, "{mode}");
        assert_eq!(ask("/shop", "").await.0, page, "{mode}");
    }
    assert_eq!(ask("/mode", "merry").await.0, "400");
}
