//! Closing circuit breakers by hand.

use tpp::lending::BreakerAt;

use super::Orders;

impl Orders {
    /// Closes the breaker of a virtual host, and those that it has for single backends. False: there is no such host.
    pub(crate) fn reset_domain(&self, domain: &str) -> bool {
        let plan = self.outlook.plans.in_force();
        let host = plan.hosts.iter().find(|one| one.host.domain == domain);
        let Some(host) = host else {
            return false;
        };
        let pairs = host.pairs.iter().map(|pair| BreakerAt::Pair(pair.row));
        self.reset(std::iter::once(BreakerAt::Host(host.row)).chain(pairs));
        true
    }

    /// Closes every host's breaker for one backend. False: there is no such backend.
    pub(crate) fn reset_backend(&self, id: &str) -> bool {
        let plan = self.outlook.plans.in_force();
        let Some(index) = plan.backends.iter().position(|one| one.id == id) else {
            return false;
        };
        let rows = plan.hosts.iter().filter_map(|host| host.pair(index));
        self.reset(rows.map(BreakerAt::Pair));
        true
    }

    fn reset(&self, breakers: impl Iterator<Item = BreakerAt>) {
        breakers.for_each(|at| self.outlook.stock.reset_breaker(at));
    }
}
