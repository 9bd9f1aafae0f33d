//! What a slot's publication holds: a token and its origin, in one value, so that no reader ever sees one with the
//! other's.

use zeroize::Zeroizing;

use crate::ids::Origin;

use super::{Publication, TooLong};

/// What an origin takes beside the token, bytes.
pub const ORIGIN_BYTES: usize = size_of::<u64>();

/// Publishes `token`, drawn from `origin`, and returns its version.
///
/// # Errors
/// If the token is too long.
pub(crate) fn publish_token(
    place: Publication<'_>,
    token: &[u8],
    origin: Origin,
) -> Result<u64, TooLong> {
    // Of its full size from the start: what grows leaves copies behind.
    let mut value = Zeroizing::new(Vec::with_capacity(token.len() + ORIGIN_BYTES));
    value.extend_from_slice(token);
    value.extend_from_slice(&origin.get().to_le_bytes());
    place.publish(&value).map_err(|too_long| TooLong {
        length: token.len(),
        capacity: too_long.capacity - ORIGIN_BYTES,
    })
}

/// Copies the token over `into`; returns its version, 0 if there is none, and its origin.
pub(crate) fn read_token(place: Publication<'_>, into: &mut Vec<u8>) -> (u64, Origin) {
    // Room at once, for the same reason.
    into.reserve(place.capacity() + ORIGIN_BYTES);
    let version = place.read(into);
    let token = into.len().saturating_sub(ORIGIN_BYTES);
    let word = into[token..].try_into().map(u64::from_le_bytes);
    into.truncate(token);
    // A wiped place, or a damaged one.
    (version, word.map_or(Origin::NONE, Origin::new))
}
