//! Who asks: what a client is told apart by, where the configuration says by what.

use std::io::Write;

use tpp::config::{HashKey, Selector};

use crate::{
    gateway::{access::address, client::Client},
    message::head::Head,
    view::lot,
};

/// Bytes of the longest address in text.
const LONGEST: usize = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255".len();

impl Client {
    /// What its part of a split is drawn by. Without the cookie or field, by its connection: it is never left out.
    #[inline(never)]
    pub(crate) fn split_key(&self, head: &Head, by: &Selector) -> u64 {
        let said = match by {
            Selector::Random => None,
            Selector::Address => return self.address_key(head),
            Selector::Cookie(name) => head.cookie(name.as_bytes()),
            Selector::Header(name) => head.named(name.as_bytes()),
        };
        said.map_or(self.lot, lot::key)
    }

    /// What its backend is chosen by. Without the cookie or field, by its address.
    #[inline(never)]
    pub(crate) fn hash_key(&self, head: &Head, by: &HashKey) -> u64 {
        let said = match by {
            HashKey::Address => None,
            HashKey::Cookie(name) => head.cookie(name.as_bytes()),
            HashKey::Header(name) => head.named(name.as_bytes()),
        };
        said.map_or_else(|| self.address_key(head), lot::key)
    }

    /// By who it is behind proxies that are believed, as other rules have it: the same one whichever proxy it comes through.
    fn address_key(&self, head: &Head) -> u64 {
        let behind = address(self, head).filter(|address| Some(*address) != self.peer);
        let Some(address) = behind else {
            return lot::key(self.address.as_bytes());
        };
        let mut text = [0; LONGEST];
        let mut rest = &mut text[..];
        // There is room for any.
        let _ = write!(rest, "{address}");
        let unused = rest.len();
        lot::key(&text[..LONGEST - unused])
    }
}
