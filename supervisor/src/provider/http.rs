//! The HTTP of a login: one request on a connection of its own, never repeated, never redirected, bounded in time and size.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use reqwest::{
    Client, ClientBuilder, Method, RequestBuilder, Response, Url, header, redirect, retry,
};
use tpp::{config, plan::ProxyAt};
use zeroize::Zeroizing;

use super::{LoginError, SetupError, error::Peer};
use crate::proxy;

/// What an answer may be long besides its token: the other fields, and all white space.
const ANSWER_SLACK_BYTES: usize = 64 * 1024;

/// Addresses for which a client of the library is kept.
const MOST_ADDRESSES: usize = 64;

/// Asks one server.
#[derive(Debug)]
pub(super) struct Http {
    host: String,
    /// By which name the server is asked for, and must prove itself, if that is not its host's.
    name: Option<String>,
    tls: rustls::ClientConfig,
    proxy: Option<ProxyAt>,
    /// That which resolves the host's name itself.
    client: Client,
    /// One for each address that is logged in at, since the library has one resolver a client.
    at: Mutex<HashMap<SocketAddr, Client>>,
    peer: Peer,
    /// Longest answer that is read, bytes.
    limit: usize,
}

impl Http {
    /// For `upstream`, which errors call `address`.
    pub(super) fn new(
        upstream: &config::Upstream,
        token: &config::Token,
        address: String,
    ) -> Result<Self, SetupError> {
        // The bound is on name, TCP and TLS together: the library has one timer for all three.
        let connect_timeout = if upstream.tls {
            upstream.connect_timeout + upstream.tls_handshake_timeout
        } else {
            upstream.connect_timeout
        };
        let peer = Peer {
            address,
            connect_timeout,
            login_timeout: token.login_timeout,
        };
        let tls = tpp::tls::client_config(upstream)?;
        let proxy = proxy::before(upstream);
        let client = builder(&tls, &peer, proxy.as_ref())
            .build()
            .map_err(|source| SetupError::Client { source })?;
        Ok(Self {
            host: upstream.host.clone(),
            // A proxy connects to whom the URL names.
            name: upstream
                .server_name
                .clone()
                .filter(|_| upstream.tls && proxy.is_none()),
            tls,
            proxy,
            client,
            at: Mutex::default(),
            peer,
            // A line break is two bytes in JSON, and a server may escape more than it must.
            limit: ANSWER_SLACK_BYTES + 2 * token.max_token_bytes,
        })
    }

    /// What a login comes to as long as the host's name has no address.
    pub(super) fn unresolved(&self) -> LoginError {
        LoginError::Resolve {
            address: self.peer.address.clone(),
            cause: "the name has no address yet".to_owned(),
        }
    }

    /// The client that connects to `address`; `None`: to what the host's name resolves to. A proxy looks names up itself.
    fn client(&self, address: Option<SocketAddr>) -> reqwest::Result<Client> {
        let Some(address) = address.filter(|_| self.proxy.is_none()) else {
            return Ok(self.client.clone());
        };
        let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = at.get(&address) {
            return Ok(client.clone());
        }
        let name = self.name.as_ref().unwrap_or(&self.host);
        let builder = builder(&self.tls, &self.peer, None);
        let client = builder.resolve(name, address).build()?;
        if at.len() >= MOST_ADDRESSES {
            // Of addresses that are gone, most of them.
            at.clear();
        }
        at.insert(address, client.clone());
        Ok(client)
    }

    /// Sends `body` to `address`, or to what the host's name resolves to, and returns the head of the answer.
    pub(super) async fn post_json(
        &self,
        mut url: Url,
        address: Option<SocketAddr>,
        body: Bytes,
    ) -> Result<Response, LoginError> {
        let client = self.client(address);
        let client = client.map_err(|error| self.peer.explain(error))?;
        let mut request = client.post(url.clone());
        // The library asks TLS for the URL's host: it is led to the address by the other name.
        if let Some(name) = self.name.as_deref().filter(|_| address.is_some())
            && url.set_host(Some(name)).is_ok()
        {
            request = client.post(url).header(header::HOST, &self.peer.address);
        }
        request
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .body(body)
            .send()
            .await
            .map_err(|error| self.peer.explain(error))
    }

    /// A request to `url`, at what its host resolves to.
    pub(super) fn request(&self, method: Method, url: Url) -> Result<RequestBuilder, LoginError> {
        let client = self.client(None);
        let client = client.map_err(|error| self.peer.explain(error))?;
        Ok(client.request(method, url))
    }

    /// Sends a request and returns the head of the answer.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, LoginError> {
        let sent = request.send().await;
        sent.map_err(|error| self.peer.explain(error))
    }

    /// The whole body, wiped when it is dropped, or an error as soon as it proves longer than the bound.
    pub(super) async fn read(
        &self,
        mut response: Response,
    ) -> Result<Zeroizing<Vec<u8>>, LoginError> {
        let limit = self.limit;
        if response
            .content_length()
            .is_some_and(|length| length > limit as u64)
        {
            return Err(LoginError::TooLarge { limit });
        }
        // Reserved whole: growing would leave unwiped copies behind.
        let mut body = Zeroizing::new(Vec::with_capacity(limit));
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| self.peer.explain(error))?
        {
            if body.len() + chunk.len() > limit {
                return Err(LoginError::TooLarge { limit });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

fn builder(tls: &rustls::ClientConfig, peer: &Peer, proxy: Option<&ProxyAt>) -> ClientBuilder {
    // What the environment says has been heeded already.
    let mut builder = Client::builder().no_proxy();
    if let Some(through) = proxy.and_then(through) {
        builder = builder.proxy(through);
    }
    builder
        .tls_backend_preconfigured(tls.clone())
        .http1_only()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        // A kept connection may be closed by the server just as we write a password to it.
        .pool_max_idle_per_host(0)
        .connect_timeout(peer.connect_timeout)
        .timeout(peer.login_timeout)
        .user_agent(concat!("tpp/", env!("CARGO_PKG_VERSION")))
}

/// As the library has it.
fn through(proxy: &ProxyAt) -> Option<reqwest::Proxy> {
    let through = reqwest::Proxy::all(format!("http://{}", proxy.authority())).ok()?;
    let authorization = proxy
        .authorization
        .as_deref()
        .map(header::HeaderValue::from_str);
    Some(match authorization {
        Some(Ok(authorization)) => through.custom_http_auth(authorization),
        _ => through,
    })
}

/// `host:port` as a URL and a person want it.
pub(crate) fn authority(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// A field of the answer as text, whatever its bytes.
pub(super) fn header_text(response: &Response, name: &header::HeaderName) -> Option<String> {
    response
        .headers()
        .get(name)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}
