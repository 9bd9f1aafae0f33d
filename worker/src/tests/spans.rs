//! What spans say of the HTTP that was spoken, on either side.

use tpp::{
    config::UpstreamHttp2,
    spans::{Record, SpanKind, Version},
};

use super::{
    http2_client::{Client, STREAMS, whole},
    http2_upstream::{Server, defaults},
    play::{GET, Stage, until},
};

/// A worker that records each request, whose upstream speaks so.
async fn stage(http2: UpstreamHttp2) -> Stage {
    let stage = Stage::new(1, |settings| {
        settings.trace_percent = Some(100);
        settings.upstream.http2 = http2;
    })
    .await;
    stage.stock.add_span_rings().unwrap();
    stage
}

/// By what its client asked, and what the upstream was asked by: of the only request.
async fn versions(stage: &Stage) -> [Version; 2] {
    let mut records = Vec::new();
    until("both spans are there", || {
        records.extend(stage.stock.take_spans(9));
        records.len() == 2
    })
    .await;
    [SpanKind::Server, SpanKind::Attempt].map(|kind| {
        let mut spans = records.iter().filter_map(Record::span);
        spans.find(|span| span.kind == kind).unwrap().version
    })
}

#[tokio::test]
async fn a_client_of_http_2_is_told_from_its_upstream() {
    let mut stage = stage(UpstreamHttp2::Off).await;
    let mut client = Client::new(&mut stage, STREAMS).await;
    let answer = client.get("/").await;
    let mut upstream = stage.upstream().await;
    upstream.head().await;
    upstream
        .send("HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nsaid")
        .await;
    assert_eq!(whole(answer).await.1, "said");
    assert_eq!(versions(&stage).await, [Version::Http2, Version::Http11]);
}

#[tokio::test]
async fn an_upstream_of_http_2_is_told_from_its_client() {
    let stage = stage(UpstreamHttp2::Only).await;
    let mut client = stage.client().await;
    client.send(&GET.replace("HTTP/1.1", "HTTP/1.0")).await;
    let mut server = Server::accept(&stage, &defaults()).await;
    let (_, to) = server.asked().await;
    server.answer(to, "said").await;
    assert_eq!(versions(&stage).await, [Version::Http10, Version::Http2]);
}
