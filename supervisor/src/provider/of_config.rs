//! The provider that a pool's configuration asks for.

use std::sync::Arc;

use reqwest::{
    Method, Url,
    header::{HeaderName, HeaderValue},
};
use tpp::config::{self, Inject, Login, LoginMethod, Pool, Upstream};

use super::{
    DolphinDb, Provider, SetupError,
    busy::Busy,
    door::{self, Door},
    feishu::Feishu,
    json::{Call, Json, Logout, Meaning},
    keys::Keys,
    oauth2::OAuth2,
    template::{Escape, Template},
};

/// Where Feishu's own platform is.
const FEISHU: &str = "https://open.feishu.cn";

/// The way to get tokens for `pool`, whose backends speak as `upstream` says.
///
/// # Errors
/// [`SetupError`] if logins cannot be prepared.
pub fn of_pool(pool: &Pool, upstream: &Upstream) -> Result<Arc<dyn Provider>, SetupError> {
    let (login, token) = (&pool.login, &pool.token);
    let door = |default: Option<&str>| {
        let url = login.url.as_deref().or(default);
        Door::new(url.unwrap_or_default(), upstream, token)
    };
    Ok(match pool.provider {
        config::Provider::DolphinDb => match &login.url {
            None => Arc::new(DolphinDb::new(upstream, token)?),
            Some(url) => Arc::new(DolphinDb::elsewhere(door::parse(url)?, upstream, token)?),
        },
        config::Provider::Json => Arc::new(Json {
            door: door(None)?,
            call: call(login),
            meaning: meaning(login, &token.busy_pattern),
            logout: logout(login, &pool.inject)?,
        }),
        config::Provider::OAuth2 => Arc::new(OAuth2 {
            door: door(None)?,
            auth: login.auth,
            revocation: url_of(login.logout_url.as_ref())?,
        }),
        config::Provider::Feishu => Arc::new(Feishu {
            door: door(Some(FEISHU))?,
            kind: login.kind,
            app_type: login.app_type,
        }),
        config::Provider::Static => Arc::new(Keys {
            max_token_bytes: token.max_token_bytes,
        }),
    })
}

fn url_of(text: Option<&String>) -> Result<Option<Url>, SetupError> {
    text.map(|text| door::parse(text)).transpose()
}

/// What is sent. A content type among the headers is the body's; without one a body is JSON.
fn call(login: &Login) -> Call {
    let is_content_type = |name: &str| name.eq_ignore_ascii_case("content-type");
    let named = login.headers.iter().find(|(name, _)| is_content_type(name));
    let content_type = named.and_then(|(_, value)| HeaderValue::from_str(value).ok());
    let others = login
        .headers
        .iter()
        .filter(|(name, _)| !is_content_type(name));
    Call {
        method: match login.method {
            LoginMethod::Post => Method::POST,
            LoginMethod::Get => Method::GET,
            LoginMethod::Put => Method::PUT,
        },
        escape: Escape::of(named.map_or("application/json", |(_, value)| value)),
        content_type: content_type.unwrap_or(HeaderValue::from_static("application/json")),
        headers: others
            .filter_map(|(name, value)| {
                let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
                Some((name, Template::new(value)))
            })
            .collect(),
        body: Template::new(login.body.as_deref().unwrap_or_default()),
    }
}

fn meaning(login: &Login, busy_pattern: &str) -> Meaning {
    let pattern = login.busy_pattern.as_deref().unwrap_or(busy_pattern);
    let ok = login.ok.pointer.clone();
    Meaning {
        token: login.token.clone().unwrap_or_default(),
        expires_in: login.expires_in.clone(),
        ok: ok.map(|pointer| (pointer, login.ok.equals.clone())),
        message: login.message.clone(),
        busy: Busy::new(pattern),
    }
}

fn logout(login: &Login, inject: &Inject) -> Result<Option<Logout>, SetupError> {
    let url = url_of(login.logout_url.as_ref())?;
    let header = HeaderName::from_bytes(inject.header.as_bytes()).ok();
    Ok(url.zip(header).map(|(url, header)| Logout {
        url,
        header,
        prefix: inject.prefix.clone(),
    }))
}
