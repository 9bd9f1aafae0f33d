//! A login of an ordinary shape: JSON in, JSON out, and a code that says whether.

use serde_json::{Value, json};

use super::{Asked, Reply, Shared};

/// A login by name and password.
pub(super) fn log_in(shared: &Shared, asked: &Asked) -> Reply {
    let body: Value = serde_json::from_str(&asked.body).unwrap_or_default();
    let is_json = asked.head.field("content-type") == Some("application/json");
    let (Some(user), Some(secret), true) = (body["user"].as_str(), body["pass"].as_str(), is_json)
    else {
        shared.fault(format!(
            "{} {} without a user in JSON",
            asked.method, asked.path
        ));
        return refused(1000, "what is this?");
    };
    if shared.is_right(user, secret) != Some(true) {
        return refused(1001, "wrong user name or password");
    }
    let data = json!({"token": shared.issue(user, "token"), "expires": shared.life()});
    Reply::json(200, json!({"code": 0, "msg": "ok", "data": data}))
}

/// A login that is not granted: status 200, as such servers have it.
pub(crate) fn refused(code: u32, message: &str) -> Reply {
    Reply::json(200, json!({"code": code, "msg": message, "data": null}))
}

/// The end of a session, whose token stands where requests have it.
pub(super) fn log_out(shared: &Shared, asked: &Asked) -> Reply {
    let token = asked.head.field("authorization");
    let token = token.and_then(|value| value.strip_prefix("Bearer "));
    match token.filter(|_| asked.method == "POST") {
        Some(token) => shared.end(token),
        None => shared.fault(format!("{} {} without a token", asked.method, asked.path)),
    }
    Reply::json(200, json!({"code": 0, "msg": "ok"}))
}
