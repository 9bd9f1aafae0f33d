//! OAuth 2.0 client credentials (RFC 6749, 4.4): a client's id and secret in, an access token out, one for all who use the client.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use reqwest::{Method, RequestBuilder, StatusCode, Url, header};
use tpp::config::{ClientAuth, Credential};
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::{
    Grant, Granting, LeaveTaking, LoginError, Manner, Provider, Token,
    door::Door,
    extra,
    redact::Redactor,
    said::{self, Said},
};

/// A token endpoint.
#[derive(Debug)]
pub(super) struct OAuth2 {
    pub(super) door: Door,
    pub(super) auth: ClientAuth,
    /// Where tokens are revoked (RFC 7009).
    pub(super) revocation: Option<Url>,
}

impl OAuth2 {
    /// A request to `url` in the name of `account`.
    fn request<'a>(
        &self,
        url: &Url,
        account: &'a Credential,
        mut form: Vec<(&'static str, &'a str)>,
    ) -> Result<RequestBuilder, LoginError> {
        let secret = account.password.expose();
        let mut request = self.door.request(Method::POST, url)?;
        match self.auth {
            ClientAuth::Basic => {
                // Each is form-encoded first, so that a colon in the id cannot be taken for the one between them.
                let [id, secret] = [account.username.as_str(), secret].map(encoded);
                request = request.basic_auth(&*id, Some(&*secret));
            }
            ClientAuth::Body => {
                form.extend([
                    ("client_id", account.username.as_str()),
                    ("client_secret", secret),
                ]);
            }
        }
        Ok(request
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(written(&form)))
    }

    async fn log_in(&self, account: &Credential) -> Result<Grant, LoginError> {
        let redactor = Redactor::new(account.password.expose());
        let mut form = vec![("grant_type", "client_credentials")];
        for name in ["scope", "audience"] {
            form.extend(extra(account, name).map(|value| (name, value)));
        }
        let request = self.request(self.door.url(), account, form)?;
        let said = self.door.ask(request).await?;
        let (text, expires_in) = judge(&said, &redactor)?;
        Ok(Grant {
            secret: Token::new(&text, self.door.max_token_bytes())?,
            expires_in,
        })
    }

    async fn revoke(
        &self,
        url: &Url,
        account: &Credential,
        token: &Token,
    ) -> Result<(), LoginError> {
        let redactor = Redactor::new(account.password.expose());
        let token = String::from_utf8_lossy(token.expose());
        let form = vec![("token", &*token), ("token_type_hint", "access_token")];
        let request = self.request(url, account, form)?;
        let said = self.door.ask(request).await?;
        // A token that it does not know is no error either (RFC 7009, 2.2).
        if said.status.is_success() {
            Ok(())
        } else {
            Err(said.by_status(&redactor))
        }
    }
}

/// What an answer of a token endpoint means (RFC 6749, 5): the token as sent, and for how long it is good.
///
/// # Errors
/// Why there is none.
pub(super) fn judge(
    said: &Said,
    redactor: &Redactor,
) -> Result<(Zeroizing<String>, Option<Duration>), LoginError> {
    let document = match said.document(redactor) {
        Ok(document) => document,
        Err(unreadable) if said.status.is_success() => return Err(unreadable),
        Err(_) => return Err(said.by_status(redactor)),
    };
    if !said.status.is_success() {
        return Err(match document.text("/error") {
            Some(code) => failed(said, code, document.text("/error_description"), redactor),
            None => said.by_status(redactor),
        });
    }
    let Some(token) = document.text("/access_token") else {
        // Some servers say 200 to everything.
        return Err(match document.text("/error") {
            Some(code) => failed(said, code, document.text("/error_description"), redactor),
            None => LoginError::Unexpected {
                what: "has no `access_token`",
            },
        });
    };
    // A client must not use a token of a type that it does not know (7.1). Left out, it is the only one that there is in practice.
    let kind = document.text("/token_type").unwrap_or("bearer");
    if !kind.trim().eq_ignore_ascii_case("bearer") {
        return Err(LoginError::Unexpected {
            what: "has a `token_type` other than Bearer",
        });
    }
    Ok((
        Zeroizing::new(token.to_owned()),
        document.seconds("/expires_in"),
    ))
}

/// A failure by its code: RFC 6749, 5.2 and 4.1.2.1, RFC 8628, 3.5, RFC 8707, 2.
fn failed(said: &Said, code: &str, description: Option<&str>, redactor: &Redactor) -> LoginError {
    let words = match description {
        Some(description) => format!("{code}: {description}"),
        None => code.to_owned(),
    };
    let reason = said::reason(&words, redactor);
    match code {
        "temporarily_unavailable" | "slow_down" => said.busy(reason),
        "server_error" => LoginError::Trouble { reason },
        _ if said.status == StatusCode::TOO_MANY_REQUESTS => said.busy(reason),
        _ if said.status.is_server_error() => said.by_status(redactor),
        // invalid_client, unauthorized_client, invalid_scope, …, and codes of later documents: the same request
        // would be answered alike.
        _ => LoginError::Refused { reason },
    }
}

fn encoded(text: &str) -> Zeroizing<String> {
    let mut encoded = Zeroizing::new(String::with_capacity(3 * text.len()));
    encoded.extend(form_urlencoded::byte_serialize(text.as_bytes()));
    encoded
}

/// A form, in a buffer that is wiped when the transport lets go of it.
fn written(form: &[(&str, &str)]) -> Bytes {
    let room = form
        .iter()
        .map(|(name, value)| name.len() + 3 * value.len() + 2);
    let mut body = Zeroizing::new(Vec::with_capacity(room.sum()));
    for (name, value) in form {
        if !body.is_empty() {
            body.push(b'&');
        }
        body.extend_from_slice(name.as_bytes());
        body.push(b'=');
        for part in form_urlencoded::byte_serialize(value.as_bytes()) {
            body.extend_from_slice(part.as_bytes());
        }
    }
    Bytes::from_owner(body)
}

impl Provider for OAuth2 {
    fn grant<'a>(&'a self, account: &'a Credential, _: SocketAddr) -> Granting<'a> {
        Box::pin(self.log_in(account))
    }

    fn unresolved(&self) -> LoginError {
        self.door.unresolved()
    }

    fn manner(&self) -> Manner {
        Manner::Shared
    }

    fn log_out<'a>(&'a self, account: &'a Credential, token: &'a Token) -> Option<LeaveTaking<'a>> {
        let url = self.revocation.as_ref()?;
        Some(Box::pin(self.revoke(url, account, token)))
    }
}
