//! What a predecessor left in the slots.

use tpp::{config::Credential, lending::Legacy, pool::SlotIndex};
use zeroize::Zeroizing;

use super::Refresher;
use crate::{
    provider,
    refresh::{assignment, clock},
};

impl Refresher {
    /// Takes over what a predecessor left in the slots, if there was one.
    pub(super) fn adopt(&mut self, accounts: &[Credential]) {
        let now = clock::now();
        let legacies: Vec<_> = (0..self.stock.slots_used())
            .map(|slot| self.legacy(SlotIndex::new(slot)))
            .collect();
        let mut book = self.handle.ledger();
        book.adopt(accounts, &legacies, now, |slot| {
            self.fingerprint(SlotIndex::new(slot))
        });
        for slot in &book.retired {
            self.stock.take_out_of_use(SlotIndex::new(*slot));
        }
        for (slot, legacy) in legacies.iter().enumerate() {
            let owner = book.owner(slot).cloned();
            let rest = owner
                .as_ref()
                .and_then(|owner| assignment::rest_of(owner, legacy));
            if let Some((owner, rest)) = owner.zip(rest) {
                let until = clock::from_boot_millis(rest.until);
                book.schedule.rest(&owner.username, now, until);
            }
        }
        drop(book);
        (0..legacies.len()).for_each(|slot| self.look_whether_spared(SlotIndex::new(slot)));
    }

    /// What a predecessor left in `slot`. A token of another server is out of use, and as good as none.
    fn legacy(&self, slot: SlotIndex) -> Legacy {
        let legacy = self.stock.legacy(slot);
        if self.shares.is_none() && self.stock.tenure(slot).is_some() {
            // Of the time when this host was one of several: its deadline is nobody's to move any more.
            self.stock.take_out_of_use(slot);
            return Legacy {
                account: None,
                is_usable: false,
                ..legacy
            };
        }
        if !legacy.is_usable || self.places.may_have(legacy.origin) {
            return legacy;
        }
        self.stock.take_out_of_use(slot);
        Legacy {
            is_usable: false,
            ..legacy
        }
    }

    fn fingerprint(&self, slot: SlotIndex) -> String {
        let mut bytes = Zeroizing::default();
        self.stock.read_token(slot, &mut bytes);
        provider::fingerprint(&bytes)
    }
}
