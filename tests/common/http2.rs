//! A client that speaks HTTP/2. Not in `common/mod.rs`: the other test programs need not be built with the library.

use std::{future::poll_fn, net::SocketAddr, task::Poll};

use bytes::Bytes;
use h2::{
    Reason, SendStream,
    client::{ResponseFuture, SendRequest},
};
use http::{Method, Request, Response};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    runtime::{Builder, Runtime},
    time::timeout,
};

use crate::common::patience;

/// All of a test that speaks HTTP/2 runs on this.
pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// A connection.
pub(crate) struct Http2 {
    streams: SendRequest<Bytes>,
}

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) head: Response<()>,
    pub(crate) body: Vec<u8>,
}

impl Http2 {
    pub(crate) async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        Self::try_over(stream).await.expect("HTTP/2")
    }

    /// The same, where it may fail.
    pub(crate) async fn try_over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<Self, h2::Error> {
        let (streams, connection) = h2::client::handshake(stream).await?;
        // Its end is seen by whoever asks next.
        drop(tokio::spawn(connection));
        Ok(Self { streams })
    }

    /// Begins to ask; `is_all`: no body follows.
    pub(crate) async fn open(
        &self,
        request: Request<()>,
        is_all: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        let mut streams = self.streams.clone();
        poll_fn(|cx| streams.poll_ready(cx)).await?;
        streams.send_request(request, is_all)
    }

    /// Asks, and reads the answer.
    pub(crate) async fn ask(
        &self,
        request: Request<()>,
        body: Option<Vec<u8>>,
    ) -> Result<Answered, h2::Error> {
        self.ask_noting(request, body, || {}).await
    }

    /// The same, calling `on_head` when the answer begins.
    pub(crate) async fn ask_noting(
        &self,
        request: Request<()>,
        body: Option<Vec<u8>>,
        on_head: impl FnOnce(),
    ) -> Result<Answered, h2::Error> {
        let exchange = async {
            let (answer, mut out) = self.open(request, body.is_none()).await?;
            if let Some(mut rest) = body {
                while !rest.is_empty() {
                    out.reserve_capacity(rest.len());
                    let Some(room) = poll_fn(|cx| out.poll_capacity(cx)).await else {
                        break;
                    };
                    let next = rest.split_off(room?.min(rest.len()));
                    out.send_data(std::mem::replace(&mut rest, next).into(), false)?;
                }
                out.send_data(Bytes::new(), true)?;
            }
            let (head, mut stream) = answer.await?.into_parts();
            on_head();
            let mut body = Vec::new();
            while let Some(piece) = stream.data().await {
                let piece = piece?;
                stream.flow_control().release_capacity(piece.len())?;
                body.extend_from_slice(&piece);
            }
            let head = Response::from_parts(head, ());
            Ok(Answered { head, body })
        };
        timeout(patience(), exchange).await.expect("an answer")
    }
}

#[allow(
    dead_code,
    reason = "not every test program that speaks HTTP/2 does so without TLS"
)]
impl Http2 {
    /// Without TLS, and without asking.
    pub(crate) async fn connect(to: SocketAddr) -> Self {
        Self::over(TcpStream::connect(to).await.expect("connect")).await
    }

    /// What is asked with `conn` as the name by which judges know it.
    pub(crate) fn request(method: Method, path: &str, conn: u64) -> Request<()> {
        Request::builder()
            .method(method)
            .uri(format!("http://tpp.test{path}"))
            .header("x-conn", conn)
            .header("x-seq", 1)
            .body(())
            .expect("a request")
    }

    pub(crate) async fn get(&self, path: &str, conn: u64) -> Result<Answered, h2::Error> {
        self.ask(Self::request(Method::GET, path, conn), None).await
    }
}

/// Whether what was asked was certainly not acted on: it may be asked again elsewhere (RFC 9113, 8.7).
#[allow(
    dead_code,
    reason = "not every test program that speaks HTTP/2 sees connections end"
)]
pub(crate) fn is_for_another_connection(error: &h2::Error) -> bool {
    error.is_go_away() && error.reason() == Some(Reason::NO_ERROR)
        || error.reason() == Some(Reason::REFUSED_STREAM)
}

/// Polls all of them until each is done.
#[allow(
    dead_code,
    reason = "not every test program that speaks HTTP/2 asks several things at once"
)]
pub(crate) async fn join_all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut waiting: Vec<_> = futures
        .into_iter()
        .map(|one| (Box::pin(one), None))
        .collect();
    poll_fn(|cx| {
        let mut is_done = true;
        for (future, output) in &mut waiting {
            if output.is_none() {
                match future.as_mut().poll(cx) {
                    Poll::Ready(ready) => *output = Some(ready),
                    Poll::Pending => is_done = false,
                }
            }
        }
        if is_done {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    waiting
        .into_iter()
        .filter_map(|(_, output)| output)
        .collect()
}
