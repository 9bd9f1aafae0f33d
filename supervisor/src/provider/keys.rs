//! Keys that need no login: the account is the token.

use std::{net::SocketAddr, time::Duration};

use tpp::config::Credential;

use super::{Grant, Granting, LoginError, Manner, Provider, Token};

/// A key has no end of its own; looked at again after a year.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// Hands each account's key out as it is.
#[derive(Debug)]
pub(super) struct Keys {
    /// Longest key that is taken, bytes.
    pub(super) max_token_bytes: usize,
}

impl Provider for Keys {
    fn grant<'a>(&'a self, account: &'a Credential, _: SocketAddr) -> Granting<'a> {
        let key = Token::new(account.password.expose(), self.max_token_bytes);
        let grant = key.map(|secret| Grant {
            secret,
            expires_in: Some(FOR_EVER),
        });
        Box::pin(std::future::ready(grant.map_err(LoginError::from)))
    }

    fn unresolved(&self) -> LoginError {
        LoginError::Trouble {
            reason: "the upstream's name has no address yet".to_owned(),
        }
    }

    fn manner(&self) -> Manner {
        Manner::Key
    }
}
