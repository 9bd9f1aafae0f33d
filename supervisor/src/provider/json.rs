//! A login of any shape that is a request and a JSON answer: what to send and where the token stands is configured.

use std::{fmt, net::SocketAddr, time::Duration};

use bytes::Bytes;
use reqwest::{
    Method, StatusCode, Url,
    header::{self, HeaderName, HeaderValue},
};
use serde_json::Value;
use tpp::config::Credential;
use zeroize::Zeroizing;

use super::{
    Grant, Granting, LeaveTaking, LoginError, Manner, Provider, Token,
    busy::Busy,
    document::Document,
    door::Door,
    extra,
    redact::Redactor,
    said::{self, Said},
    template::{Escape, Template},
};

/// What is sent.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) content_type: HeaderValue,
    /// How values stand in a body of that type.
    pub(super) escape: Escape,
    /// Besides the content type.
    pub(super) headers: Vec<(HeaderName, Template)>,
    pub(super) body: Template,
}

/// What the answer means.
#[derive(Debug)]
pub(super) struct Meaning {
    /// Where the token stands, as the places below by a JSON pointer.
    pub(super) token: String,
    pub(super) expires_in: Option<String>,
    /// Where something stands in the answer of a success, and what; without that, anything but `false`.
    pub(super) ok: Option<(String, Option<Value>)>,
    /// Where a failure is explained.
    pub(super) message: Option<String>,
    /// What that says if it is no refusal.
    pub(super) busy: Busy,
}

/// How a session is ended: a request with its token in a header.
#[derive(Debug)]
pub(super) struct Logout {
    pub(super) url: Url,
    pub(super) header: HeaderName,
    pub(super) prefix: String,
}

/// A login server that speaks JSON.
pub(super) struct Json {
    pub(super) door: Door,
    pub(super) call: Call,
    pub(super) meaning: Meaning,
    pub(super) logout: Option<Logout>,
}

impl Json {
    async fn log_in(&self, account: &Credential) -> Result<Grant, LoginError> {
        let redactor = redactor(account);
        let value = |name: &str| match name {
            "username" => Some(account.username.as_str()),
            "password" => Some(account.password.expose()),
            name => extra(account, name),
        };
        let missing = |name: &str| LoginError::Refused {
            reason: format!("the account has no {name:?} to be filled in"),
        };
        let url = self.door.url();
        let mut request = self.door.request(self.call.method.clone(), url)?;
        for (name, template) in &self.call.headers {
            let text = template.fill(Escape::Plain, value).map_err(missing)?;
            let mut line = HeaderValue::from_bytes(&text).map_err(|_| LoginError::Refused {
                reason: format!("a value cannot stand in the header {name}"),
            })?;
            line.set_sensitive(true);
            request = request.header(name, line);
        }
        if !self.call.body.is_empty() {
            let body = self.call.body.fill(self.call.escape, value);
            let body = body.map_err(missing)?;
            request = request
                .header(header::CONTENT_TYPE, self.call.content_type.clone())
                .body(Bytes::from_owner(body));
        }
        let said = self.door.ask(request).await?;
        let (text, expires_in) = self.meaning.judge(&said, &redactor)?;
        Ok(Grant {
            secret: Token::new(&text, self.door.max_token_bytes())?,
            expires_in,
        })
    }
}

/// Keeps the account's own values to itself, but for its name.
fn redactor(account: &Credential) -> Redactor {
    let secrets = account.extra.values();
    let password = Redactor::new(account.password.expose());
    secrets.fold(password, |redactor, secret| redactor.also(secret.expose()))
}

impl Meaning {
    /// What an answer means: the token as sent, and for how long it is good.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn judge(
        &self,
        said: &Said,
        redactor: &Redactor,
    ) -> Result<(Zeroizing<String>, Option<Duration>), LoginError> {
        let document = match said.document(redactor) {
            Ok(document) => document,
            Err(unreadable) if said.status.is_success() => return Err(unreadable),
            Err(_) => return Err(said.by_status(redactor)),
        };
        let token = document.text(&self.token);
        let redactor = &token.map_or_else(|| redactor.clone(), |token| redactor.also(token));
        let found = self.ok.as_ref().map(|(pointer, good)| {
            let found = document.at(pointer);
            found.map(|found| is_good(found, good.as_ref()))
        });
        match found {
            _ if !said.status.is_success() => Err(self.failed(said, &document, redactor)),
            Some(Some(false)) => Err(self.failed(said, &document, redactor)),
            Some(None) => Err(LoginError::Unexpected {
                what: "has nothing where `ok` looks",
            }),
            Some(Some(true)) | None => {
                let Some(token) = token else {
                    return Err(self.without_token(said, &document, redactor));
                };
                let expires_in = self.expires_in.as_ref();
                Ok((
                    Zeroizing::new(token.to_owned()),
                    expires_in.and_then(|pointer| document.seconds(pointer)),
                ))
            }
        }
    }

    fn message<'d>(&self, document: &'d Document) -> Option<&'d str> {
        document.text(self.message.as_ref()?)
    }

    /// A success that brings no token. Where no `ok` tells, an explanation does.
    fn without_token(&self, said: &Said, document: &Document, redactor: &Redactor) -> LoginError {
        if self.ok.is_none() && self.message(document).is_some() {
            return self.failed(said, document, redactor);
        }
        LoginError::Unexpected {
            what: "has no text where `token` looks",
        }
    }

    /// A failure, by status and by what the server says of it.
    fn failed(&self, said: &Said, document: &Document, redactor: &Redactor) -> LoginError {
        let message = self.message(document);
        let reason = said::reason(message.unwrap_or_default(), redactor);
        if message.is_some_and(|message| self.busy.is_said_in(message)) {
            return said.busy(reason);
        }
        match said.status {
            // A wrong path or method: no account was tried.
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => said.by_status(redactor),
            StatusCode::TOO_MANY_REQUESTS => said.busy(reason),
            // The login service itself speaks.
            status if status.is_client_error() && message.is_some() => {
                LoginError::Refused { reason }
            }
            status if status.is_success() => LoginError::Refused { reason },
            _ => said.by_status(redactor),
        }
    }
}

/// Whether what was found is what a success has there.
fn is_good(found: &Value, good: Option<&Value>) -> bool {
    good.map_or(*found != Value::Bool(false), |good| is_alike(found, good))
}

/// Whether both say the same: servers write a number as a number one day and as a text the next.
fn is_alike(found: &Value, good: &Value) -> bool {
    if found == good {
        return true;
    }
    let number = |value: &Value| match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse::<f64>().ok(),
        _ => None,
    };
    let word = |value: &Value| match value {
        Value::Bool(flag) => Some(flag.to_string()),
        Value::String(text) => Some(text.trim().to_ascii_lowercase()),
        _ => None,
    };
    match (number(found), number(good)) {
        (Some(found), Some(good)) => found == good,
        _ => word(found).is_some_and(|found| word(good) == Some(found)),
    }
}

impl Provider for Json {
    fn grant<'a>(&'a self, account: &'a Credential, _: SocketAddr) -> Granting<'a> {
        Box::pin(self.log_in(account))
    }

    fn unresolved(&self) -> LoginError {
        self.door.unresolved()
    }

    fn manner(&self) -> Manner {
        Manner::Elsewhere
    }

    fn log_out<'a>(&'a self, account: &'a Credential, token: &'a Token) -> Option<LeaveTaking<'a>> {
        let logout = self.logout.as_ref()?;
        Some(Box::pin(self.leave(logout, account, token)))
    }
}

impl Json {
    async fn leave(
        &self,
        logout: &Logout,
        account: &Credential,
        token: &Token,
    ) -> Result<(), LoginError> {
        let line = [logout.prefix.as_bytes(), token.expose()].concat();
        let line = Zeroizing::new(line);
        let mut line = HeaderValue::from_bytes(&line).map_err(|_| LoginError::Unexpected {
            what: "token cannot stand in a header",
        })?;
        line.set_sensitive(true);
        let request = self.door.request(Method::POST, &logout.url)?;
        let said = self.door.ask(request.header(&logout.header, line)).await?;
        if said.status.is_success() {
            Ok(())
        } else {
            Err(said.by_status(&redactor(account)))
        }
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Json")
            .field("url", &self.door.url().as_str())
            .finish_non_exhaustive()
    }
}
