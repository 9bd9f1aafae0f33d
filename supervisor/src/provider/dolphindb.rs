//! One credential in, one [`Token`] or one [`LoginError`] out: DolphinDB's REST login.
//!
//! A login is one request on a connection of its own, never repeated, never redirected, sent through
//! no proxy but the configured one: the password goes to the configured upstream or nowhere. The answer is read up to a fixed
//! bound and within a fixed time, whatever the server sends. When to log in is not decided here but in
//! [`schedule`](crate::schedule).

use std::{fmt, net::SocketAddr};

use bytes::Bytes;
use reqwest::{Response, StatusCode, Url, header};
use serde::Serialize;
use tpp::config::{self, Credential};
use zeroize::Zeroizing;

use super::{
    Grant, Granting, LoginError, Manner, Provider, SetupError, Token,
    answer::{self, Verdict},
    busy::Busy,
    door::server_of,
    http::{Http, authority, header_text},
    redact::Redactor,
};

/// Logs in to one upstream. Cheap to share: `login` takes `&self`, and any number may run at once.
pub struct DolphinDb {
    http: Http,
    url: Url,
    /// What the message of a server holds that has no place for a login now, and says nothing about the account.
    busy: Busy,
    max_token_bytes: usize,
    manner: Manner,
}

impl DolphinDb {
    /// Prepares logins to `upstream` under the rules of `token`. Opens no connection.
    ///
    /// # Errors
    /// [`SetupError`] if the URL cannot be formed, `ca_file` cannot be read or holds no certificate, or
    /// TLS is asked for and the system has no roots. Plain HTTP needs no roots.
    pub fn new(upstream: &config::Upstream, token: &config::Token) -> Result<Self, SetupError> {
        let address = authority(&upstream.host, upstream.port);
        let scheme = if upstream.tls { "https" } else { "http" };
        let text = format!("{scheme}://{address}{}", token.login_path);
        let url = Url::parse(&text).map_err(|source| SetupError::Url { url: text, source })?;
        Ok(Self {
            http: Http::new(upstream, token, address)?,
            url,
            busy: Busy::new(&token.busy_pattern),
            max_token_bytes: token.max_token_bytes,
            manner: Manner::AtBackend,
        })
    }

    /// The same at a server of its own, whose login stands at `url`.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(super) fn elsewhere(
        url: Url,
        upstream: &config::Upstream,
        token: &config::Token,
    ) -> Result<Self, SetupError> {
        Ok(Self {
            url: url.clone(),
            manner: Manner::Elsewhere,
            ..Self::new(&server_of(&url, upstream), token)?
        })
    }

    /// Logs in once. Dropping the future closes the connection.
    ///
    /// # Errors
    /// [`LoginError`]; [`LoginError::outcome`] tells a refused credential from a busy server and from trouble on the way.
    pub async fn login(&self, credential: &Credential) -> Result<Token, LoginError> {
        self.log_in(credential, None).await
    }

    async fn log_in(
        &self,
        credential: &Credential,
        address: Option<SocketAddr>,
    ) -> Result<Token, LoginError> {
        let redactor = Redactor::new(credential.password.expose());
        let body = request_body(credential);
        let response = self.http.post_json(self.url.clone(), address, body).await?;
        let status = response.status();
        if status.is_redirection() {
            return Err(redirect(&response, &redactor));
        }
        match status {
            StatusCode::OK => self.judge(response, &redactor).await,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let spoken = self.spoken_failure(response, &redactor).await;
                Err(spoken.unwrap_or_else(|| LoginError::Refused {
                    reason: format!("status {}", status.as_u16()),
                }))
            }
            // The server had no time for us: that says nothing about the password.
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                Err(status_error(status))
            }
            // 400, 404, 405 and the like tell of a wrong path or a server that is not up yet. No
            // password was tested, so trying again locks nobody out: trouble, unless the login service
            // itself speaks, in its own words, of a failed login.
            _ if status.is_client_error() => {
                let spoken = self.spoken_failure(response, &redactor).await;
                Err(spoken.unwrap_or_else(|| status_error(status)))
            }
            _ => Err(status_error(status)),
        }
    }

    async fn judge(&self, response: Response, redactor: &Redactor) -> Result<Token, LoginError> {
        let content_type = header_text(&response, &header::CONTENT_TYPE);
        let body = self.http.read(response).await?;
        match answer::judge(&body, redactor, &self.busy) {
            Verdict::Granted(text) => Ok(Token::new(&text, self.max_token_bytes)?),
            Verdict::Refused { reason } => Err(LoginError::Refused { reason }),
            Verdict::Busy { reason } => Err(LoginError::Busy { reason }),
            Verdict::Unexpected { what } => Err(LoginError::Unexpected { what }),
            Verdict::Truncated => Err(LoginError::Truncated),
            Verdict::NotJson => Err(not_json(&body, content_type, redactor)),
        }
    }

    /// The failure, if a body under an error status is a login answer that tells of one.
    async fn spoken_failure(&self, response: Response, redactor: &Redactor) -> Option<LoginError> {
        let body = self.http.read(response).await.ok()?;
        match answer::judge(&body, redactor, &self.busy) {
            Verdict::Refused { reason } => Some(LoginError::Refused { reason }),
            Verdict::Busy { reason } => Some(LoginError::Busy { reason }),
            _ => None,
        }
    }
}

impl Provider for DolphinDb {
    fn grant<'a>(&'a self, account: &'a Credential, address: SocketAddr) -> Granting<'a> {
        let address = self.manner.is_at_backend().then_some(address);
        Box::pin(async move {
            Ok(Grant {
                secret: self.log_in(account, address).await?,
                // It does not say.
                expires_in: None,
            })
        })
    }

    fn unresolved(&self) -> LoginError {
        self.http.unresolved()
    }

    fn manner(&self) -> Manner {
        self.manner
    }
}

impl fmt::Debug for DolphinDb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DolphinDb")
            .field("url", &self.url.as_str())
            .finish_non_exhaustive()
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
