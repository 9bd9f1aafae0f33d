//! How an authority is spoken to: HTTPS, bounded in time and size.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use axum::http::{Request, Response, header};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use reqwest::{Client, redirect, retry};
use tpp::{config, tls};

/// For a connection with its handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For one question and its answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The longest answer, bytes: a chain of certificates is far shorter.
const MOST_ANSWER: usize = 1024 * 1024;

type Answered = Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>>;

/// Speaks to an authority.
#[derive(Debug, Clone)]
pub(super) struct Speaker {
    client: Client,
    /// For how long the authority wanted to be spared when it last answered with an error.
    spared: Arc<Mutex<Option<Duration>>>,
}

impl Speaker {
    /// To the authority of `settings`.
    ///
    /// # Errors
    /// One line that says why that cannot be.
    pub(super) fn new(settings: &config::Acme) -> Result<Self, String> {
        let client = client(settings).map_err(|error| format!("{error:#}"))?;
        Ok(Self {
            client,
            spared: Arc::default(),
        })
    }

    /// For how long the authority wants to be spared, as it said with its last error.
    pub(super) fn spared(&self) -> Option<Duration> {
        *self.spared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        let (parts, body) = request.into_parts();
        let Ok(body) = body.collect().await;
        let body = body.to_bytes();
        let asked = self.client.request(parts.method, parts.uri.to_string());
        let answer = asked.headers(parts.headers).body(body).send().await;
        let mut answer = answer.map_err(|error| Error::Other(Box::new(error.without_url())))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(other)? {
            if body.len() + chunk.len() > MOST_ANSWER {
                return Err(Error::Other("an answer without end".into()));
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_client_error() || status.is_server_error() {
            let spared = headers.get(header::RETRY_AFTER).and_then(spared);
            *self.spared.lock().unwrap_or_else(PoisonError::into_inner) = spared;
            let kind = headers.get(header::CONTENT_TYPE);
            // What stands before an authority does not answer in its words.
            if !kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/problem+json")) {
                return Err(Error::Other(format!("the answer is {status}").into()));
            }
        }
        let mut response = Response::new(Full::new(body.freeze()));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(BytesResponse::from(response))
    }
}

fn other(error: reqwest::Error) -> Error {
    Error::Other(Box::new(error))
}

impl HttpClient for Speaker {
    fn request(&self, request: Request<BodyWrapper<Bytes>>) -> Answered {
        Box::pin(self.clone().ask(request))
    }
}

/// A proxy is used as the environment says.
fn client(settings: &config::Acme) -> anyhow::Result<Client> {
    let roots = tls::roots_of(settings.ca_file.as_ref())?;
    let mut builder = Client::builder();
    if is_here(settings.url()) {
        // One elsewhere would look for it on its own machine.
        builder = builder.no_proxy();
    }
    let client = builder
        .tls_backend_preconfigured(tls::config_of(roots)?)
        .https_only(true)
        .http1_only()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        .build()?;
    Ok(client)
}

fn is_here(url: &str) -> bool {
    let host = url::Url::parse(url).ok().and_then(|url| match url.host()? {
        url::Host::Ipv4(address) => Some(address.is_loopback()),
        url::Host::Ipv6(address) => Some(address.is_loopback()),
        url::Host::Domain(name) => Some(name == "localhost"),
    });
    host.unwrap_or(false)
}

/// Seconds, or a date.
fn spared(value: &header::HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    Some(at.duration_since(SystemTime::now()).unwrap_or_default())
}
