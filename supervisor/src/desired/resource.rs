//! What the API makes, changes and takes away: entries of the configuration, whatever their kind.

use std::fmt::Debug;

use tpp::{
    config::{Backend, Entry, Gateway, VirtualHost},
    hash::{HASH_BEGIN, hash_on},
};

use super::overlay::{Changes, Overlay};

/// One kind of entry.
pub trait Resource: Entry + Clone + Debug + PartialEq + Send + Sync + 'static {
    /// What people call it.
    const KIND: &'static str;
    /// The key that holds its name.
    const NAME_KEY: &'static str;

    /// Its name, unique among its kind.
    fn name(&self) -> &str;

    /// All entries of its kind.
    fn list(gateway: &Gateway) -> &[Self];

    /// The same, to be changed.
    fn list_mut(gateway: &mut Gateway) -> &mut Vec<Self>;

    /// Those that were changed.
    fn changes(overlay: &Overlay) -> &Changes<Self>;

    /// The same, to be changed.
    fn changes_mut(overlay: &mut Overlay) -> &mut Changes<Self>;

    /// A number that is another one when the entry is another one, whichever supervisor is asked.
    fn version(&self) -> u64 {
        hash_on(HASH_BEGIN, self.to_json().to_string().as_bytes())
    }
}

impl Resource for Backend {
    const KIND: &'static str = "backend";
    const NAME_KEY: &'static str = "id";

    fn name(&self) -> &str {
        &self.id
    }

    fn list(gateway: &Gateway) -> &[Self] {
        &gateway.backends
    }

    fn list_mut(gateway: &mut Gateway) -> &mut Vec<Self> {
        &mut gateway.backends
    }

    fn changes(overlay: &Overlay) -> &Changes<Self> {
        &overlay.backends
    }

    fn changes_mut(overlay: &mut Overlay) -> &mut Changes<Self> {
        &mut overlay.backends
    }
}

impl Resource for VirtualHost {
    const KIND: &'static str = "domain";
    const NAME_KEY: &'static str = "domain";

    fn name(&self) -> &str {
        &self.domain
    }

    fn list(gateway: &Gateway) -> &[Self] {
        &gateway.virtual_hosts
    }

    fn list_mut(gateway: &mut Gateway) -> &mut Vec<Self> {
        &mut gateway.virtual_hosts
    }

    fn changes(overlay: &Overlay) -> &Changes<Self> {
        &overlay.domains
    }

    fn changes_mut(overlay: &mut Overlay) -> &mut Changes<Self> {
        &mut overlay.domains
    }
}
