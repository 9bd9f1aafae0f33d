//! Clients of HTTP/2 that only make work: their connection ends, and nothing of theirs stays.

use std::{future::poll_fn, time::Duration};

use h2::Reason;
use http::Request;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf},
    task::JoinHandle,
};

use tpp::{lending::WorkerSettings, shared::WaitEnd};

use super::{
    http2_client::{Client, STREAMS, connection},
    play::{Stage, soon, until},
};

/// Streams at once, half of what is allowed.
const SHARE: u64 = 50;
/// So many resets for errors of its peer the `h2` crate bears on its own, however long they take.
const OF_H2: u64 = 1024;
/// More than any bound lets be.
const ROUNDS: u64 = 1000;

const NOTHING: [u8; 0] = [];
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `GET http://a/`, in HPACK (RFC 7541, appendix A): three entries of the table, and the authority as a literal.
const GET: [u8; 6] = [0x82, 0x86, 0x84, 0x01, 0x01, b'a'];

/// A client that writes frames as it likes, and reads how its connection ends.
struct Raw {
    out: WriteHalf<DuplexStream>,
    /// The reason of GOAWAY, and how many streams were reset before.
    end: JoinHandle<(Option<Reason>, u64)>,
    last: u32,
}

impl Raw {
    async fn new(stage: &mut Stage) -> Self {
        let (read, mut out) = tokio::io::split(connection(stage, STREAMS));
        out.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .unwrap();
        let mut raw = Self {
            out,
            end: tokio::spawn(end(read)),
            last: 0,
        };
        raw.send(SETTINGS, 0, 0, &NOTHING).await;
        raw
    }

    /// Sends a frame. False: the connection has ended.
    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.out.write_all(&frame).await.is_ok()
    }

    /// Opens another stream.
    async fn open(&mut self) -> u32 {
        self.last = if self.last == 0 { 1 } else { self.last + 2 };
        self.send(HEADERS, END_STREAM | END_HEADERS, self.last, &GET)
            .await;
        self.last
    }

    async fn end(self) -> (Option<Reason>, u64) {
        soon("the connection ends", self.end).await.unwrap()
    }
}

async fn end(mut read: ReadHalf<DuplexStream>) -> (Option<Reason>, u64) {
    let (mut reason, mut resets) = (None, 0);
    let mut head = [0; 9];
    while read.read_exact(&mut head).await.is_ok() {
        let length = usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        if read.read_exact(&mut payload).await.is_err() {
            break;
        }
        match head[3] {
            RST_STREAM => resets += 1,
            GOAWAY => {
                let code: [u8; 4] = payload[4..8].try_into().unwrap();
                reason = Some(Reason::from(u32::from_be_bytes(code)));
            }
            _ => {}
        }
    }
    (reason, resets)
}

/// Waits until so many streams are served or wait for a token, or the connection has ended.
async fn at_work(stage: &Stage, streams: u64, has_ended: impl Fn() -> bool) {
    let are_there = || stage.census().in_use + stage.worker.desk.waiting() == streams;
    until(&format!("{streams} streams at work"), || {
        are_there() || has_ended()
    })
    .await;
}

#[tokio::test]
async fn streams_that_are_reset_as_fast_as_they_come_end_the_connection() {
    let mut stage = Stage::new(1, |_| {}).await;
    let mut client = Client::new(&mut stage, STREAMS).await;
    for _ in 0..200 {
        let ready = poll_fn(|cx| client.streams.poll_ready(cx)).await;
        if ready.is_err() {
            break;
        }
        let request = Request::get("http://a.example/").body(()).unwrap();
        let Ok((_, mut body)) = client.streams.send_request(request, true) else {
            break;
        };
        body.send_reset(Reason::CANCEL);
    }
    let error = client.end().await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::ENHANCE_YOUR_CALM));
    until("it has left", || stage.worker.connections() == 0).await;
    stage.in_use(0).await;
}

#[tokio::test]
async fn streams_that_are_accepted_and_then_taken_back_end_the_connection() {
    let mut stage = Stage::new(1, |_| {}).await;
    let mut client = Client::new(&mut stage, STREAMS).await;
    let mut other = Client::new(&mut stage, STREAMS).await;
    let mut taken_back = 0;
    while !client.connection.is_finished() {
        assert!(taken_back < ROUNDS * SHARE, "it may go on for ever");
        let mut open = Vec::new();
        for _ in 0..SHARE {
            if poll_fn(|cx| client.streams.poll_ready(cx)).await.is_ok() {
                let request = Request::get("http://a.example/").body(()).unwrap();
                open.extend(client.streams.send_request(request, true));
            }
        }
        let has_ended = || client.connection.is_finished();
        at_work(&stage, open.len() as u64, has_ended).await;
        for (_, body) in &mut open {
            body.send_reset(Reason::CANCEL);
        }
        taken_back += open.len() as u64;
        drop(open);
        at_work(&stage, 0, || false).await;
    }
    assert!(taken_back > SHARE, "some may always be taken back");
    let error = client.end().await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::ENHANCE_YOUR_CALM));
    // Nobody else is meant.
    let _answer = other.get("/").await;
    stage.in_use(1).await;
}

// The clock stands but for the test's own waits, so that hardly any resets are forgiven meanwhile.
#[tokio::test(start_paused = true)]
async fn errors_that_have_streams_reset_end_the_connection() {
    let mut stage = Stage::new(1, |_| {}).await;
    let mut client = Raw::new(&mut stage).await;
    let mut opened = 0;
    while !client.end.is_finished() {
        opened += SHARE;
        assert!(opened < OF_H2, "nobody but h2 ends it");
        let mut open = Vec::new();
        for _ in 0..SHARE {
            open.push(client.open().await);
        }
        at_work(&stage, SHARE, || client.end.is_finished()).await;
        for stream in open {
            // No window may grow so large: an error of the stream alone (RFC 9113, 6.9.1).
            let most = 0x7fff_ffff_u32.to_be_bytes();
            client.send(WINDOW_UPDATE, 0, stream, &most).await;
        }
        at_work(&stage, 0, || false).await;
    }
    let (reason, resets) = client.end().await;
    assert_eq!(reason, Some(Reason::ENHANCE_YOUR_CALM));
    assert!(resets > SHARE, "{resets}");
    until("it has left", || stage.worker.connections() == 0).await;
}

#[tokio::test]
async fn a_head_without_an_end_ends_the_connection() {
    for piece in [&NOTHING[..], &[0, 1, b'x', 1, b'y'].repeat(3000)[..]] {
        let mut stage = Stage::new(1, |_| {}).await;
        let mut client = Raw::new(&mut stage).await;
        client.send(HEADERS, END_STREAM, 1, &GET).await;
        let mut sent = 0;
        while client.send(CONTINUATION, 0, 1, piece).await && !client.end.is_finished() {
            sent += 1;
            assert!(sent < ROUNDS * SHARE, "it may go on for ever");
        }
        let (reason, _) = client.end().await;
        assert_eq!(reason, Some(Reason::ENHANCE_YOUR_CALM), "{}", piece.len());
        assert!(stage.upstream_is_untouched().await);
        until("it has left", || stage.worker.connections() == 0).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_begun_and_not_gone_on_with_ends_the_connection() {
    let bounds = |settings: &mut WorkerSettings| {
        settings.client.head_timeout = Some(Duration::from_secs(1));
        // Nothing else ends it.
        settings.lease.idle_timeout = None;
    };
    for begun in [
        &[0, 0][..],
        &[0, 0, 6, HEADERS, END_STREAM, 0, 0, 0, 1, 0x82],
    ] {
        let mut stage = Stage::new(1, bounds).await;
        let mut client = Raw::new(&mut stage).await;
        client.out.write_all(begun).await.unwrap();
        let (reason, _) = client.end().await;
        assert_eq!(reason, Some(Reason::ENHANCE_YOUR_CALM));
        until("it has left", || stage.worker.connections() == 0).await;
        let ended = stage.worker.counters().waits_ended.read();
        assert_eq!(ended[WaitEnd::ClientHead as usize], 1);
    }
}
