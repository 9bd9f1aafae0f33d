//! One check of one backend, bounded by whoever runs it.

use std::{io, net::SocketAddr};

use http_body_util::{BodyExt, Empty};
use hyper::{
    Request, Response,
    body::{Body, Bytes, Incoming},
    client::conn::http1,
    header,
};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tpp::config::Upstream;

use super::rules::{Kind, Login, Target};
use crate::{
    provider::{Outcome, authority},
    proxy::{self, tunnel},
};

/// Of an answer's body, what is read, bytes: its head has said all.
const MOST_BODY: usize = 64 * 1024;
/// Of an answer's head, what is read, bytes.
const MOST_HEAD: usize = 64 * 1024;
const USER_AGENT: &str = concat!("tpp-health-check/", env!("CARGO_PKG_VERSION"));

/// A backend that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alive {
    /// As it should.
    Well,
    /// It turned the login down, as only one that lives can: it should not be asked again soon.
    Refused,
}

/// A way to check a backend.
pub trait Probe: Send + Sync + 'static {
    /// Checks `target` once. Dropping the future ends it; nothing else bounds it in time.
    fn check(&self, target: &Target) -> impl Future<Output = Result<Alive, String>> + Send;
}

/// Checks over the network.
#[derive(Debug, Clone, Copy, Default)]
pub struct Network;

impl Probe for Network {
    async fn check(&self, target: &Target) -> Result<Alive, String> {
        if target.addresses.is_empty() {
            return Err(format!(
                "resolve {}: it has no address",
                target.upstream.host
            ));
        }
        match &target.rules.kind {
            Kind::Login(login) => log_in(login, &target.addresses).await,
            Kind::Tcp => {
                let stream = connect(target).await?;
                if target.upstream.tls {
                    handshake(stream, target).await?;
                }
                Ok(Alive::Well)
            }
            Kind::Http { path, expect } => {
                let status = status(target, path).await?;
                if expect.contains(status) {
                    Ok(Alive::Well)
                } else {
                    Err(format!("answered with status {status}"))
                }
            }
        }
    }
}

/// Logs in at the first of `addresses` that is reached. An account that is turned down, or put off, is no fault of the server's.
async fn log_in(login: &Login, addresses: &[SocketAddr]) -> Result<Alive, String> {
    let mut last = String::new();
    for address in addresses {
        let error = match login.provider.grant(&login.account, *address).await {
            Ok(_) => return Ok(Alive::Well),
            Err(error) => error,
        };
        match error.outcome() {
            Outcome::Busy => return Ok(Alive::Well),
            Outcome::Refused => return Ok(Alive::Refused),
            Outcome::Trouble if error.is_unreachable() => last = error.to_string(),
            Outcome::Trouble => return Err(error.to_string()),
        }
    }
    Err(last)
}

/// Connects to the first of the target's addresses that takes it.
async fn connect(target: &Target) -> Result<TcpStream, String> {
    let limit = target.upstream.connect_timeout;
    let proxy = proxy::before(&target.upstream);
    let mut last = String::new();
    for address in &target.addresses {
        last = match timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(mut stream)) => match &proxy {
                None => return Ok(stream),
                Some(proxy) => match tunnel(&mut stream, proxy, &target.upstream, limit).await {
                    Ok(()) => return Ok(stream),
                    Err(reason) => reason,
                },
            },
            Ok(Err(error)) => format!("connect {address}: {error}"),
            Err(_) => format!("connect {address}: no connection within {limit:?}"),
        };
    }
    Err(last)
}

/// Speaks TLS as requests to this backend do.
async fn handshake(
    stream: TcpStream,
    target: &Target,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, String> {
    let upstream = &target.upstream;
    let shown = |error: &dyn std::fmt::Display| format!("tls with {}: {error}", upstream.host);
    let settings = target.trust.settings(upstream);
    let settings = settings.map_err(|error| shown(&error))?;
    let name =
        ServerName::try_from(upstream.tls_name().to_owned()).map_err(|error| shown(&error))?;
    let connecting = TlsConnector::from(settings).connect(name, stream);
    match timeout(upstream.tls_handshake_timeout, connecting).await {
        Ok(connected) => connected.map_err(|error| shown(&error)),
        Err(_) => Err(shown(&io::Error::from(io::ErrorKind::TimedOut))),
    }
}

/// Asks for `path` and returns the status of a whole answer. A redirect is an answer like any other.
async fn status(target: &Target, path: &str) -> Result<u16, String> {
    let upstream = &target.upstream;
    let request = Request::get(path)
        .header(header::HOST, host(upstream))
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let stream = connect(target).await?;
    if upstream.tls {
        ask(handshake(stream, target).await?, request).await
    } else {
        ask(stream, request).await
    }
}

/// As a request of tpp's own names the server: its port stands there unless it is the scheme's.
fn host(upstream: &Upstream) -> String {
    let usual = if upstream.tls { 443 } else { 80 };
    let with_port = authority(&upstream.host, upstream.port);
    let port = format!(":{usual}");
    let stripped = with_port
        .strip_suffix(&port)
        .filter(|_| upstream.port == usual);
    stripped.unwrap_or(&with_port).to_owned()
}

async fn ask(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin,
    request: Request<Empty<Bytes>>,
) -> Result<u16, String> {
    let broken = |error: hyper::Error| format!("exchange broken off: {error}");
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MOST_HEAD);
    let (mut sender, connection) = builder
        .handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let asking = async {
        let answer = sender.send_request(request).await.map_err(broken)?;
        let status = answer.status().as_u16();
        read(answer).await.map_err(broken)?;
        Ok(status)
    };
    let mut connection = std::pin::pin!(connection);
    let mut asking = std::pin::pin!(asking);
    tokio::select! {
        // What has been read is looked at before the connection's end is.
        biased;
        answered = &mut asking => answered,
        // It ends when all of the answer has been handed over, or with an error that the asking half is told of.
        _ = &mut connection => asking.await,
    }
}

/// Reads the answer to its end, or as far as anybody can want to know.
async fn read(answer: Response<Incoming>) -> hyper::Result<()> {
    let mut body = answer.into_body();
    let mut left = MOST_BODY;
    while let Some(frame) = body.frame().await {
        let read = frame?.data_ref().map_or(0, |data| data.len());
        if read > left || body.is_end_stream() {
            return Ok(());
        }
        left -= read;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
