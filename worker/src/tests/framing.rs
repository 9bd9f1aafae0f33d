//! What is on the wire, in both directions; of answers alone, see `answers`.

use super::play::{GET, Stage};

/// What is no request, and its answer's status.
const NO_REQUESTS: &[(&str, &str)] = &[
    ("GET / HTTP/1.1\r\n\r\n", "400"),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        "400",
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "400",
    ),
    ("GET / HTTP/1.1\nHost: a\n\n", "400"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", "400"),
    ("\x16\x03\x01\x02\x00\x01\x00\x01\x7f", "400"),
    ("garbage\r\n\r\n", "400"),
    ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", "405"),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"),
    (
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\n",
        "400",
    ),
    ("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", "400"),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "501",
    ),
];

#[tokio::test]
async fn what_is_no_request_is_refused_and_never_reaches_the_upstream() {
    let stage = Stage::new(1, |_| {}).await;
    for (request, status) in NO_REQUESTS {
        let mut client = stage.client().await;
        client.send(request).await;
        let head = client.head().await;
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request}: {head}"
        );
        assert!(
            head.contains("\r\nConnection: close\r\n"),
            "{request}: {head}"
        );
        let body = client.rest().await;
        assert!(
            body.starts_with("{\"error\":\"") && body.contains("\"details\":\""),
            "{request}: {body}"
        );
    }
    let mut client = stage.client().await;
    client
        .send(format!(
            "GET / HTTP/1.1\r\nHost: a\r\nX: {}",
            "x".repeat(64 * 1024)
        ))
        .await;
    assert!(client.rest().await.starts_with("HTTP/1.1 431 "));
    assert!(stage.upstream_is_untouched().await);
    assert_eq!(
        (
            stage.stock.totals().requests,
            stage.stock.totals().request_errors
        ),
        (0, 14)
    );
    assert_eq!(stage.stock.totals().acquisitions, 0);
}

#[tokio::test]
async fn a_broken_chunk_breaks_the_upstream_request_off() {
    let stage = Stage::new(1, |_| {}).await;
    let mut client = stage.client().await;
    let mut upstream = stage.asked(&mut client, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n").await;
    assert_eq!(upstream.exactly(8).await, "3\r\nabc\r\n");
    client.send("0x2\r\nde\r\n0\r\n\r\n").await;
    assert!(client.rest().await.starts_with("HTTP/1.1 400 "));
    assert_eq!(upstream.rest().await, "");
    stage.in_use(0).await;
}

#[tokio::test]
async fn the_body_of_a_request_that_expects_to_be_told_to_go_on_streams_while_it_comes() {
    let stage = Stage::new(1, |_| {}).await;
    let mut client = stage.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 6\r\n\r\nabc")
        .await;
    let mut upstream = stage.upstream().await;
    assert!(upstream.head().await.contains("\r\nContent-Length: 6\r\n"));
    assert_eq!(upstream.exactly(3).await, "abc");
    client.send("def").await;
    assert_eq!(upstream.exactly(3).await, "def");
}

#[tokio::test]
async fn chunks_are_framed_anew_in_both_directions() {
    let stage = Stage::new(1, |_| {}).await;
    let mut client = stage.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    client
        .send("3;ext=1\r\nabc\r\n0\r\nTrailer: x\r\n\r\n")
        .await;
    let mut upstream = stage.upstream().await;
    assert!(
        upstream
            .head()
            .await
            .contains("\r\nTransfer-Encoding: chunked\r\n")
    );
    assert_eq!(upstream.through("0\r\n\r\n").await, "3\r\nabc\r\n0\r\n\r\n");
    upstream
        .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    assert!(
        client
            .head()
            .await
            .contains("\r\nTransfer-Encoding: chunked\r\n")
    );
    upstream.send("2;x\r\nde\r\n").await;
    assert_eq!(client.exactly(7).await, "2\r\nde\r\n");
    upstream.send("0\r\nTrailer: y\r\n\r\n").await;
    assert_eq!(client.exactly(5).await, "0\r\n\r\n");
    stage.exchange(&mut client, &mut upstream, GET).await;
}

#[tokio::test]
async fn trailers_pass_in_both_directions_without_what_has_no_place_in_them() {
    let stage = Stage::new(1, |_| {}).await;
    let mut client = stage.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n1\r\na\r\n0\r\nX-Sum: 1\r\nHost: b\r\n\r\n")
        .await;
    let mut upstream = stage.upstream().await;
    assert!(upstream.head().await.contains("\r\nTrailer: X-Sum\r\n"));
    assert_eq!(
        upstream.through("1\r\n\r\n").await,
        "1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n"
    );
    upstream
        .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nb\r\n0\r\nX-Sum: 2\r\nSet-Cookie: c\r\n\r\n")
        .await;
    client.head().await;
    assert_eq!(
        client.through("2\r\n\r\n").await,
        "1\r\nb\r\n0\r\nX-Sum: 2\r\n\r\n"
    );
    stage.exchange(&mut client, &mut upstream, GET).await;
}

#[tokio::test]
async fn what_is_no_trailer_is_refused_and_eats_no_request() {
    let stage = Stage::new(1, |_| {}).await;
    let mut client = stage.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nGET /tail HTTP/1.1\r\nHost: t\r\n\r\n")
        .await;
    assert!(client.rest().await.starts_with("HTTP/1.1 400 "));
    stage.in_use(0).await;
}

#[tokio::test]
async fn line_ends_behind_a_body_begin_no_request() {
    let brief = std::time::Duration::from_millis(300);
    let stage = Stage::new(1, |settings| {
        settings.client.head_timeout = Some(brief);
        settings.lease.idle_timeout = None;
    })
    .await;
    let mut client = stage.client().await;
    let mut upstream = stage
        .asked(
            &mut client,
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi\r\n",
        )
        .await;
    assert_eq!(upstream.exactly(2).await, "hi");
    upstream
        .send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert!(client.head().await.starts_with("HTTP/1.1 200 OK\r\n"));
    client.send("\r\n").await;
    tokio::time::sleep(brief * 3).await;
    stage.exchange(&mut client, &mut upstream, GET).await;
}

#[tokio::test]
async fn a_request_that_goes_round_in_a_circle_is_stopped() {
    let stage = Stage::new(1, |_| {}).await;
    let head = |hops: usize| {
        let via = "Via: 1.1 tpp\r\n".repeat(hops);
        format!("GET / HTTP/1.1\r\nHost: a\r\n{via}\r\n")
    };
    let mut client = stage.client().await;
    client.send(head(4)).await;
    let mut upstream = stage.upstream().await;
    let chained = upstream.head().await;
    assert_eq!(chained.matches("Via: 1.1 tpp\r\n").count(), 5, "{chained}");
    let mut client = stage.client().await;
    client.send(head(5)).await;
    assert!(
        client
            .rest()
            .await
            .starts_with("HTTP/1.1 508 Loop Detected\r\n")
    );
}

#[tokio::test]
async fn requests_sent_at_once_are_answered_one_after_another() {
    let stage = Stage::new(1, |_| {}).await;
    let mut client = stage.client().await;
    let requests: String = (0..5)
        .map(|n| format!("POST /{n} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n{n}"))
        .collect();
    client.send(&requests).await;
    let mut upstream = stage.upstream().await;
    for n in 0..5 {
        assert!(upstream.head().await.starts_with(&format!("POST /{n} ")));
        assert_eq!(upstream.exactly(1).await, n.to_string());
        upstream
            .send(format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{n}"))
            .await;
        client.head().await;
        assert_eq!(client.exactly(1).await, n.to_string());
    }
    assert_eq!(stage.stock.totals().acquisitions, 1);
}

#[tokio::test]
async fn an_expectation_is_met_by_the_upstream() {
    let stage = Stage::new(1, |_| {}).await;
    let mut client = stage.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        .await;
    let mut upstream = stage.upstream().await;
    assert!(
        upstream
            .head()
            .await
            .contains("\r\nExpect: 100-continue\r\n")
    );
    upstream.send("HTTP/1.1 100 Continue\r\n\r\n").await;
    assert_eq!(client.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("body").await;
    assert_eq!(upstream.exactly(4).await, "body");
    upstream
        .send("HTTP/1.1 204 No Content\r\nDate: d\r\n\r\n")
        .await;
    assert_eq!(
        client.head().await,
        "HTTP/1.1 204 No Content\r\nDate: d\r\n\r\n"
    );
    stage.exchange(&mut client, &mut upstream, GET).await;
}

#[tokio::test]
async fn large_bodies_pass_in_both_directions_at_once() {
    const LENGTH: usize = 3 << 20;
    let mut stage = Stage::new(1, |_| {}).await;
    let mut client = stage.client().await;
    let mut upstream = stage.asked(&mut client, format!(
            "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {LENGTH}\r\n\r\n"
        )).await;
    upstream
        .send(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n"
        ))
        .await;
    // The upstream sends back what it reads, piece by piece: neither side can wait for the other to finish.
    stage.play(async move {
        for _ in 0..LENGTH / 4096 {
            let piece = upstream.exactly(4096).await;
            upstream.send(piece).await;
        }
    });
    client.head().await;
    let (mut up, mut down) = (0, 0);
    while down < LENGTH {
        if up < LENGTH {
            client.send("0123456789abcdef".repeat(4096)).await;
            up += 65536;
        }
        assert_eq!(client.exactly(65536).await, "0123456789abcdef".repeat(4096));
        down += 65536;
    }
}
