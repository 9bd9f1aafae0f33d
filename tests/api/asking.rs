//! One who asks the API, and holds each answer to its description.

use std::{net::SocketAddr, sync::LazyLock};

use serde_json::Value;

use crate::common::{
    client::Client,
    message::{Answer, Request},
    proxy::Proxy,
    settings::Settings,
    upstream::Upstream,
};

/// What the API says of itself.
pub(crate) static DESCRIPTION: LazyLock<Value> = LazyLock::new(|| {
    let text = include_str!("../../supervisor/src/doors/api/openapi.json");
    serde_json::from_str(text).expect("the description is JSON")
});

/// Every client of the tests asks for the host `tpp.test`.
pub(crate) fn settings(upstream: &Upstream) -> Settings {
    Settings::in_front_of(upstream)
        .set("api.listen", "\"127.0.0.1:0\"")
        .set("api.allow_hosts", "[\"tpp.test\"]")
}

/// Where `proxy` serves the API.
pub(crate) fn address_of(proxy: &Proxy) -> SocketAddr {
    let listen = proxy.status().api_listen.expect("there is an API");
    listen.parse().expect("an address")
}

/// A client of the API.
pub(crate) struct Asking {
    address: SocketAddr,
    token: Option<String>,
}

impl Asking {
    pub(crate) fn of(proxy: &Proxy) -> Self {
        Self {
            address: address_of(proxy),
            token: None,
        }
    }

    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self {
            address: self.address,
            token: Some(token.to_owned()),
        }
    }

    /// `method` on `path` below `/api/v1`, with a JSON body if there is one.
    #[track_caller]
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let request = Request::new(method, &format!("/api/v1{path}"));
        let request = match body {
            None => request,
            Some(body) => request
                .field("Content-Type", "application/json")
                .with_body(body.to_string()),
        };
        self.send(request, method, path)
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, None)
    }

    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: Option<Value>) -> Answer {
        self.ask("POST", path, body)
    }

    /// A request made by hand; its answer must be one that is described.
    #[track_caller]
    pub(crate) fn send(&self, request: Request, method: &str, path: &str) -> Answer {
        let request = match &self.token {
            None => request,
            Some(token) => request.field("Authorization", &format!("Bearer {token}")),
        };
        let answer = Client::connect(self.address).ask(&request);
        hold_to_description(&answer, method, path);
        answer
    }
}

/// Asserts that the answer's status is described for what was asked, and that a refusal has the one body.
#[track_caller]
fn hold_to_description(answer: &Answer, method: &str, path: &str) {
    let path = path.split('?').next().unwrap_or_default();
    let paths = DESCRIPTION["paths"].as_object().expect("paths");
    let described = paths
        .iter()
        .find(|(template, _)| fits(template, &format!("/api/v1{path}")));
    let operation = described.map(|(_, methods)| &methods[method.to_lowercase()]);
    if let Some(operation) = operation.filter(|operation| operation.is_object()) {
        let status = answer.status.to_string();
        let statuses = operation["responses"].as_object().expect("responses");
        assert!(
            statuses.contains_key(&status),
            "{method} {path} is answered by {status}, which is not described: {}",
            answer.text()
        );
    }
    if answer.status >= 400 && method != "HEAD" {
        let body = answer.json();
        assert_eq!(body["status"], answer.status, "{body}");
        assert_eq!(body["title"], body["error"], "{body}");
        assert_eq!(body["detail"], body["details"], "{body}");
        assert!(
            body["type"].is_string() && body.get("field").is_some(),
            "{body}"
        );
    }
}

/// Whether a path is one of those that a template stands for.
fn fits(template: &str, path: &str) -> bool {
    let (mut template, mut path) = (template.split('/'), path.split('/'));
    loop {
        match (template.next(), path.next()) {
            (None, None) => return true,
            (Some(one), Some(_)) if one.starts_with('{') => {}
            (one, other) if one == other => {}
            _ => return false,
        }
    }
}

/// A tpp with an API before ordinary backends, `tables` in its file.
pub(crate) fn gateway(tables: &str) -> Settings {
    Settings::of_gateway()
        .set("api.listen", "\"127.0.0.1:0\"")
        .set("api.allow_hosts", "[\"tpp.test\"]")
        .set("health_check.interval_seconds", 1)
        .set("health_check.unhealthy_threshold", 1)
        .set("health_check.healthy_threshold", 1)
        .further(tables)
}

/// A host's table in a configuration.
pub(crate) fn host(domain: &str, tag: &str) -> String {
    format!("\n[[virtual_hosts]]\ndomain = \"{domain}\"\nenabled_backends_tag = \"{tag}\"\n")
}
