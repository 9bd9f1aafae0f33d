//! Who asks: what a client is told apart by, where the configuration says by what.

use tpp::config::{HashKey, Selector};

use crate::{gateway::client::Client, message::head::Head, view::lot};

impl Client {
    /// What its part of a split is drawn by. Without the cookie or field, by its connection: it is never left out.
    pub(crate) fn split_key(&self, head: &Head, by: &Selector) -> u64 {
        let said = match by {
            Selector::Random => None,
            Selector::Address => Some(self.address.as_bytes()),
            Selector::Cookie(name) => head.cookie(name.as_bytes()),
            Selector::Header(name) => head.named(name.as_bytes()),
        };
        said.map_or(self.lot, lot::key)
    }

    /// What its backend is chosen by. Without the cookie or field, by its address.
    pub(crate) fn hash_key(&self, head: &Head, by: &HashKey) -> u64 {
        let said = match by {
            HashKey::Address => None,
            HashKey::Cookie(name) => head.cookie(name.as_bytes()),
            HashKey::Header(name) => head.named(name.as_bytes()),
        };
        lot::key(said.unwrap_or(self.address.as_bytes()))
    }
}
