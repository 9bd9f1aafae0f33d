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
use tpp::config;
use zeroize::Zeroizing;

use super::{LoginError, SetupError, error::Peer};

/// What an answer may be long besides its token: the other fields, and all white space.
const ANSWER_SLACK_BYTES: usize = 64 * 1024;

/// Addresses for which a client of the library is kept.
const MOST_ADDRESSES: usize = 64;

/// Asks one server.
#[derive(Debug)]
pub(super) struct Http {
    host: String,
    tls: rustls::ClientConfig,
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
        let client = builder(&tls, &peer)
            .build()
            .map_err(|source| SetupError::Client { source })?;
        Ok(Self {
            host: upstream.host.clone(),
            tls,
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

    /// The client that connects to `address`; `None`: to what the host's name resolves to.
    fn client(&self, address: Option<SocketAddr>) -> reqwest::Result<Client> {
        let Some(address) = address else {
            return Ok(self.client.clone());
        };
        let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = at.get(&address) {
            return Ok(client.clone());
        }
        let builder = builder(&self.tls, &self.peer);
        let client = builder.resolve(&self.host, address).build()?;
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
        url: Url,
        address: Option<SocketAddr>,
        body: Bytes,
    ) -> Result<Response, LoginError> {
        self.client(address)
            .map_err(|error| self.peer.explain(error))?
            .post(url)
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

fn builder(tls: &rustls::ClientConfig, peer: &Peer) -> ClientBuilder {
    Client::builder()
        .tls_backend_preconfigured(tls.clone())
        .http1_only()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        // A kept connection may be closed by the server just as we write a password to it.
        .pool_max_idle_per_host(0)
        .connect_timeout(peer.connect_timeout)
        .timeout(peer.login_timeout)
        .user_agent(concat!("tpp/", env!("CARGO_PKG_VERSION")))
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
