//! One pool at several backends: each login goes to its own, by that one's name and with the trust that it is owed.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use tpp::config::Credential;

use super::{Granting, LoginError, Provider};

/// Logs in at whichever backend has the address.
#[derive(Debug)]
pub(crate) struct Spread {
    by_address: HashMap<SocketAddr, Arc<dyn Provider>>,
    /// For an address that is none of theirs.
    first: Arc<dyn Provider>,
}

impl Spread {
    /// Over one backend alone, so far.
    pub(crate) fn over(first: Arc<dyn Provider>, addresses: &[SocketAddr]) -> Self {
        let mut spread = Self {
            by_address: HashMap::new(),
            first: Arc::clone(&first),
        };
        spread.add(first, addresses);
        spread
    }

    /// And over another one.
    pub(crate) fn add(&mut self, provider: Arc<dyn Provider>, addresses: &[SocketAddr]) {
        for address in addresses {
            // Of two backends at one address the first one's name counts.
            let own = self.by_address.entry(*address);
            own.or_insert_with(|| Arc::clone(&provider));
        }
    }

    /// Itself, or the only one that it has.
    pub(crate) fn into_provider(self) -> Arc<dyn Provider> {
        let is_first = |one: &Arc<dyn Provider>| Arc::ptr_eq(one, &self.first);
        if self.by_address.values().all(is_first) {
            self.first
        } else {
            Arc::new(self)
        }
    }
}

impl Provider for Spread {
    fn grant<'a>(&'a self, account: &'a Credential, address: SocketAddr) -> Granting<'a> {
        let own = self.by_address.get(&address);
        own.unwrap_or(&self.first).grant(account, address)
    }

    fn unresolved(&self) -> LoginError {
        self.first.unresolved()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails with its name.
    #[derive(Debug)]
    struct Named(&'static str);

    impl Named {
        fn says(&self) -> LoginError {
            let reason = self.0.to_owned();
            LoginError::Busy { reason }
        }
    }

    impl Provider for Named {
        fn grant<'a>(&'a self, _: &'a Credential, _: SocketAddr) -> Granting<'a> {
            Box::pin(async { Err(self.says()) })
        }

        fn unresolved(&self) -> LoginError {
            self.says()
        }
    }

    #[tokio::test]
    async fn each_login_goes_to_the_backend_that_has_the_address() {
        let [a, b, c] = [1_u16, 2, 3].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let mut all = Spread::over(Arc::new(Named("one")), &[a]);
        all.add(Arc::new(Named("two")), &[a, b]);
        let provider = all.into_provider();
        let account = Credential::new("u", "p", 1);
        for (address, name) in [(a, "one"), (b, "two"), (c, "one")] {
            let error = provider.grant(&account, address).await.unwrap_err();
            assert_eq!(error, Named(name).says());
        }
        assert_eq!(provider.unresolved(), Named("one").says());
    }
}
