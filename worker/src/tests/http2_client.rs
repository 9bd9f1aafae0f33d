//! A client that speaks HTTP/2, in memory.

use std::{future::poll_fn, sync::Arc};

use bytes::Bytes;
use h2::{
    RecvStream,
    client::{ResponseFuture, SendRequest},
};
use http::{Method, Request, Response};
use pingora_core::protocols::SocketDigest;
use tokio::{io::DuplexStream, task::JoinHandle};
use tpp::config::{Http2, Http2Lease};

use super::play::{Stage, soon};
use crate::{door::http2, http2::lane::Whence, worker::Worker};

pub(super) const STREAMS: Http2 = Http2 {
    lease: Http2Lease::Stream,
    max_streams: 100,
};

/// A client and what becomes of its connection.
pub(super) struct Client {
    pub(super) streams: SendRequest<Bytes>,
    pub(super) connection: JoinHandle<Result<(), h2::Error>>,
}

/// A connection on which HTTP/2 is served: the client's side of it.
pub(super) fn connection(stage: &mut Stage, terms: Http2) -> DuplexStream {
    let (ours, served) = served(&stage.worker, terms);
    stage.play(served);
    ours
}

/// The same, and what is to be run on the worker's side.
pub(super) fn served(
    worker: &Arc<Worker>,
    terms: Http2,
) -> (DuplexStream, impl Future<Output = ()> + use<>) {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let worker = Arc::clone(worker);
    let served = async move {
        let digest = SocketDigest::from_raw_fd(-1);
        let address: std::net::SocketAddr = ([127, 0, 0, 1], 1).into();
        digest.peer_addr.set(Some(address.into())).unwrap();
        let inside = worker.enter();
        let whence = Whence {
            digest: Arc::new(digest),
            secured: None,
        };
        http2::serve(&worker, theirs, whence, terms).await;
        drop(inside);
    };
    (ours, served)
}

impl Client {
    pub(super) async fn new(stage: &mut Stage, terms: Http2) -> Self {
        Self::over(connection(stage, terms)).await
    }

    pub(super) async fn over(ours: DuplexStream) -> Self {
        let (streams, connection) = h2::client::handshake(ours).await.unwrap();
        Self {
            streams,
            connection: tokio::spawn(connection),
        }
    }

    /// Asks for `path`, and says no more.
    pub(super) async fn get(&mut self, path: &str) -> ResponseFuture {
        self.ask(Method::GET, path, true).await.0
    }

    pub(super) async fn ask(
        &mut self,
        method: Method,
        path: &str,
        is_all: bool,
    ) -> (ResponseFuture, h2::SendStream<Bytes>) {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://a.example{path}"))
            .body(())
            .unwrap();
        self.send(request, is_all).await
    }

    pub(super) async fn send(
        &mut self,
        request: Request<()>,
        is_all: bool,
    ) -> (ResponseFuture, h2::SendStream<Bytes>) {
        soon(
            "room for a stream",
            poll_fn(|cx| self.streams.poll_ready(cx)),
        )
        .await
        .unwrap();
        self.streams.send_request(request, is_all).unwrap()
    }

    /// How its connection ends.
    pub(super) async fn end(self) -> Result<(), h2::Error> {
        soon("the connection ends", self.connection).await.unwrap()
    }
}

/// An answer, whole.
pub(super) async fn whole(answer: ResponseFuture) -> (Response<()>, String, http::HeaderMap) {
    let answer = soon("an answer", answer).await.unwrap();
    let (head, mut body) = answer.into_parts();
    let said = text(&mut body).await.unwrap();
    let trailer = body.trailers().await.unwrap().unwrap_or_default();
    (Response::from_parts(head, ()), said, trailer)
}

pub(super) async fn text(body: &mut RecvStream) -> Result<String, h2::Error> {
    let mut said = Vec::new();
    while let Some(data) = soon("more of the answer", body.data()).await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        said.extend_from_slice(&data);
    }
    Ok(String::from_utf8(said).unwrap())
}
