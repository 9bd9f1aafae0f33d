//! A token endpoint by RFC 6749 (client credentials), and one where tokens are revoked by RFC 7009.

use serde_json::json;

use super::{Asked, Reply, Shared, form};

/// What a client may ask for.
const SCOPE: &str = "read";

/// An error as section 5.2 has it.
pub(crate) fn error(status: u16, code: &str, description: &str) -> Reply {
    let body = json!({"error": code, "error_description": description});
    let reply = Reply::json(status, body)
        .with("Cache-Control: no-store")
        .with("Pragma: no-cache");
    match status {
        401 => reply.with("WWW-Authenticate: Basic realm=\"tokens\""),
        _ => reply,
    }
}

/// The fields of a form, and who it is that sent it, if it has shown that.
type Heard = (Vec<(String, String)>, String);

/// Reads a request and finds out who made it (2.3.1).
fn hear(shared: &Shared, asked: &Asked) -> Result<Heard, Reply> {
    let invalid = |what: &str| {
        shared.fault(format!("{} {}: {what}", asked.method, asked.path));
        error(400, "invalid_request", what)
    };
    let content_type = asked.head.field("content-type").unwrap_or_default();
    if asked.method != "POST" || content_type != "application/x-www-form-urlencoded" {
        return Err(invalid("no form in a POST"));
    }
    let fields = form::fields(&asked.body).ok_or_else(|| invalid("a form badly encoded"))?;
    let named = |name: &str| fields.iter().find(|(key, _)| key == name);
    let value = |name: &str| named(name).map(|(_, value)| value.clone());
    let basic = asked.head.field("authorization");
    let shown = match (basic, value("client_id"), value("client_secret")) {
        (Some(basic), None, None) => {
            let basic = basic.strip_prefix("Basic ").and_then(form::from_base64);
            let pair = basic.as_deref().and_then(|basic| basic.split_once(':'));
            let decode = |(id, secret)| Some((form::decoded(id)?, form::decoded(secret)?));
            pair.and_then(decode)
        }
        (None, Some(id), Some(secret)) => Some((id, secret)),
        // 2.3: no more than one method in each request.
        _ => return Err(invalid("no way to show who it is, or two")),
    };
    let Some((id, secret)) = shown else {
        return Err(invalid("Basic without a name and a secret"));
    };
    match shared.is_right(&id, &secret) {
        Some(true) => Ok((fields, id)),
        Some(false) => Err(error(401, "invalid_client", "client authentication failed")),
        None => Err(error(401, "invalid_client", "no such client")),
    }
}

/// An access token (4.4.2, 4.4.3).
pub(super) fn grant(shared: &Shared, asked: &Asked) -> Reply {
    let (fields, id) = match hear(shared, asked) {
        Ok(heard) => heard,
        Err(refusal) => return refusal,
    };
    let value = |name: &str| {
        fields
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    };
    if value("grant_type").map(String::as_str) != Some("client_credentials") {
        return error(400, "unsupported_grant_type", "client credentials alone");
    }
    if value("scope").is_some_and(|scope| scope != SCOPE) {
        return error(400, "invalid_scope", "the scope is not known");
    }
    let body = json!({
        "access_token": shared.issue(&id, "access_token"),
        "token_type": "Bearer",
        "expires_in": shared.life(),
        "scope": SCOPE,
    });
    Reply::json(200, body)
        .with("Cache-Control: no-store")
        .with("Pragma: no-cache")
}

/// The end of a token (RFC 7009, 2): 200, whether it was known or not.
pub(super) fn revoke(shared: &Shared, asked: &Asked) -> Reply {
    let (fields, _) = match hear(shared, asked) {
        Ok(heard) => heard,
        Err(refusal) => return refusal,
    };
    match fields.iter().find(|(key, _)| key == "token") {
        Some((_, token)) => {
            shared.end(token);
            Reply::json(200, "")
        }
        None => error(400, "invalid_request", "no token"),
    }
}
