//! Where tokens come from: an account in, a [`Grant`] or a [`LoginError`] out.
//!
//! A [`Provider`] knows one way to log in, by its server's own documentation: [`DolphinDb`] is the first, `json` speaks to login
//! servers of any shape, `oauth2` and `feishu` to those that give one token to all, and `keys` to nobody. When to log in is not
//! decided here but in [`schedule`](crate::schedule).

mod answer;
mod busy;
mod document;
mod dolphindb;
mod door;
mod error;
pub mod feishu;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod json;
mod keys;
mod oauth2;
mod of_config;
mod redact;
mod said;
mod spread;
mod template;
mod token;

#[cfg(test)]
pub(crate) mod tests;

use std::{fmt, future::Future, net::SocketAddr, pin::Pin, time::Duration};

use tpp::config::Credential;

pub use dolphindb::DolphinDb;
pub use error::{LoginError, Outcome, SetupError};
pub(crate) use http::authority;
pub use of_config::of_pool;
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

/// A session being ended. Dropping it leaves that to chance.
pub type LeaveTaking<'a> = Pin<Box<dyn Future<Output = Result<(), LoginError>> + Send + 'a>>;

/// Where a provider's tokens come from, and whose they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Each login draws a session of its own, at the backend where alone it may be used.
    AtBackend,
    /// Each login draws one, at a server of its own; it is good at every backend. A server may give all of an account's logins
    /// the same one: that is found out.
    Elsewhere,
    /// One login is for all who use the account, at a server of its own.
    Shared,
    /// The account is the token, for all who use it: there is no login, and no other token when it is turned down.
    Key,
}

impl Manner {
    /// Whether one login fills all slots of an account.
    #[must_use]
    pub fn is_shared(self) -> bool {
        matches!(self, Self::Shared | Self::Key)
    }

    /// Whether it matters at which backend a login is made.
    #[must_use]
    pub fn is_at_backend(self) -> bool {
        self == Self::AtBackend
    }
}

/// A way to get tokens. Any number of logins may be under way at once.
pub trait Provider: fmt::Debug + Send + Sync {
    /// Logs `account` in once, bounded in time and memory whatever the server does. `address` is that of a backend: of the one
    /// where the session will be used, if that [matters](Manner::is_at_backend).
    fn grant<'a>(&'a self, account: &'a Credential, address: SocketAddr) -> Granting<'a>;

    /// What a login comes to as long as the server's name has no address.
    fn unresolved(&self) -> LoginError;

    /// Where its tokens come from, and whose they are.
    fn manner(&self) -> Manner {
        Manner::AtBackend
    }

    /// Ends the session of a token that nobody uses any more; `None`: the server has no such thing, or it is not wanted.
    fn log_out<'a>(
        &'a self,
        _account: &'a Credential,
        _token: &'a Token,
    ) -> Option<LeaveTaking<'a>> {
        None
    }
}

/// What else a provider is told of an account, besides its name and secret.
fn extra<'a>(account: &'a Credential, name: &str) -> Option<&'a str> {
    account.extra.get(name).map(tpp::config::Secret::expose)
}
