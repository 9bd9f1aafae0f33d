//! A login server at a URL of its own, and how it is asked.

use bytes::Bytes;
use reqwest::{Method, RequestBuilder, Url, header};
use tpp::config::{self, UpstreamHttp2};
use zeroize::Zeroizing;

use super::{
    LoginError, SetupError,
    http::{Http, authority},
    said::Said,
};

/// Who lets an account in: a server that need not be the upstream.
#[derive(Debug)]
pub(super) struct Door {
    http: Http,
    url: Url,
    max_token_bytes: usize,
}

impl Door {
    /// The door at `url`, within the bounds of `token` and those that `upstream` sets for connections; its roots are trusted here too.
    ///
    /// # Errors
    /// [`SetupError`] if the URL is none, or nobody can be trusted.
    pub(super) fn new(
        url: &str,
        upstream: &config::Upstream,
        token: &config::Token,
    ) -> Result<Self, SetupError> {
        let url = parse(url)?;
        let server = server_of(&url, upstream);
        let address = authority(&server.host, server.port);
        Ok(Self {
            http: Http::new(&server, token, address)?,
            url,
            max_token_bytes: token.max_token_bytes,
        })
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// Longest token that is taken, bytes.
    pub(super) fn max_token_bytes(&self) -> usize {
        self.max_token_bytes
    }

    /// What a login comes to as long as the upstream's name has no address: the token could go nowhere.
    pub(super) fn unresolved(&self) -> LoginError {
        LoginError::Trouble {
            reason: "the upstream's name has no address yet".to_owned(),
        }
    }

    /// A request to `url`, to be filled and [asked](Self::ask).
    pub(super) fn request(&self, method: Method, url: &Url) -> Result<RequestBuilder, LoginError> {
        let request = self.http.request(method, url.clone())?;
        Ok(request.header(header::ACCEPT, "application/json"))
    }

    /// Sends a request and reads the answer whole.
    pub(super) async fn ask(&self, request: RequestBuilder) -> Result<Said, LoginError> {
        self.ask_with(request, &header::RETRY_AFTER).await
    }

    /// The same; seconds in a header called `wait` count as `Retry-After` does.
    pub(super) async fn ask_with(
        &self,
        request: RequestBuilder,
        wait: &header::HeaderName,
    ) -> Result<Said, LoginError> {
        let response = self.http.send(request).await?;
        Said::read(&self.http, response, wait).await
    }
}

/// The server of a [URL](parse), to which the bounds and roots of `upstream` apply.
pub(super) fn server_of(url: &Url, upstream: &config::Upstream) -> config::Upstream {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    config::Upstream {
        host: host.to_owned(),
        port: url.port_or_known_default().unwrap_or_default(),
        tls: url.scheme() == "https",
        server_name: None,
        http2: UpstreamHttp2::Off,
        ..upstream.clone()
    }
}

/// A URL at which a login can be made.
///
/// # Errors
/// If it is none of `http` or `https`.
pub(super) fn parse(text: &str) -> Result<Url, SetupError> {
    let url = Url::parse(text).map_err(|source| SetupError::Url {
        url: text.to_owned(),
        source,
    })?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() {
        Ok(url)
    } else {
        Err(SetupError::Scheme {
            url: text.to_owned(),
        })
    }
}

/// `fields` as a JSON object, in a buffer that is wiped when the transport lets go of it.
pub(super) fn json_body(fields: &[(&str, &str)]) -> Bytes {
    // At worst each byte becomes `\u00xx`; reserved whole, for growing would leave unwiped copies behind.
    let room = fields
        .iter()
        .map(|(name, value)| 6 * (name.len() + value.len()) + 6);
    let mut body = Zeroizing::new(Vec::with_capacity(room.sum::<usize>() + 2));
    let mut begin = b'{';
    for (name, value) in fields {
        body.push(begin);
        serde_json::to_writer(&mut *body, name).expect("a Vec takes all");
        body.push(b':');
        serde_json::to_writer(&mut *body, value).expect("a Vec takes all");
        begin = b',';
    }
    body.push(b'}');
    Bytes::from_owner(body)
}
