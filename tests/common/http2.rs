//! A client that speaks HTTP/2. Not in `common/mod.rs`: the other test programs need not be built with the library.

use std::{future::poll_fn, net::SocketAddr};

use bytes::Bytes;
use h2::{Reason, client::SendRequest};
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
        let (streams, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
        // Its end is seen by whoever asks next.
        drop(tokio::spawn(connection));
        Self { streams }
    }

    /// Asks, and reads the answer.
    pub(crate) async fn ask(
        &self,
        request: Request<()>,
        body: Option<Vec<u8>>,
    ) -> Result<Answered, h2::Error> {
        let exchange = async {
            let mut streams = self.streams.clone();
            poll_fn(|cx| streams.poll_ready(cx)).await?;
            let (answer, mut out) = streams.send_request(request, body.is_none())?;
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
