//! What every request goes through before it reaches its route, and every answer after it.

use std::{ops::ControlFlow, sync::Arc};

use axum::{
    Extension,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{
    auth::{Caller, Peer, admit, needed},
    guard::Rules,
    problem::Problem,
    state::{Api, InForce},
};
use crate::doors::console;

/// Names the generation of the plan that the workers have when an answer is given.
pub(super) const GENERATION: HeaderName = HeaderName::from_static("tpp-generation");

/// Lets a request through, or says why not.
pub(super) async fn gate(
    State(api): State<Arc<Api>>,
    Extension(peer): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let in_force = api.in_force();
    let rules = Rules {
        listen: api.listen,
        hosts: &in_force.allow_hosts,
        origins: &in_force.cors_origins,
    };
    let origin = request.headers().get(header::ORIGIN).cloned();
    let mut answer = if console::has(request.uri().path()) {
        // A page that anybody may have, who follows a link from elsewhere too: it knows nothing.
        match rules.check_host(request.headers()) {
            Ok(()) => next.run(request).await,
            Err(problem) => problem.into_response(),
        }
    } else {
        match admitted(&api, &in_force, &rules, &peer, &request) {
            ControlFlow::Continue(caller) => pass(caller, request, next).await,
            ControlFlow::Break(answer) => answer,
        }
    };
    let headers = answer.headers_mut();
    rules.open_to(origin.as_ref(), headers);
    headers
        .entry(GENERATION)
        .or_insert_with(|| api.generation().into());
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    answer
}

/// Who asks, or the answer to one who does not get further.
fn admitted(
    api: &Api,
    in_force: &InForce,
    rules: &Rules<'_>,
    peer: &Peer,
    request: &Request,
) -> ControlFlow<Response, Caller> {
    let (method, headers) = (request.method(), request.headers());
    if let Err(problem) = rules.check(headers) {
        return ControlFlow::Break(problem.into_response());
    }
    if let Some(answer) = rules.preflight(method, headers) {
        return ControlFlow::Break(answer);
    }
    let role = needed(method, request.uri().path());
    let tokens = in_force.tokens.as_ref();
    let caller = match admit(tokens, &api.failures, peer, headers, role) {
        Ok(_) if api.outlook.is_stopping() => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "tpp is stopping",
        )),
        verdict => verdict,
    };
    match caller {
        Ok(caller) => ControlFlow::Continue(caller),
        Err(problem) => ControlFlow::Break(problem.into_response()),
    }
}

async fn pass(caller: Caller, mut request: Request, next: Next) -> Response {
    let asks_for_methods = *request.method() == Method::OPTIONS;
    request.extensions_mut().insert(caller);
    let answer = next.run(request).await;
    if asks_for_methods && answer.status() == StatusCode::METHOD_NOT_ALLOWED {
        // The router adds which methods there are.
        return StatusCode::NO_CONTENT.into_response();
    }
    answer
}
