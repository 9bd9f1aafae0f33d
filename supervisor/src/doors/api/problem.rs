//! What the API says when it does not do what was asked: one body for people, for scripts written for the first tpp, and for RFC 9457.

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tpp::config::Problem as ConfigProblem;

const PROBLEM_JSON: &str = "application/problem+json";

/// A refusal.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
    field: Option<String>,
    /// Each problem of a configuration or an entry.
    problems: Vec<Value>,
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            field: None,
            problems: Vec::new(),
            header: None,
        }
    }

    /// 400, for something wrong with `field`.
    pub(super) fn of_field(field: &str, detail: impl Into<String>) -> Self {
        Self {
            field: Some(field.to_owned()),
            ..Self::new(StatusCode::BAD_REQUEST, detail)
        }
    }

    /// 404.
    pub(super) fn unknown(kind: &str, name: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            format!("there is no {kind} {name:?}"),
        )
    }

    /// 400 with all of `problems`; the first one names the field.
    pub(super) fn invalid(problems: &[ConfigProblem]) -> Self {
        let shown = |problem: &ConfigProblem| {
            json!({
                "field": problem.key,
                "found": problem.found,
                "allowed": problem.allowed,
                "detail": problem.to_string(),
            })
        };
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        let field = problems.first().map(|problem| problem.key.clone());
        Self {
            field: field.filter(|key| !key.is_empty()),
            problems: problems.iter().map(shown).collect(),
            ..Self::new(StatusCode::BAD_REQUEST, lines.join("; "))
        }
    }

    /// With one more header.
    pub(super) fn with(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.header = Some(Box::new((name, value.into())));
        self
    }
}

/// Marks an answer that is a problem.
#[derive(Debug, Clone, Copy)]
struct IsProblem;

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let mut body = json!({
            "type": "about:blank",
            "title": title,
            "status": self.status.as_u16(),
            "detail": self.detail,
            "error": title,
            "details": self.detail,
            "field": self.field,
        });
        if !self.problems.is_empty() {
            body["problems"] = self.problems.into();
        }
        let mut response = (self.status, axum::Json(body)).into_response();
        response.extensions_mut().insert(IsProblem);
        if let Some(header) = self.header {
            let (name, value) = *header;
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// Names a problem's body by its own media type, for whoever asks for that.
pub(super) async fn negotiate(request: Request, next: Next) -> Response {
    let accept = request.headers().get_all(header::ACCEPT);
    let wanted = accept
        .iter()
        .any(|value| value.to_str().is_ok_and(names_problem));
    let mut response = next.run(request).await;
    if wanted && response.extensions().get::<IsProblem>().is_some() {
        let value = HeaderValue::from_static(PROBLEM_JSON);
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    response
}

fn names_problem(accept: &str) -> bool {
    accept.split(',').any(|range| {
        let media = range.split(';').next().unwrap_or_default();
        media.trim().eq_ignore_ascii_case(PROBLEM_JSON)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_media_type_is_found_among_others() {
        assert!(names_problem("text/html, Application/Problem+JSON;q=0.5"));
        assert!(!names_problem("application/json, */*"));
        assert!(!names_problem(""));
    }
}
