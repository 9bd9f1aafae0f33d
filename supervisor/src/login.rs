//! One credential in, one [`Token`] or one [`LoginError`] out: DolphinDB's REST login.
//!
//! A login is one request on a connection of its own, never repeated, never redirected, never sent through
//! a proxy: the password goes to the configured upstream or nowhere. The answer is read up to a fixed
//! bound and within a fixed time, whatever the server sends. When to log in is not decided here but in
//! [`schedule`](crate::schedule).

mod answer;
mod error;
mod excerpt;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod tls;
mod token;

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use reqwest::{Client, ClientBuilder, Response, StatusCode, Url, header, redirect, retry};
use serde::Serialize;
use tpp::config::{self, Credential};
use zeroize::Zeroizing;

pub use error::{LoginError, SetupError};
pub use token::{Token, TokenFault, fingerprint};

use answer::Verdict;
use excerpt::Redactor;

/// What an answer may be long besides its token: the other fields, and all white space.
const ANSWER_SLACK_BYTES: usize = 64 * 1024;
/// Addresses for which an HTTP client is kept.
const MOST_ADDRESSES: usize = 64;

/// Logs in to one upstream. Cheap to share: `login` takes `&self`, and any number may run at once.
#[derive(Debug)]
pub struct LoginClient {
    http: Client,
    sender: Sender,
    url: Url,
    peer: error::Peer,
    max_token_bytes: usize,
}

impl LoginClient {
    /// Prepares logins to `upstream` under the rules of `token`. Opens no connection.
    ///
    /// # Errors
    /// [`SetupError`] if the URL cannot be formed, `ca_file` cannot be read or holds no certificate, or TLS
    /// is asked for and the system has no roots. Plain HTTP needs none of them.
    pub fn new(upstream: &config::Upstream, token: &config::Token) -> Result<Self, SetupError> {
        let address = authority(&upstream.host, upstream.port);
        let scheme = if upstream.tls { "https" } else { "http" };
        let text = format!("{scheme}://{address}{}", token.login_path);
        let url = Url::parse(&text).map_err(|source| SetupError::Url { url: text, source })?;
        // The bound is on name, TCP and TLS together: the library has one timer for all three.
        let connect_timeout = if upstream.tls {
            upstream.connect_timeout + upstream.tls_handshake_timeout
        } else {
            upstream.connect_timeout
        };
        let sender = Sender {
            host: upstream.host.clone(),
            tls: tls::client_config(upstream)?,
            connect_timeout,
            login_timeout: token.login_timeout,
            at: Mutex::default(),
        };
        let http = sender
            .builder()
            .build()
            .map_err(|source| SetupError::Client { source })?;
        let peer = error::Peer {
            address,
            connect_timeout,
            login_timeout: token.login_timeout,
        };
        Ok(Self {
            http,
            sender,
            url,
            peer,
            max_token_bytes: token.max_token_bytes,
        })
    }

    /// Logs in once. Dropping the future closes the connection.
    ///
    /// # Errors
    /// [`LoginError`]; [`LoginError::is_refusal`] tells a refused credential from trouble on the way.
    pub async fn login(&self, credential: &Credential) -> Result<Token, LoginError> {
        self.login_with(&self.http, credential).await
    }

    /// The same at `address`, whatever the upstream's name resolves to now.
    ///
    /// # Errors
    /// As of [`Self::login`].
    pub async fn login_at(
        &self,
        credential: &Credential,
        address: SocketAddr,
    ) -> Result<Token, LoginError> {
        let http = self
            .sender
            .at(address)
            .map_err(|error| self.peer.explain(error))?;
        self.login_with(&http, credential).await
    }

    /// What a login comes to as long as the upstream's name has no address.
    pub(crate) fn unresolved(&self) -> LoginError {
        LoginError::Resolve {
            address: self.peer.address.clone(),
            cause: "the name has no address yet".to_owned(),
        }
    }

    async fn login_with(
        &self,
        http: &Client,
        credential: &Credential,
    ) -> Result<Token, LoginError> {
        let redactor = Redactor::new(credential.password.expose());
        let response = self.send(http, credential).await?;
        let status = response.status();
        if status.is_redirection() {
            return Err(redirect(&response, &redactor));
        }
        match status {
            StatusCode::OK => self.judge(response, &redactor).await,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let reason = self.spoken_refusal(response, &redactor).await;
                Err(LoginError::Refused {
                    reason: reason.unwrap_or_else(|| format!("status {}", status.as_u16())),
                })
            }
            // The server had no time for us: that says nothing about the password.
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                Err(status_error(status))
            }
            // 400, 404, 405 and the like tell of a wrong path or a server that is not up yet. No
            // password was tested, so trying again locks nobody out: trouble, unless the login service
            // itself speaks, in its own words, of a failed login.
            _ if status.is_client_error() => {
                let reason = self.spoken_refusal(response, &redactor).await;
                Err(reason.map_or_else(
                    || status_error(status),
                    |reason| LoginError::Refused { reason },
                ))
            }
            _ => Err(status_error(status)),
        }
    }

    async fn send(&self, http: &Client, credential: &Credential) -> Result<Response, LoginError> {
        http.post(self.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .body(request_body(credential))
            .send()
            .await
            .map_err(|error| self.peer.explain(error))
    }

    async fn judge(&self, response: Response, redactor: &Redactor) -> Result<Token, LoginError> {
        let content_type = header_text(&response, &header::CONTENT_TYPE);
        let body = self.read(response).await?;
        match answer::judge(&body, redactor) {
            Verdict::Granted(text) => Ok(Token::new(&text, self.max_token_bytes)?),
            Verdict::Refused { reason } => Err(LoginError::Refused { reason }),
            Verdict::Unexpected { what } => Err(LoginError::Unexpected { what }),
            Verdict::Truncated => Err(LoginError::Truncated),
            Verdict::NotJson => Err(not_json(&body, content_type, redactor)),
        }
    }

    /// The reason, if a body under an error status is a login answer that tells of a failure.
    async fn spoken_refusal(&self, response: Response, redactor: &Redactor) -> Option<String> {
        let body = self.read(response).await.ok()?;
        match answer::judge(&body, redactor) {
            Verdict::Refused { reason } => Some(reason),
            _ => None,
        }
    }

    /// The whole body, wiped when it is dropped, or an error as soon as it proves longer than the bound.
    async fn read(&self, mut response: Response) -> Result<Zeroizing<Vec<u8>>, LoginError> {
        // A line break is two bytes in JSON, and a server may escape more than it must.
        let limit = ANSWER_SLACK_BYTES + 2 * self.max_token_bytes;
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

/// Makes HTTP clients: one for each address that is logged in at, since the library has one resolver a client.
#[derive(Debug)]
struct Sender {
    host: String,
    tls: rustls::ClientConfig,
    connect_timeout: Duration,
    login_timeout: Duration,
    at: Mutex<HashMap<SocketAddr, Client>>,
}

impl Sender {
    fn builder(&self) -> ClientBuilder {
        Client::builder()
            .tls_backend_preconfigured(self.tls.clone())
            .http1_only()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            // A kept connection may be closed by the server just as we write a password to it.
            .pool_max_idle_per_host(0)
            .connect_timeout(self.connect_timeout)
            .timeout(self.login_timeout)
            .user_agent(concat!("tpp/", env!("CARGO_PKG_VERSION")))
    }

    /// That which connects to `address`.
    fn at(&self, address: SocketAddr) -> reqwest::Result<Client> {
        let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = at.get(&address) {
            return Ok(client.clone());
        }
        let client = self.builder().resolve(&self.host, address).build()?;
        if at.len() >= MOST_ADDRESSES {
            // Of addresses that are gone, most of them.
            at.clear();
        }
        at.insert(address, client.clone());
        Ok(client)
    }
}

/// `host:port` as a URL and a person want it.
fn authority(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// The request, in a buffer that is wiped when the transport lets go of it.
fn request_body(credential: &Credential) -> Bytes {
    #[derive(Serialize)]
    struct Request<'a> {
        username: &'a str,
        password: &'a str,
    }
    let request = Request {
        username: &credential.username,
        password: credential.password.expose(),
    };
    // At worst each byte becomes `\u00xx`; reserved whole, for growing would leave unwiped copies behind.
    let capacity = 6 * (request.username.len() + request.password.len()) + 64;
    let mut body = Zeroizing::new(Vec::with_capacity(capacity));
    serde_json::to_writer(&mut *body, &request)
        .expect("two strings serialize, and a Vec takes all");
    Bytes::from_owner(body)
}

fn header_text(response: &Response, name: &header::HeaderName) -> Option<String> {
    response
        .headers()
        .get(name)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn redirect(response: &Response, redactor: &Redactor) -> LoginError {
    let location = header_text(response, &header::LOCATION).unwrap_or_default();
    LoginError::Redirect {
        status: response.status().as_u16(),
        location: redactor.excerpt(&location),
    }
}

fn status_error(status: StatusCode) -> LoginError {
    LoginError::Status {
        status: status.as_u16(),
    }
}

fn not_json(body: &[u8], content_type: Option<String>, redactor: &Redactor) -> LoginError {
    let content_type = content_type.unwrap_or_default();
    if body.trim_ascii_start().first() == Some(&b'<') || content_type.starts_with("text/html") {
        return LoginError::Html;
    }
    LoginError::NotJson {
        content_type: redactor.excerpt(&content_type),
    }
}
