//! Why there is no token: one line for each, none with a secret in it.

use std::{error::Error as StdError, io, time::Duration};

use thiserror::Error;
use tpp::tls::TrustError;

use super::token::TokenFault;

/// Why a login brought no token.
///
/// `cause` is text, and in the message: the HTTP library wraps each failure four times over and names the
/// URL, so only its innermost words are kept.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LoginError {
    /// The server answered, and does not want this credential.
    #[error("login refused: {reason}")]
    Refused {
        /// What the server said, on one line, bounded, without secrets.
        reason: String,
    },
    /// The server answered, and has no place or no time for a login now.
    #[error("the server is busy: {reason}")]
    Busy {
        /// What the server said, on one line, bounded, without secrets.
        reason: String,
    },
    /// The same, and it asks to be left alone for a while.
    #[error("the server is busy, and asks to be left alone for {after:?}: {reason}")]
    Wait {
        /// What the server said, on one line, bounded, without secrets.
        reason: String,
        /// For how long.
        after: Duration,
    },
    /// The server answered that something is wrong with itself, or something that it needs is not there yet.
    #[error("the login cannot be made now: {reason}")]
    Trouble {
        /// What, on one line, bounded, without secrets.
        reason: String,
    },
    /// The upstream's name has no address.
    #[error("resolve {address}: {cause}")]
    Resolve {
        /// `host:port`.
        address: String,
        /// The resolver's words.
        cause: String,
    },
    /// No TCP connection.
    #[error("connect {address}: {cause}")]
    Connect {
        /// `host:port`.
        address: String,
        /// The system's words.
        cause: String,
    },
    /// No connection in time.
    #[error("connect {address}: no connection within {after:?}")]
    ConnectTimeout {
        /// `host:port`.
        address: String,
        /// The bound.
        after: Duration,
    },
    /// The TLS handshake failed, or the certificate is not trusted.
    #[error("tls with {address}: {cause}")]
    Tls {
        /// `host:port`.
        address: String,
        /// The TLS library's words.
        cause: String,
    },
    /// No whole answer in time.
    #[error("no whole login answer from {address} within {after:?}")]
    Timeout {
        /// `host:port`.
        address: String,
        /// The bound.
        after: Duration,
    },
    /// The connection broke, or what came over it was not HTTP.
    #[error("login exchange with {address} broken off: {cause}")]
    Broken {
        /// `host:port`.
        address: String,
        /// The innermost cause.
        cause: String,
    },
    /// The server sent us elsewhere. The credential stays here.
    #[error(
        "redirect (status {status}) to `{location}`, which is not followed: check where logins go (token.login_path, or url in the pool's login table)"
    )]
    Redirect {
        /// The HTTP status.
        status: u16,
        /// Where to, bounded; empty if it did not say.
        location: String,
    },
    /// A status that is neither success nor a refusal.
    #[error("login answered with status {status}")]
    Status {
        /// The HTTP status.
        status: u16,
    },
    /// The answer is longer than any login answer.
    #[error("login answer is longer than {limit} bytes")]
    TooLarge {
        /// The bound.
        limit: usize,
    },
    /// A page for people came instead of an answer.
    #[error(
        "login answer is an HTML page: check where logins go (upstream.host, upstream.port and token.login_path, or url in the pool's login table)"
    )]
    Html,
    /// The answer is not JSON.
    #[error("login answer is not JSON (content type `{content_type}`)")]
    NotJson {
        /// What the server called it, bounded; empty if it did not say.
        content_type: String,
    },
    /// The answer is the beginning of some JSON.
    #[error("login answer ends in the middle")]
    Truncated,
    /// JSON, but not the documented answer.
    #[error("login answer {what}")]
    Unexpected {
        /// What is wrong with it.
        what: &'static str,
    },
    /// Success, and a token that cannot be one.
    #[error("unusable token: {0}")]
    BadToken(#[from] TokenFault),
}

/// What a failed login says of its account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing: the server has no place or no time for it now. Soon again.
    Busy,
    /// Nothing: something on the way; it may pass by itself. Soon again.
    Trouble,
    /// It was turned down: trying again soon may lock it out.
    Refused,
}

impl LoginError {
    /// What it says of the account.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Refused { .. } => Outcome::Refused,
            Self::Busy { .. } | Self::Wait { .. } => Outcome::Busy,
            _ => Outcome::Trouble,
        }
    }

    /// How long the server asks to be left alone.
    #[must_use]
    pub fn asked_wait(&self) -> Option<Duration> {
        match self {
            Self::Wait { after, .. } => Some(*after),
            _ => None,
        }
    }

    /// Whether nobody that speaks was met: another address of the upstream may do better.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(
            self,
            Self::Connect { .. } | Self::ConnectTimeout { .. } | Self::Tls { .. }
        )
    }
}

/// Why no login can be attempted at all: something in the configuration or on this machine.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SetupError {
    /// `upstream.host`, `upstream.port` and `token.login_path` make no URL.
    #[error("login URL `{url}`")]
    Url {
        /// What they make.
        url: String,
        /// What is wrong with it.
        source: url::ParseError,
    },
    /// A URL with which no login can be made.
    #[error("login URL `{url}`: neither http nor https")]
    Scheme {
        /// It.
        url: String,
    },
    /// Nobody can be trusted.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The HTTP library would not start.
    #[error("login client")]
    Client {
        /// Why.
        source: reqwest::Error,
    },
}

/// Whom we talk to, and for how long at most: what an error is explained with.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) address: String,
    pub(super) connect_timeout: Duration,
    pub(super) login_timeout: Duration,
}

impl Peer {
    /// Says in our words what the HTTP library met.
    pub(super) fn explain(&self, error: reqwest::Error) -> LoginError {
        let error = error.without_url();
        let address = self.address.clone();
        if error.is_connect() {
            let cause = innermost(&error);
            return if error.is_dns() {
                LoginError::Resolve { address, cause }
            } else if error.is_timeout() {
                LoginError::ConnectTimeout {
                    address,
                    after: self.connect_timeout,
                }
            } else if is_tls(&error) {
                LoginError::Tls { address, cause }
            } else {
                LoginError::Connect { address, cause }
            };
        }
        if error.is_timeout() {
            return LoginError::Timeout {
                address,
                after: self.login_timeout,
            };
        }
        LoginError::Broken {
            address,
            cause: innermost(&error),
        }
    }
}

type Cause<'a> = &'a (dyn StdError + 'static);

fn chain(error: &reqwest::Error) -> impl Iterator<Item = Cause<'_>> {
    std::iter::successors(Some(error as Cause<'_>), |error: &Cause<'_>| {
        (*error).source()
    })
}

fn innermost(error: &reqwest::Error) -> String {
    chain(error)
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}

fn is_tls(error: &reqwest::Error) -> bool {
    chain(error)
        .any(|error| error.is::<rustls::Error>() || error.downcast_ref().is_some_and(wraps_tls))
}

/// An I/O error hides what it wraps from its own chain, and each layer of the HTTP library wraps it once more.
fn wraps_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| {
        inner.is::<rustls::Error>() || inner.downcast_ref().is_some_and(wraps_tls)
    })
}
