//! Where tokens come from: an account in, a [`Grant`] or a [`LoginError`] out.
//!
//! A [`Provider`] knows one way to log in; [`DolphinDb`] is the first. When to log in is not decided here but in
//! [`schedule`](crate::schedule).

mod answer;
mod dolphindb;
mod error;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod redact;
mod spread;
mod token;

#[cfg(test)]
pub(crate) mod tests;

use std::{fmt, future::Future, net::SocketAddr, pin::Pin, time::Duration};

use tpp::config::Credential;

pub use dolphindb::DolphinDb;
pub use error::{LoginError, Outcome, SetupError};
pub(crate) use http::authority;
pub(crate) use spread::Spread;
pub use token::{Token, TokenFault, fingerprint};

/// What an account was given.
#[derive(Debug)]
pub struct Grant {
    /// The token.
    pub secret: Token,
    /// How long the server says that it is good for; it counts before `token.ttl_seconds`.
    pub expires_in: Option<Duration>,
}

/// A login under way. Dropping it ends it.
pub type Granting<'a> = Pin<Box<dyn Future<Output = Result<Grant, LoginError>> + Send + 'a>>;

/// A way to get tokens. Any number of logins may be under way at once.
pub trait Provider: fmt::Debug + Send + Sync {
    /// Logs `account` in once at `address`, bounded in time and memory whatever the server does.
    fn grant<'a>(&'a self, account: &'a Credential, address: SocketAddr) -> Granting<'a>;

    /// What a login comes to as long as the server's name has no address.
    fn unresolved(&self) -> LoginError;
}
