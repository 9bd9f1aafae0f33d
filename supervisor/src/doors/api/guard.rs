//! Who may ask at all, as far as the request's own words tell: against pages in a browser that reach for a local API.
//!
//! A page can have its own host name resolve to this machine (DNS rebinding), so a request must be for a host that is meant. A page of
//! another origin says so, and is refused unless it is listed; nothing is ever open to all origins.

use std::net::{IpAddr, SocketAddr};

use axum::{
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::problem::Problem;

/// Headers that a page may send and read besides the plain ones.
const SENT: &str = "authorization, content-type, if-match, if-none-match";
const READ: &str = "etag, location, retry-after, tpp-generation";
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
/// Seconds for which a browser need not ask again.
const MAX_AGE: &str = "600";

/// What the door goes by.
#[derive(Debug)]
pub(super) struct Rules<'a> {
    /// Where it listens; `None`: on a Unix socket, which no page reaches.
    pub(super) listen: Option<SocketAddr>,
    pub(super) hosts: &'a [String],
    pub(super) origins: &'a [String],
}

impl Rules<'_> {
    /// Refuses what comes from a page that is not meant.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let host = self.host(headers)?;
        let forbidden = |detail| Err(Problem::new(StatusCode::FORBIDDEN, detail));
        if let Some(origin) = headers.get(header::ORIGIN) {
            let listed = self.allows(origin);
            let same = host.is_some_and(|host| is_own(origin, host));
            if !listed && !same {
                return forbidden(
                    "pages of this origin may not ask: api.cors_origins does not name it",
                );
            }
            return Ok(());
        }
        let site = headers.get("sec-fetch-site");
        match site.map(HeaderValue::as_bytes) {
            None | Some(b"same-origin" | b"none") => Ok(()),
            Some(_) => forbidden("pages of another site may not ask"),
        }
    }

    /// Refuses what is for another host: all that is asked for a page that anybody may have.
    pub(super) fn check_host(&self, headers: &HeaderMap) -> Result<(), Problem> {
        self.host(headers).map(drop)
    }

    fn host<'h>(&self, headers: &'h HeaderMap) -> Result<Option<&'h str>, Problem> {
        let Some(listen) = self.listen else {
            return Ok(headers
                .get(header::HOST)
                .and_then(|host| host.to_str().ok()));
        };
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        let host = host.ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "there is no Host"))?;
        let name = name_of(host);
        let named = self.hosts.iter().any(|allowed| {
            allowed.eq_ignore_ascii_case(host) || allowed.eq_ignore_ascii_case(name)
        });
        if named || is_address_of(name, listen.ip()) {
            return Ok(Some(host));
        }
        let detail = format!("Host {host:?} is not one of this API: see api.allow_hosts");
        Err(Problem::new(StatusCode::FORBIDDEN, detail))
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        let matches = |allowed: &String| origin.as_bytes().eq_ignore_ascii_case(allowed.as_bytes());
        self.origins.iter().any(matches)
    }

    /// The answer to a browser that asks before it sends the page's request; `None`: it is no such question.
    pub(super) fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Response> {
        let origin = headers.get(header::ORIGIN)?;
        let asks = headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if *method != Method::OPTIONS || !asks || !self.allows(origin) {
            return None;
        }
        let answer = [
            (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, SENT),
            (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE),
        ];
        Some((StatusCode::NO_CONTENT, answer).into_response())
    }

    /// Lets the listed page that asked read the answer.
    pub(super) fn open_to(&self, origin: Option<&HeaderValue>, answer: &mut HeaderMap) {
        if self.origins.is_empty() {
            return;
        }
        answer.append(header::VARY, HeaderValue::from_static("origin"));
        if let Some(origin) = origin.filter(|origin| self.allows(origin)) {
            answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            answer.insert(
                header::ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static(READ),
            );
        }
    }
}

/// `host` without a port, and an IPv6 address without its brackets.
fn name_of(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.split(':').next().unwrap_or(host),
    }
}

/// Whether `name` stands for where `listen` is. One that listens on all addresses is at any of them; a page cannot have an
/// address of ours for its own host.
fn is_address_of(name: &str, listen: IpAddr) -> bool {
    let listen = listen.to_canonical();
    match name.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(address) => {
            listen.is_unspecified()
                || address == listen
                || (address.is_loopback() && listen.is_loopback())
        }
        Err(_) => {
            name.eq_ignore_ascii_case("localhost")
                && (listen.is_loopback() || listen.is_unspecified())
        }
    }
}

/// Whether `origin` is that of the very host that is asked.
fn is_own(origin: &HeaderValue, host: &str) -> bool {
    let origin = origin.to_str().unwrap_or_default();
    let authority = origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"));
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = list
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
        pairs.collect()
    }

    fn verdict(listen: &str, list: &[(&'static str, &'static str)]) -> bool {
        let rules = Rules {
            listen: Some(listen.parse().unwrap()),
            hosts: &["ops.example.com".to_owned(), "a.example:81".to_owned()],
            origins: &["https://console.example.com".to_owned()],
        };
        rules.check(&headers(list)).is_ok()
    }

    const LOCAL: &str = "127.0.0.1:8081";

    #[test]
    fn a_host_that_is_not_ours_is_refused() {
        for host in [
            "127.0.0.1:8081",
            "localhost:8081",
            "LOCALHOST",
            "[::1]:9",
            "ops.example.com",
            "OPS.example.com:8081",
            "a.example:81",
        ] {
            assert!(verdict(LOCAL, &[("host", host)]), "{host}");
        }
        for host in [
            "evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1:8081",
            "a.example:82",
            "localhost.evil.example:8081",
            "",
        ] {
            assert!(!verdict(LOCAL, &[("host", host)]), "{host}");
        }
        assert!(!verdict(LOCAL, &[]));
    }

    #[test]
    fn one_that_listens_everywhere_is_at_every_address_and_at_no_name() {
        assert!(verdict("0.0.0.0:8081", &[("host", "10.0.0.1:8081")]));
        assert!(verdict("[::]:8081", &[("host", "[2001:db8::1]:8081")]));
        assert!(!verdict("0.0.0.0:8081", &[("host", "evil.example:8081")]));
    }

    #[test]
    fn a_foreign_page_is_refused_and_a_listed_one_is_not() {
        let host = ("host", "127.0.0.1:8081");
        assert!(verdict(LOCAL, &[host, ("origin", "http://127.0.0.1:8081")]));
        assert!(verdict(
            LOCAL,
            &[
                host,
                ("origin", "https://console.example.com"),
                ("sec-fetch-site", "cross-site")
            ]
        ));
        assert!(verdict(LOCAL, &[host, ("sec-fetch-site", "none")]));
        for foreign in [
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("origin", "http://127.0.0.1:9090"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            assert!(!verdict(LOCAL, &[host, foreign]), "{foreign:?}");
        }
    }

    #[test]
    fn on_a_unix_socket_no_host_is_asked_for() {
        let rules = Rules {
            listen: None,
            hosts: &[],
            origins: &[],
        };
        assert!(rules.check(&headers(&[("host", "whatever")])).is_ok());
        assert!(
            rules
                .check(&headers(&[("host", "a"), ("origin", "http://b")]))
                .is_err()
        );
    }

    #[test]
    fn only_a_listed_origin_is_let_read() {
        let origins = ["https://a.example".to_owned()];
        let rules = Rules {
            listen: None,
            hosts: &[],
            origins: &origins,
        };
        for (origin, open) in [("https://a.example", true), ("https://b.example", false)] {
            let mut answer = HeaderMap::new();
            rules.open_to(Some(&HeaderValue::from_static(origin)), &mut answer);
            assert_eq!(
                answer.get(header::ACCESS_CONTROL_ALLOW_ORIGIN).is_some(),
                open,
                "{origin}"
            );
            let asked = headers(&[("access-control-request-method", "PUT")]);
            let asked = HeaderMap::from_iter(
                asked
                    .into_iter()
                    .chain([(Some(header::ORIGIN), HeaderValue::from_static(origin))])
                    .filter_map(|(name, value)| Some((name?, value))),
            );
            assert_eq!(
                rules.preflight(&Method::OPTIONS, &asked).is_some(),
                open,
                "{origin}"
            );
        }
    }
}
