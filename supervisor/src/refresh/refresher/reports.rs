//! What the workers say of tokens: refused by the upstream, or not to be lent again.

use tokio::sync::watch;
use tpp::{lending::Stock, pool::SlotIndex};
use tracing::{debug, info, warn};

use super::Refresher;
use crate::{
    provider::Manner,
    refresh::{book::number, clock},
    schedule::{Complaint, Suspicion},
};

impl Refresher {
    /// Looks at the slots that workers reported; returns how many.
    pub(super) fn look_at_reported(&mut self) -> usize {
        let reported = self.stock.suspects().take();
        reported.iter().for_each(|slot| self.look_at(*slot));
        reported.len()
    }

    pub(super) fn look_at_all(&mut self) {
        self.look_at_reported();
        let slots = self.handle.ledger().slots();
        (0..slots).for_each(|slot| self.look_at(SlotIndex::new(slot)));
    }

    /// Looks whether the upstream wants the token of a slot spared.
    pub(super) fn look_whether_spared(&self, index: SlotIndex) {
        if self.provider.manner() == Manner::Key
            && let Some(until) = self.stock.spared_until(index)
        {
            self.spare(index, until);
        }
    }

    fn look_at(&mut self, index: SlotIndex) {
        self.look_whether_spared(index);
        let is_spent = self.stock.is_spent(index);
        if !is_spent && !self.stock.is_suspect(index) {
            return;
        }
        let slot = number(index.get());
        let now = clock::now();
        let mut book = self.handle.ledger();
        let Some(owner) = book.owner(index.get()).cloned() else {
            return;
        };
        let user = owner.username.as_str();
        if is_spent {
            // The holder took it out of use with its lease's end.
            book.withhold(index.get());
            if book.schedule.renew_spent(slot, now) {
                debug!(slot, user, "token not to be lent again: logging in anew");
            }
            return;
        }
        if self.provider.manner() == Manner::Key {
            // There is no other to be had: what is said of it is passed on.
            if !self.stock.is_vouched(index) {
                warn!(slot, user, "key turned down by the upstream");
                book.turned_down(index.get());
            }
            return self.stock.vouch(index);
        }
        let complaint = Complaint {
            version: self.stock.version(index),
            has_served: self.stock.has_served(index),
        };
        let suspicion = book.schedule.suspect(slot, complaint, now);
        drop(book);
        match suspicion {
            Suspicion::Stale | Suspicion::Known => {}
            Suspicion::Due => info!(slot, user, "token refused by the upstream: logging in anew"),
            Suspicion::Delayed => {
                info!(
                    slot,
                    user, "token refused by the upstream: logging in later"
                );
                self.put_off(slot);
            }
            Suspicion::Cleared => self.stock.vouch(index),
        }
    }
}

/// Waits for a ring of a worker that has reported a slot.
pub(super) async fn rung(bell: &mut watch::Receiver<()>, stock: &Stock) {
    loop {
        if bell.changed().await.is_err() {
            // Nobody rings any more.
            std::future::pending::<()>().await;
        }
        if !stock.suspects().is_empty() {
            return;
        }
    }
}
