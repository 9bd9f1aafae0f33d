//! What a request brings: its JSON body, its query, a name in its path. Whatever is wrong is a [`Problem`], never the library's own words.

use std::{ops::RangeInclusive, time::Duration};

use axum::{
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::{HeaderMap, Method, StatusCode, header, request::Parts},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::problem::Problem;

/// Most bytes of a body.
const MOST_BYTES: usize = 1 << 20;
/// How long a body may take to come.
const PATIENCE: Duration = Duration::from_secs(10);

const MERGE_PATCH: &str = "application/merge-patch+json";

/// A body of JSON.
#[derive(Debug)]
pub(super) struct Json(pub(super) Value);

impl<S: Sync> FromRequest<S> for Json {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let media = media_type(request.headers());
        // A page in a browser cannot send these without asking first, and so not send a change behind its user's back.
        let is_json = media == "application/json"
            || (media == MERGE_PATCH && request.method() == Method::PATCH);
        if !is_json {
            let allowed = match *request.method() {
                Method::PATCH => "application/json or application/merge-patch+json",
                _ => "application/json",
            };
            return Err(unsupported(&media, allowed));
        }
        parsed(&bytes(request).await?).map(Self)
    }
}

/// A body of JSON, or none.
#[derive(Debug)]
pub(super) struct Optional(pub(super) Value);

impl<S: Sync> FromRequest<S> for Optional {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let headers = request.headers();
        let length = headers.get(header::CONTENT_LENGTH);
        let is_none = length.is_none_or(|length| length == "0")
            && !headers.contains_key(header::TRANSFER_ENCODING);
        if is_none {
            return Ok(Self(Value::Object(Map::new())));
        }
        let Json(value) = Json::from_request(request, state).await?;
        Ok(Self(value))
    }
}

/// What `Content-Type` names, in lower case, without parameters; empty if there is none.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok()).unwrap_or("");
    let media = value.split(';').next().unwrap_or_default();
    media.trim().to_ascii_lowercase()
}

/// 415.
pub(super) fn unsupported(media: &str, allowed: &str) -> Problem {
    let found = match media {
        "" => "no Content-Type".to_owned(),
        media => format!("Content-Type {media:?}"),
    };
    let detail = format!("{found}; expected {allowed}");
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
}

/// The whole body.
pub(super) async fn bytes(request: Request) -> Result<Vec<u8>, Problem> {
    let body = Limited::new(request.into_body(), MOST_BYTES);
    let collected = timeout(PATIENCE, body.collect()).await.map_err(|_| {
        let detail = format!("the body did not come within {PATIENCE:?}");
        Problem::new(StatusCode::REQUEST_TIMEOUT, detail)
    })?;
    let collected = collected.map_err(|error| {
        if error.is::<LengthLimitError>() {
            let detail = format!("the body has more than {MOST_BYTES} bytes");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
        } else {
            Problem::new(
                StatusCode::BAD_REQUEST,
                format!("the body broke off: {error}"),
            )
        }
    })?;
    Ok(collected.to_bytes().to_vec())
}

fn parsed(bytes: &[u8]) -> Result<Value, Problem> {
    serde_json::from_slice(bytes).map_err(|error| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            format!("the body is no JSON: {error}"),
        )
    })
}

/// What the path names.
#[derive(Debug)]
pub(super) struct At<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for At<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(Problem::new(StatusCode::BAD_REQUEST, rejection.body_text())),
        }
    }
}

/// The query of a request's target.
#[derive(Debug)]
pub(super) struct Query(Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let pairs = url::form_urlencoded::parse(query.as_bytes());
        Ok(Self(pairs.into_owned().collect()))
    }
}

impl Query {
    /// Whether `name` is asked for: `?name`, `?name=true`.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Problem> {
        let value = self.0.iter().rev().find(|(key, _)| key == name);
        match value.map(|(_, value)| value.as_str()) {
            None | Some("false" | "0") => Ok(false),
            Some("" | "true" | "1") => Ok(true),
            Some(other) => {
                let detail = format!("?{name}={other:?}; expected true or false");
                Err(Problem::of_field(name, detail))
            }
        }
    }
}

/// The keys of a small body, taken out one after another.
#[derive(Debug)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// # Errors
    /// If it is no object.
    pub(super) fn of(body: Value) -> Result<Self, Problem> {
        match body {
            Value::Object(fields) => Ok(Self(fields)),
            other => Err(Problem::new(
                StatusCode::BAD_REQUEST,
                format!("the body is {}; expected an object", kind(&other)),
            )),
        }
    }

    /// The text of `key`.
    pub(super) fn text(&mut self, key: &str) -> Result<Option<String>, Problem> {
        match self.0.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong(key, &other, "a text")),
        }
    }

    /// The same of a key that must be there.
    pub(super) fn needed_text(&mut self, key: &str) -> Result<String, Problem> {
        let text = self.text(key)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| Problem::of_field(key, format!("{key} is missing; expected a text")))
    }

    /// The number of `key`, one of `allowed`.
    pub(super) fn number(
        &mut self,
        key: &str,
        allowed: RangeInclusive<u64>,
    ) -> Result<Option<u64>, Problem> {
        let (least, most) = (allowed.start(), allowed.end());
        let expected = || format!("a whole number from {least} to {most}");
        match self.0.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_u64().filter(|number| allowed.contains(number)) {
                Some(number) => Ok(Some(number)),
                None => Err(wrong(key, &value, &expected())),
            },
        }
    }

    /// Whether `key` is true.
    pub(super) fn flag(&mut self, key: &str) -> Result<bool, Problem> {
        match self.0.remove(key) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(other) => Err(wrong(key, &other, "true or false")),
        }
    }

    /// Refuses whatever has not been taken.
    pub(super) fn end(self) -> Result<(), Problem> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(key) => Err(Problem::of_field(
                key,
                format!("{key} is no key of this body"),
            )),
        }
    }
}

fn wrong(key: &str, found: &Value, allowed: &str) -> Problem {
    let found = match found {
        Value::Array(_) | Value::Object(_) => kind(found).to_owned(),
        other => other.to_string(),
    };
    Problem::of_field(key, format!("{key}: found {found}; expected {allowed}"))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
