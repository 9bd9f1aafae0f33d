//! Versions of entries in headers: what a client has seen, and what it means to change.

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::problem::Problem;

/// What a client says of the version that it means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meant {
    /// Nothing.
    Whatever,
    /// Any one that is there.
    Present,
    /// One of these.
    Versions(Vec<u64>),
}

/// The version as `ETag` has it.
pub(super) fn tag(version: u64) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{version:016x}\""))
        .expect("hexadecimal digits between quotes are a header's value")
}

fn listed(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Meant>, Problem> {
    let values = headers.get_all(name).iter();
    let texts: Result<Vec<_>, _> = values.map(HeaderValue::to_str).collect();
    let wrong = || Problem::of_field(name.as_str(), format!("{name} is no list of entity tags"));
    let texts = texts.map_err(|_| wrong())?;
    if texts.is_empty() {
        return Ok(None);
    }
    let tags = texts.iter().flat_map(|text| text.split(',')).map(str::trim);
    let mut versions = Vec::new();
    for one in tags.filter(|one| !one.is_empty()) {
        if one == "*" {
            return Ok(Some(Meant::Present));
        }
        let opaque = one.strip_prefix("W/").unwrap_or(one);
        let inner = opaque
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'));
        let inner = inner.ok_or_else(wrong)?;
        // A weak or a foreign tag is none of ours, and so none that matches.
        let is_ours = inner.len() == 16 && inner.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_ours
            && !one.starts_with("W/")
            && let Ok(version) = u64::from_str_radix(inner, 16)
        {
            versions.push(version);
        }
    }
    Ok(Some(Meant::Versions(versions)))
}

/// What `If-Match` says. `required`: it must say something.
pub(super) fn if_match(headers: &HeaderMap, required: bool) -> Result<Meant, Problem> {
    match listed(headers, &header::IF_MATCH)? {
        Some(meant) => Ok(meant),
        None if required => Err(Problem::new(
            StatusCode::PRECONDITION_REQUIRED,
            "api.require_if_match is set: name the version in If-Match, as ETag gave it",
        )),
        None => Ok(Meant::Whatever),
    }
}

/// Whether the client asks for a new entry alone.
pub(super) fn must_be_new(headers: &HeaderMap) -> Result<bool, Problem> {
    Ok(listed(headers, &header::IF_NONE_MATCH)? == Some(Meant::Present))
}

impl Meant {
    /// The version that a change must find; `current` is the one that is there.
    ///
    /// # Errors
    /// 412 if it is not among those meant.
    pub(super) fn expect(&self, current: u64) -> Result<Option<u64>, Problem> {
        match self {
            Self::Whatever | Self::Present => Ok(None),
            Self::Versions(versions) if versions.contains(&current) => Ok(Some(current)),
            Self::Versions(_) => Err(stale(current)),
        }
    }
}

/// 412.
pub(super) fn stale(current: u64) -> Problem {
    let detail = "it was changed meanwhile: If-Match names another version than its ETag";
    Problem::new(StatusCode::PRECONDITION_FAILED, detail).with(header::ETAG, tag(current))
}

/// `body` under its version, or nothing if the client has that.
pub(super) fn shown(
    headers: &HeaderMap,
    version: u64,
    body: impl IntoResponse,
) -> Result<Response, Problem> {
    let known = match listed(headers, &header::IF_NONE_MATCH)? {
        None => false,
        Some(Meant::Versions(versions)) => versions.contains(&version),
        Some(_) => true,
    };
    let etag = [(header::ETAG, tag(version))];
    Ok(if known {
        (StatusCode::NOT_MODIFIED, etag).into_response()
    } else {
        (etag, body).into_response()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::IF_MATCH, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn a_tag_is_read_back() {
        let value = tag(0x2a);
        let meant = if_match(&headers(value.to_str().unwrap()), false).unwrap();
        assert_eq!(meant, Meant::Versions(vec![0x2a]));
        assert_eq!(meant.expect(0x2a).unwrap(), Some(0x2a));
        assert!(meant.expect(0x2b).is_err());
    }

    #[test]
    fn foreign_and_weak_tags_match_nothing() {
        for value in [
            "\"abc\"",
            "W/\"000000000000002a\"",
            "\"\"",
            "\"+00000000000002a\"",
        ] {
            let meant = if_match(&headers(value), false).unwrap();
            assert!(meant.expect(0x2a).is_err(), "{value}");
        }
    }

    #[test]
    fn what_is_no_tag_is_refused() {
        for value in ["2a", "\"2a", "*x"] {
            assert!(if_match(&headers(value), false).is_err(), "{value}");
        }
    }

    #[test]
    fn without_a_header_nothing_is_meant_unless_it_is_required() {
        let none = HeaderMap::new();
        assert_eq!(if_match(&none, false).unwrap(), Meant::Whatever);
        assert!(if_match(&none, true).is_err());
        assert_eq!(if_match(&headers("*"), true).unwrap(), Meant::Present);
    }

    #[test]
    fn one_of_several_is_enough() {
        let meant = if_match(&headers("\"0000000000000001\", \"0000000000000002\""), true).unwrap();
        assert_eq!(meant.expect(2).unwrap(), Some(2));
    }
}
