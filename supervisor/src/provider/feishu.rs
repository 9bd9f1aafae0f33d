//! Feishu and Lark apps: app id and secret in, a `tenant_access_token` or an `app_access_token` out, one for all who use the app.
//!
//! A token is good for two hours at most. Within its last half hour a new one is given, and both are good; before that the same
//! one comes again. The app of a marketplace needs the ticket that the platform sends it every hour (`tickets`).

mod tickets;

use std::{net::SocketAddr, time::Duration};

use reqwest::{
    Method, StatusCode,
    header::{self, HeaderName},
};
use tpp::config::{Credential, FeishuApp, FeishuToken};
use zeroize::Zeroizing;

use super::{
    Grant, Granting, LoginError, Manner, Provider, Token,
    door::{Door, json_body},
    extra,
    redact::Redactor,
    said::{self, Said},
};

pub use tickets::take_ticket;

/// In how many seconds the platform may be asked again.
const RESET: HeaderName = HeaderName::from_static("x-ogw-ratelimit-reset");
/// The platform was asked too often: under status 429 or, of older calls, 400.
const FREQUENCY_LIMIT: i64 = 99_991_400;
/// Internal errors that the documentation ascribes to calls too often.
const TOO_OFTEN: [i64; 2] = [2_200, 5_000];
/// No app token: of a marketplace app, because the ticket is no good.
const NO_APP_TOKEN: i64 = 10_012;
/// What says that this app, this secret or this tenant will not do: invalid parameter, app or tenant not authorized, app disabled,
/// wrong secret, app unusable in the tenant, no such app, not installed there.
const REFUSALS: [i64; 7] = [10_003, 10_005, 10_014, 10_015, 11_207, 11_209, 11_210];

const TENANT_TOKEN: &str = "tenant_access_token";
const APP_TOKEN: &str = "app_access_token";

/// A token as sent, and for how long it is good.
type Given = (Zeroizing<String>, Option<Duration>);

/// Fields of a request.
type Form<'a> = [(&'static str, &'a str)];

/// Why there is no token.
#[derive(Debug)]
pub(super) struct Fault {
    /// The platform's own code, if it gave one.
    code: Option<i64>,
    pub(super) error: LoginError,
}

impl From<LoginError> for Fault {
    fn from(error: LoginError) -> Self {
        Self { code: None, error }
    }
}

/// An app's way to its tokens.
#[derive(Debug)]
pub struct Feishu {
    pub(super) door: Door,
    /// Whose token is asked for, unless the account says otherwise.
    pub(super) kind: FeishuToken,
    /// Who may install the app, unless the account says otherwise.
    pub(super) app_type: FeishuApp,
}

impl Feishu {
    async fn log_in(&self, account: &Credential) -> Result<Grant, LoginError> {
        let secret = account.password.expose();
        let redactor = Redactor::new(secret);
        let own = [
            ("app_id", account.username.as_str()),
            ("app_secret", secret),
        ];
        let given = match (self.app_type_of(account), self.kind_of(account)) {
            (FeishuApp::Internal, FeishuToken::App) => {
                self.ask(APP_TOKEN, "/internal", &own, &redactor).await
            }
            (FeishuApp::Internal, FeishuToken::Tenant) => {
                self.ask(TENANT_TOKEN, "/internal", &own, &redactor).await
            }
            (FeishuApp::Marketplace, FeishuToken::App) => self.app_token(&own, &redactor).await,
            (FeishuApp::Marketplace, FeishuToken::Tenant) => {
                let tenant = extra(account, "tenant_key").unwrap_or_default();
                self.tenant_token(&own, tenant, &redactor).await
            }
        };
        let (text, expires_in) = given.map_err(|fault| fault.error)?;
        Ok(Grant {
            secret: Token::new(&text, self.door.max_token_bytes())?,
            expires_in,
        })
    }

    fn kind_of(&self, account: &Credential) -> FeishuToken {
        match extra(account, "kind") {
            Some("app") => FeishuToken::App,
            Some(_) => FeishuToken::Tenant,
            None => self.kind,
        }
    }

    fn app_type_of(&self, account: &Credential) -> FeishuApp {
        match extra(account, "app_type") {
            Some("marketplace") => FeishuApp::Marketplace,
            Some(_) => FeishuApp::Internal,
            None => self.app_type,
        }
    }

    /// The token of one who installed a marketplace app.
    async fn tenant_token(
        &self,
        own: &Form<'_>,
        tenant: &str,
        redactor: &Redactor,
    ) -> Result<Given, Fault> {
        let (app_token, _) = self.app_token(own, redactor).await?;
        let form = [(APP_TOKEN, app_token.as_str()), ("tenant_key", tenant)];
        let redactor = redactor.also(&app_token);
        self.ask(TENANT_TOKEN, "", &form, &redactor).await
    }

    /// The token of a marketplace app itself, for which the platform must have sent a ticket.
    async fn app_token(&self, own: &Form<'_>, redactor: &Redactor) -> Result<Given, Fault> {
        let Some(ticket) = tickets::ticket_of(own[0].1) else {
            let error = self
                .ask_for_ticket(own, redactor, "there is none yet")
                .await;
            return Err(error.into());
        };
        let form = [own, &[("app_ticket", ticket.expose())]].concat();
        let redactor = redactor.also(ticket.expose());
        match self.ask(APP_TOKEN, "", &form, &redactor).await {
            Err(fault) if fault.code == Some(NO_APP_TOKEN) => {
                let why = fault.error.to_string();
                Err(self.ask_for_ticket(own, &redactor, &why).await.into())
            }
            outcome => outcome,
        }
    }

    /// Has the platform send the ticket again, unless that was asked for a moment ago. It comes another way.
    async fn ask_for_ticket(&self, own: &Form<'_>, redactor: &Redactor, why: &str) -> LoginError {
        if tickets::may_ask(own[0].1) {
            let said = self.post("/app_ticket/resend", own).await;
            let failed = match said {
                Ok(said) => judge(&said, None, redactor).err().map(|fault| fault.error),
                Err(error) => Some(error),
            };
            if let Some(error) = failed {
                return error;
            }
        }
        LoginError::Trouble {
            reason: format!("no good app ticket ({why}): the platform was asked to send it"),
        }
    }

    async fn ask(
        &self,
        what: &'static str,
        variant: &str,
        form: &Form<'_>,
        redactor: &Redactor,
    ) -> Result<Given, Fault> {
        let said = self.post(&format!("/{what}{variant}"), form).await?;
        judge(&said, Some(what), redactor)
    }

    async fn post(&self, path: &str, form: &Form<'_>) -> Result<Said, LoginError> {
        let mut url = self.door.url().clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/open-apis/auth/v3{path}"));
        let request = self.door.request(Method::POST, &url)?;
        let content_type = "application/json; charset=utf-8";
        let request = request.header(header::CONTENT_TYPE, content_type);
        let request = request.body(json_body(form));
        self.door.ask_with(request, &RESET).await
    }
}

/// What an answer of the platform means, in which the token is called `what`; of one without a token, `None`.
///
/// # Errors
/// Why there is none.
pub(super) fn judge(said: &Said, what: Option<&str>, redactor: &Redactor) -> Result<Given, Fault> {
    let document = match said.document(redactor) {
        Ok(document) => document,
        Err(unreadable) if said.status.is_success() => return Err(unreadable.into()),
        Err(_) => return Err(said.by_status(redactor).into()),
    };
    let Some(code) = document.at("/code").and_then(serde_json::Value::as_i64) else {
        return Err(match said.status.is_success() {
            true => LoginError::Unexpected {
                what: "has no usable `code`",
            },
            false => said.by_status(redactor),
        }
        .into());
    };
    if code != 0 {
        let words = format!("{code} {}", document.text("/msg").unwrap_or_default());
        let error = failed(said, code, said::reason(&words, redactor));
        let code = Some(code);
        return Err(Fault { code, error });
    }
    if !said.status.is_success() {
        return Err(said.by_status(redactor).into());
    }
    let Some(what) = what else {
        return Ok(Given::default());
    };
    match document.text(&format!("/{what}")) {
        Some(token) => Ok((
            Zeroizing::new(token.to_owned()),
            document.seconds("/expire"),
        )),
        None => Err(LoginError::Unexpected {
            what: "has no token beside a `code` of 0",
        }
        .into()),
    }
}

/// A failure by its code. One that is not known says nothing against the account: it is tried again.
fn failed(said: &Said, code: i64, reason: String) -> LoginError {
    if code == FREQUENCY_LIMIT
        || TOO_OFTEN.contains(&code)
        || said.status == StatusCode::TOO_MANY_REQUESTS
    {
        said.busy(reason)
    } else if REFUSALS.contains(&code) {
        LoginError::Refused { reason }
    } else {
        LoginError::Trouble { reason }
    }
}

impl Provider for Feishu {
    fn grant<'a>(&'a self, account: &'a Credential, _: SocketAddr) -> Granting<'a> {
        Box::pin(self.log_in(account))
    }

    fn unresolved(&self) -> LoginError {
        self.door.unresolved()
    }

    fn manner(&self) -> Manner {
        Manner::Shared
    }
}
