//! Requests that are not what they should be.

use super::support::{Bench, Upstream, settings};

#[tokio::test]
async fn what_has_two_readings_never_reaches_the_upstream() {
    let upstream = Upstream::echo().await;
    let bench = Bench::new(1, &[upstream.address], &settings());
    let requests = [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nab",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2, 2\r\n\r\nab",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n\r\nab",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\ncontent-length: 2\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        "GET /\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\r\n\r\n",
    ];
    for request in requests {
        let mut client = bench.connect().await;
        client.send(request).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 400, "{request:?}: {answer:?}");
        answer.assert_own(400);
        assert_eq!(answer.field("Connection"), Some("close"), "{request:?}");
        assert!(client.is_at_end().await, "{request:?}");
    }
    assert_eq!(upstream.seen().len(), 0, "{:?}", upstream.seen());
    bench.all_is_given_back().await;
    let totals = bench.totals();
    assert_eq!((totals.requests, totals.request_errors), (requests.len() as u64, requests.len() as u64));
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let upstream = Upstream::echo().await;
    let bench = Bench::new(1, &[upstream.address], &settings());
    for length in [70_000, 900_000] {
        let mut client = bench.connect().await;
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(length))).await;
        client.answer().await.assert_own(431);
    }
    assert_eq!(upstream.seen().len(), 0);
    bench.all_is_given_back().await;
}

#[tokio::test]
async fn methods_that_lead_around_the_pool_are_refused() {
    let upstream = Upstream::echo().await;
    let bench = Bench::new(1, &[upstream.address], &settings());
    for request in ["TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"] {
        let mut client = bench.connect().await;
        client.send(request).await;
        client.answer().await.assert_own(405);
    }
    assert_eq!(upstream.seen().len(), 0);
}

#[tokio::test]
async fn a_broken_chunk_ends_the_request() {
    let upstream = Upstream::echo().await;
    let bench = Bench::new(1, &[upstream.address], &settings());
    for chunk in ["zz\r\n", "0x3\r\nabc\r\n", "fffffffffffffffff\r\n"] {
        let mut client = bench.connect().await;
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}")).await;
        client.answer().await.assert_own(400);
        assert!(client.is_at_end().await);
    }
    assert_eq!(upstream.seen().len(), 0, "no request was whole");
    bench.all_is_given_back().await;
}

#[tokio::test]
async fn a_connection_that_says_nothing_takes_no_slot() {
    let upstream = Upstream::echo().await;
    let bench = Bench::new(1, &[upstream.address], &settings());
    let mut partial = bench.connect().await;
    partial.send("GET / HT").await;
    let silent = bench.connect().await;
    assert_eq!(bench.connect().await.get("/").await.status, 200);
    drop((silent, partial));
    bench.all_is_given_back().await;
}
