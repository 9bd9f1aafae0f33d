//! `[[access]]`.

use super::section;
use crate::config::text::{
    collections::{NETWORK, network},
    key::{Default, Key},
    shape,
};

/// A network of IP addresses, as in `10.0.0.0/8`.
pub use ipnet::IpNet as Cidr;

section! {
    /// `[[access]]`: who may come in, by address. Denied first, then allowed; an empty `allow` lets all in.
    #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    pub struct Access in "access" {
        /// Unique.
        pub name: String = Key::text("access.name", shape::NAME, shape::name, Default::Required);
        /// Who is let in; empty: everybody.
        pub allow: Vec<Cidr> = Key::texts("access.allow", NETWORK, |text| network(text).is_some());
        /// Who is refused, though `allow` names them.
        pub deny: Vec<Cidr> = Key::texts("access.deny", NETWORK, |text| network(text).is_some());
    }
}
