//! The HTTP of a login: one request on a connection of its own, never repeated, never redirected, bounded in time and size.

use bytes::Bytes;
use reqwest::{Client, Response, Url, header, redirect, retry};
use tpp::config;
use zeroize::Zeroizing;

use super::{LoginError, SetupError, error::Peer, tls};

/// What an answer may be long besides its token: the other fields, and all white space.
const ANSWER_SLACK_BYTES: usize = 64 * 1024;

/// Asks one server.
#[derive(Debug)]
pub(super) struct Http {
    client: Client,
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
        let client = Client::builder()
            .tls_backend_preconfigured(tls::client_config(upstream)?)
            .http1_only()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            // A kept connection may be closed by the server just as we write a password to it.
            .pool_max_idle_per_host(0)
            .connect_timeout(connect_timeout)
            .timeout(token.login_timeout)
            .user_agent(concat!("tpp/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|source| SetupError::Client { source })?;
        Ok(Self {
            client,
            peer: Peer {
                address,
                connect_timeout,
                login_timeout: token.login_timeout,
            },
            // A line break is two bytes in JSON, and a server may escape more than it must.
            limit: ANSWER_SLACK_BYTES + 2 * token.max_token_bytes,
        })
    }

    /// Sends `body` and returns the head of the answer.
    pub(super) async fn post_json(&self, url: Url, body: Bytes) -> Result<Response, LoginError> {
        self.client
            .post(url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .body(body)
            .send()
            .await
            .map_err(|error| self.peer.explain(error))
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

/// `host:port` as a URL and a person want it.
pub(super) fn authority(host: &str, port: u16) -> String {
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
