//! Feishu's `auth/v3`: tokens of apps and of tenants, tickets of marketplace apps.
//!
//! A token is given again as long as more than a quarter of its life (half an hour of two) is left; then a new one is, and both are good.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Asked, Client, Reply, Shared};

pub(super) const ROOT: &str = "/open-apis/auth/v3/";

/// What the platform says when something is not as it should be.
pub(crate) fn error(code: i64, message: &str) -> Reply {
    Reply::json(200, json!({"code": code, "msg": message}))
}

/// A call too often: the gateway's own answer.
pub(crate) fn too_often(status: u16, seconds: u64) -> Reply {
    let body = json!({"code": 99_991_400, "msg": "request trigger frequency limit"});
    Reply::json(status, body)
        .with("x-ogw-ratelimit-limit: 100")
        .with(&format!("x-ogw-ratelimit-reset: {seconds}"))
}

pub(super) fn answer(shared: &Shared, asked: &Asked) -> Reply {
    let body: Value = serde_json::from_str(&asked.body).unwrap_or_default();
    let content_type = asked.head.field("content-type");
    if asked.method != "POST" || content_type != Some("application/json; charset=utf-8") {
        shared.fault(format!(
            "{} {} as {content_type:?}",
            asked.method, asked.path
        ));
        return error(10_003, "invalid param");
    }
    let text = |name: &str| body[name].as_str().unwrap_or_default();
    let call = asked.path.strip_prefix(ROOT).unwrap_or_default();
    if call == "tenant_access_token" {
        return for_tenant(shared, text("app_access_token"), text("tenant_key"));
    }
    let app = text("app_id");
    match shared.is_right(app, text("app_secret")) {
        None => return error(10_003, "invalid param"),
        Some(false) => return error(10_014, "app secret invalid"),
        Some(true) => {}
    }
    let ticket = shared
        .clients()
        .get(app)
        .and_then(|client| client.ticket.clone());
    match call {
        "tenant_access_token/internal" => granted(shared, app, "tenant_access_token"),
        "app_access_token/internal" => granted(shared, app, "app_access_token"),
        "app_ticket/resend" => Reply::json(200, json!({"code": 0, "msg": "success"})),
        "app_access_token" if ticket.as_deref() == Some(text("app_ticket")) => {
            granted(shared, app, "app_access_token")
        }
        "app_access_token" => error(10_012, "app ticket invalid"),
        other => {
            shared.fault(format!("nothing is at {other}"));
            error(10_003, "invalid param")
        }
    }
}

/// The token of a tenant that has installed a marketplace app, whose own token is shown.
fn for_tenant(shared: &Shared, app_token: &str, tenant: &str) -> Reply {
    let is_of = |client: &Client| {
        let token = client.tokens.get("app_access_token");
        token.is_some_and(|(token, _)| token == app_token)
    };
    let app = shared
        .clients()
        .iter()
        .find(|(_, client)| is_of(client))
        .map(|(app, _)| app.clone());
    match app {
        None => error(10_012, "app access token invalid"),
        Some(_) if tenant.is_empty() => error(10_003, "invalid param"),
        Some(app) => granted(shared, &app, "tenant_access_token"),
    }
}

fn granted(shared: &Shared, app: &str, what: &str) -> Reply {
    let life = Duration::from_secs(shared.life());
    let last = shared
        .clients()
        .get(app)
        .and_then(|client| client.tokens.get(what).cloned());
    let still = last.and_then(|(token, since)| {
        let left = life.saturating_sub(since.elapsed());
        (left > life / 4).then_some((token, left.as_secs()))
    });
    let (token, expire) = still.unwrap_or_else(|| (shared.issue(app, what), life.as_secs()));
    Reply::json(
        200,
        json!({"code": 0, "msg": "ok", what: token, "expire": expire}),
    )
}
