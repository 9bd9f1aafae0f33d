//! What can be made, changed and taken away, whatever its kind: virtual hosts and backends.

use std::sync::Arc;

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tpp::config::{Backend, Overlay, VirtualHost};

use super::{
    auth::Caller,
    body::{At, Json, Query},
    etag,
    live::{Live, UNDER_WAY, shown_backend, shown_domain},
    problem::Problem,
    state::Api,
};
use crate::desired::{Done, Reached, Refusal, Resource};

/// One kind of what can be changed.
pub(super) trait Kind: Resource {
    /// Where its entries are.
    const PATH: &'static str;
    /// What is shown of an entry besides its keys and [`UNDER_WAY`]. Whoever sends back what it was shown means no change of these.
    const SHOWN: &'static [&'static str];

    /// With all that is to be seen of it.
    fn shown(&self, live: &Live) -> Value;

    /// A name as it stands in the configuration.
    fn named(name: &str) -> String;
}

impl Kind for VirtualHost {
    const PATH: &'static str = "/api/v1/domains";
    const SHOWN: &'static [&'static str] = &["source", "backends", "healthy_backends", "healthy"];

    fn shown(&self, live: &Live) -> Value {
        shown_domain(self, live)
    }

    /// Host names have no case, and may end in a dot.
    fn named(name: &str) -> String {
        name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
    }
}

impl Kind for Backend {
    const PATH: &'static str = "/api/v1/backends";
    const SHOWN: &'static [&'static str] = &[
        "source",
        "healthy",
        "health",
        "addresses",
        "ejected",
        "answers",
    ];

    fn shown(&self, live: &Live) -> Value {
        shown_backend(self, live)
    }

    fn named(name: &str) -> String {
        name.to_owned()
    }
}

pub(super) async fn list<T: Kind>(State(api): State<Arc<Api>>) -> axum::Json<Value> {
    let live = api.live();
    let entries = T::list(&live.state.gateway).iter();
    axum::Json(entries.map(|entry| entry.shown(&live)).collect())
}

pub(super) async fn one<T: Kind>(
    State(api): State<Arc<Api>>,
    At(name): At<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let live = api.live();
    let name = T::named(&name);
    let entry = live.state.find::<T>(&name);
    let entry = entry.ok_or_else(|| Problem::unknown(T::KIND, &name))?;
    etag::shown(&headers, entry.version(), axum::Json(entry.shown(&live)))
}

pub(super) async fn create<T: Kind>(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Json(body): Json,
) -> Result<Response, Problem> {
    make::<T>(&api, &caller, body).await
}

async fn make<T: Kind>(api: &Api, caller: &Caller, body: Value) -> Result<Response, Problem> {
    let body = without_shown::<T>(body);
    let (done, name) = api
        .desired
        .create::<T>(&caller.to_string(), body)
        .await
        .map_err(|refusal| refused::<T>(refusal, "of this name"))?;
    let place = format!("{}/{name}", T::PATH);
    let answer = changed::<T>(api, &done, &name, StatusCode::CREATED)?;
    Ok(([(header::LOCATION, place)], answer).into_response())
}

/// What is left out stays. With `If-None-Match: *` the entry must be a new one.
pub(super) async fn put<T: Kind>(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    At(name): At<String>,
    headers: HeaderMap,
    Json(body): Json,
) -> Result<Response, Problem> {
    if !etag::must_be_new(&headers)? {
        return edit::<T>(&api, &caller, &name, &headers, (body, Overlay::Subset)).await;
    }
    let name = T::named(&name);
    if let Some(there) = api.desired.state().find::<T>(&name) {
        return Err(etag::stale(there.version()));
    }
    make::<T>(&api, &caller, with_name::<T>(body, &name)?).await
}

/// A merge patch.
pub(super) async fn patch<T: Kind>(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    At(name): At<String>,
    headers: HeaderMap,
    Json(body): Json,
) -> Result<Response, Problem> {
    edit::<T>(&api, &caller, &name, &headers, (body, Overlay::MergePatch)).await
}

async fn edit<T: Kind>(
    api: &Api,
    caller: &Caller,
    name: &str,
    headers: &HeaderMap,
    (body, how): (Value, Overlay),
) -> Result<Response, Problem> {
    let name = T::named(name);
    let expected = expected::<T>(api, headers, &name)?;
    let body = without_shown::<T>(body);
    let done = api
        .desired
        .edit::<T>(&caller.to_string(), &name, (body, how), expected)
        .await
        .map_err(|refusal| refused::<T>(refusal, &name))?;
    changed::<T>(api, &done, &name, StatusCode::OK)
}

pub(super) async fn delete<T: Kind>(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    At(name): At<String>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let name = T::named(&name);
    let force = query.flag("force")?;
    let expected = expected::<T>(&api, &headers, &name)?;
    let done = api
        .desired
        .delete::<T>(&caller.to_string(), &name, expected, force)
        .await
        .map_err(|refusal| refused::<T>(refusal, &name))?;
    let body = json!({T::NAME_KEY: name, "deleted": true});
    Ok(answered(&done.reached, body, StatusCode::OK))
}

/// The version that a change must find.
fn expected<T: Kind>(api: &Api, headers: &HeaderMap, name: &str) -> Result<Option<u64>, Problem> {
    // First of all: of what is not there no version can be named.
    let state = api.desired.state();
    let entry = state.find::<T>(name);
    let entry = entry.ok_or_else(|| Problem::unknown(T::KIND, name))?;
    let required = api.in_force().require_if_match;
    etag::if_match(headers, required)?.expect(entry.version())
}

fn without_shown<T: Kind>(mut body: Value) -> Value {
    if let Some(fields) = body.as_object_mut() {
        let shown = T::SHOWN.iter().chain(&UNDER_WAY);
        shown.for_each(|key| drop(fields.remove(*key)));
    }
    body
}

fn with_name<T: Kind>(mut body: Value, name: &str) -> Result<Value, Problem> {
    if let Some(fields) = body.as_object_mut() {
        let given = fields.entry(T::NAME_KEY).or_insert_with(|| name.into());
        if given.as_str().map(T::named).as_deref() != Some(name) {
            let detail = format!("{} is not {name:?}, which the path names", T::NAME_KEY);
            return Err(Problem::of_field(T::NAME_KEY, detail));
        }
    }
    Ok(body)
}

/// The entry `name` as it is now.
pub(super) fn shown<T: Kind>(api: &Api, name: &str) -> Result<axum::Json<Value>, Problem> {
    let live = api.live();
    let entry = live.state.find::<T>(name);
    let entry = entry.ok_or_else(|| Problem::unknown(T::KIND, name))?;
    Ok(axum::Json(entry.shown(&live)))
}

/// What became of the entry `name` by a change.
pub(super) fn changed<T: Kind>(
    api: &Api,
    done: &Done,
    name: &str,
    status: StatusCode,
) -> Result<Response, Problem> {
    let entry = done.state.find::<T>(name);
    let entry = entry.ok_or_else(|| Problem::unknown(T::KIND, name))?;
    let etag = [(header::ETAG, etag::tag(entry.version()))];
    let body = entry.shown(&api.live_of(&done.state));
    Ok((etag, answered(&done.reached, body, status)).into_response())
}

/// The answer to a change: that it is in force everywhere, or who does not act on it yet.
pub(super) fn answered(reached: &Reached, body: Value, status: StatusCode) -> Response {
    let generation = [(super::gate::GENERATION, reached.generation.to_string())];
    if reached.lagging.is_empty() {
        return (status, generation, axum::Json(body)).into_response();
    }
    let body = json!({
        "generation": reached.generation,
        "lagging": reached.lagging,
        "detail": "kept and in force; the workers in these seats do not act on it yet",
        "result": body,
    });
    (StatusCode::ACCEPTED, generation, axum::Json(body)).into_response()
}

/// Why a change of the entry `name` was not made.
pub(super) fn refused<T: Kind>(refusal: Refusal, name: &str) -> Problem {
    match refusal {
        Refusal::NotFound => Problem::unknown(T::KIND, name),
        Refusal::Exists => {
            let detail = format!("there is a {} {name} already", T::KIND);
            Problem::new(StatusCode::CONFLICT, detail)
        }
        Refusal::Conflict(reason) => Problem::new(StatusCode::CONFLICT, reason),
        Refusal::Stale(version) => etag::stale(version),
        Refusal::Invalid(problems) => Problem::invalid(&problems),
        Refusal::Failed(reason) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, reason),
    }
}
