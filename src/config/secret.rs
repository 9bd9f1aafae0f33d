//! A string that does not show itself.

use std::fmt;

use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A password or a token. It has no `Display`, its `Debug` says nothing, and its memory is wiped when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes `text` into keeping.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself. The name is long so that each use is seen in review.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `presented` is this one. It takes as long for a wrong one as for a right one, whatever their lengths.
    #[must_use]
    pub fn is(&self, presented: &[u8]) -> bool {
        let own = digest(&SHA256, self.0.as_bytes());
        own.as_ref()
            .ct_eq(digest(&SHA256, presented).as_ref())
            .into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_itself_alone_and_never_shown() {
        let secret = Secret::new("s3cret".to_owned());
        assert!(secret.is(b"s3cret"));
        for other in [&b""[..], b"s3cre", b"s3crets", b"S3cret", b"xxxxxx"] {
            assert!(!secret.is(other), "{}", other.escape_ascii());
        }
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }
}
