//! What goes to other hosts leaves nothing behind: no token in the slot, and no session at the server, if that can be ended.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;
use tpp::pool::SlotIndex;
use tracing::{debug, warn};

use super::{super::Refresher, ShareEvent};
use crate::{
    provider::Token,
    refresh::{assignment::key, book::DrawnBy, book_shares::PlaceOf},
};

/// How long a log-out of a slot that goes to another host may take.
const LOG_OUT_LIMIT: Duration = Duration::from_secs(3);

/// What became of a slot that is to be cleared.
enum Cleared {
    /// Somebody holds it.
    Held,
    /// Nothing is left of it.
    Empty,
    /// The same, and its session is to be ended.
    LogOut(DrawnBy, Token),
}

impl Refresher {
    pub(super) fn wipe_place(&mut self, at: PlaceOf) {
        let slots = self.handle.ledger().slots_of(&at);
        self.hold_back(&slots);
        if let Some(shares) = &mut self.shares {
            shares.leaving.remove(&at);
            shares.wiping.insert(at, slots);
        }
    }

    /// Takes the tokens out of a place's slots, if nobody holds any of them.
    pub(super) fn wipe_if_idle(&mut self, at: &PlaceOf, slots: &[usize]) -> bool {
        if !self.is_idle(at, slots) {
            return false;
        }
        let (mut farewells, mut is_empty) = (Vec::new(), true);
        for slot in slots {
            // One that is another place's by now has been wiped.
            if self.handle.ledger().was(*slot, at) {
                match self.clear(*slot) {
                    Cleared::Held => is_empty = false,
                    Cleared::Empty => {}
                    Cleared::LogOut(drawn, token) => farewells.push((drawn, token)),
                }
            }
        }
        if !is_empty {
            for (drawn, token) in farewells {
                self.undo(drawn, token);
            }
            return false;
        }
        let Some(shares) = &mut self.shares else {
            return false;
        };
        if farewells.is_empty() {
            shares.tell(ShareEvent::Wiped(at.clone()));
        } else {
            let at = at.clone();
            shares.log_outs.spawn(async move {
                for (drawn, token) in farewells {
                    log_out(drawn, token).await;
                }
                Some(at)
            });
        }
        true
    }

    /// Takes the token out of a slot that nobody holds.
    fn clear(&mut self, slot: usize) -> Cleared {
        let index = SlotIndex::new(slot);
        let token = self.token_in(index);
        if !self.stock.wipe(index) {
            return Cleared::Held;
        }
        let (drawn, owner) = {
            let mut book = self.handle.ledger();
            book.forget_token(slot);
            (book.take_drawn(slot), book.owner(slot).cloned())
        };
        if let Some(owner) = owner {
            self.stock.assign(index, key(&owner.username));
        }
        // Last: a successor that finds it set finds a slot of this host's.
        self.stock.set_tenure(index, None);
        match drawn.zip(token) {
            Some((drawn, token)) if !self.is_elsewhere_too(&token) => Cleared::LogOut(drawn, token),
            _ => Cleared::Empty,
        }
    }

    /// Nobody's slot has been wiped. If it was this host's by some right, and its account has that place again, the new slot is.
    pub(in crate::refresh::refresher) fn note_reclaimed(&mut self, slot: usize) {
        let index = SlotIndex::new(slot);
        let Some(tenure) = self.stock.tenure(index) else {
            return;
        };
        self.stock.set_tenure(index, None);
        let Some(shares) = &self.shares else { return };
        let at = self.handle.ledger().place_of(slot);
        if shares.leaving.contains_key(&at) || shares.wiping.contains_key(&at) {
            return;
        }
        let is_again = self.handle.ledger().slot_at(&at).is_some();
        if is_again {
            self.take(&at, tenure, 0);
        }
    }

    /// A login brought what is not wanted any more.
    pub(in crate::refresh::refresher) fn throw_away(&mut self, slot: u32, token: &Token) {
        let account = self.handle.ledger().owner(slot as usize).cloned();
        if let (true, Some(account)) = (self.shares.is_some(), account)
            && !self.is_elsewhere_too(token)
        {
            debug!(slot, "a login that came too late is undone");
            let provider = Arc::clone(&self.provider);
            self.undo(DrawnBy { provider, account }, token.clone());
        }
    }

    /// Logs out what nobody waits for.
    fn undo(&mut self, drawn: DrawnBy, token: Token) {
        if let Some(shares) = &mut self.shares {
            shares.log_outs.spawn(async move {
                log_out(drawn, token).await;
                None
            });
        }
    }

    /// Whether nothing is left of slots that are not this host's; clears what can be.
    pub(super) fn is_clean(&mut self) -> bool {
        let keeps = self.shares.as_ref().is_none_or(|shares| shares.keeps);
        let away = self.handle.ledger().away();
        let mut is_clean = self.handle.ledger().has_none_retired();
        for slot in away {
            let index = SlotIndex::new(slot);
            if keeps && self.stock.tenure(index).is_some() {
                continue;
            }
            self.stock.take_out_of_use(index);
            let cleared = if self.is_at_rest(slot) {
                self.clear(slot)
            } else {
                Cleared::Held
            };
            match cleared {
                Cleared::Held => is_clean = false,
                Cleared::Empty => {}
                Cleared::LogOut(drawn, token) => self.undo(drawn, token),
            }
        }
        is_clean
    }

    /// Answers whoever began.
    pub(super) fn begin_sharing(&mut self) {
        let held: Vec<_> = {
            let book = self.handle.ledger();
            let slots = book.assigned().map(|(slot, _)| slot);
            slots
                .filter_map(|slot| {
                    let tenure = self.stock.tenure(SlotIndex::new(slot))?;
                    Some((book.place_of(slot), tenure))
                })
                .collect()
        };
        if let Some(answer) = self.shares.as_mut().and_then(|one| one.begins.take()) {
            // Whoever asked may have gone.
            let _ = answer.send(held);
        }
    }

    /// A wiped place's session is logged out, however that ended.
    pub(in crate::refresh::refresher) fn note_logged_out(&self, at: Option<PlaceOf>) {
        if let Some(at) = at {
            self.say(ShareEvent::Wiped(at));
        }
    }
}

async fn log_out(drawn: DrawnBy, token: Token) {
    let Some(leaving) = drawn.provider.log_out(&drawn.account, &token) else {
        return;
    };
    match timeout(LOG_OUT_LIMIT, leaving).await {
        Ok(Ok(())) => debug!(
            user = drawn.account.username,
            "session logged out for another host"
        ),
        Ok(Err(error)) => warn!(
            user = drawn.account.username,
            reason = %error,
            "session not logged out: it ends by itself"
        ),
        Err(_) => warn!(
            user = drawn.account.username,
            "session not logged out in time: it ends by itself"
        ),
    }
}
