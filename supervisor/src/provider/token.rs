//! A bearer token, fit to stand in a header, and shy.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::LazyLock,
};

use thiserror::Error;
use zeroize::Zeroizing;

/// A token that may stand in an `Authorization` header as it is. Its memory is wiped when it is dropped, its
/// `Debug` shows the fingerprint alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Zeroizing<Vec<u8>>);

/// Why what the server sent cannot be a token.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TokenFault {
    /// Nothing, or white space alone.
    #[error("it is empty")]
    Empty,
    /// Longer than `max_token_bytes` without its white space.
    #[error("it has {bytes} bytes, and token.max_token_bytes allows {max}")]
    TooLong {
        /// Its length without white space.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// It has a byte that is neither white space nor visible ASCII.
    #[error("byte {offset} is {byte:#04x}, which a header must not hold")]
    ForbiddenByte {
        /// Where, counted without white space.
        offset: usize,
        /// Which; not visible ASCII, so it gives nothing of a usable token away.
        byte: u8,
    },
}

impl Token {
    /// Takes a token as the server writes it: in lines. All ASCII white space is removed.
    ///
    /// # Errors
    /// [`TokenFault`] if what is left is empty, longer than `max_bytes`, or holds anything but visible ASCII.
    pub fn new(text: &str, max_bytes: usize) -> Result<Self, TokenFault> {
        // Reserved whole: growing would leave unwiped copies behind.
        let mut token = Zeroizing::new(Vec::with_capacity(text.len()));
        token.extend(text.bytes().filter(|byte| !is_white_space(*byte)));
        if token.is_empty() {
            return Err(TokenFault::Empty);
        }
        if token.len() > max_bytes {
            return Err(TokenFault::TooLong {
                bytes: token.len(),
                max: max_bytes,
            });
        }
        match token.iter().position(|byte| !byte.is_ascii_graphic()) {
            Some(offset) => Err(TokenFault::ForbiddenByte {
                offset,
                byte: token[offset],
            }),
            None => Ok(Self(token)),
        }
    }

    /// The bytes, each in `0x21..=0x7e`. The name is long so that each use is seen in review.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// [`fingerprint`] of it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint(self.expose())
    }
}

/// Eight hex digits of a hash keyed anew in each process: the same token shows the same ones, and they tell nothing
/// about it.
#[must_use]
pub fn fingerprint(token: &[u8]) -> String {
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    let hash = KEY.hash_one(token);
    format!("{:08x}", hash >> 32)
}

/// Space, tab, line feed, vertical tab, form feed, carriage return: what C and base64 decoders skip.
fn is_white_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}…)", self.fingerprint())
    }
}
