//! What stands in `Authorization: Bearer …` (RFC 6750, 2.1).

use axum::http::{HeaderMap, header};

/// For one who brought none.
pub(super) const CHALLENGE: &str = "Bearer realm=\"tpp\"";
/// For one who brought a wrong one.
pub(super) const INVALID: &str = "Bearer realm=\"tpp\", error=\"invalid_token\"";

/// The token that a request brings.
pub(super) fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, rest) = value.split_at_checked(7)?;
    let is_bearer = scheme.eq_ignore_ascii_case(b"bearer ");
    is_bearer.then(|| rest.trim_ascii())
}
