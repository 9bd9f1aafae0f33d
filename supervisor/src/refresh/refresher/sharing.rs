//! One token in several slots: it is copied to those that lack it, and where the upstream wants it spared, it is in none of them.

use tpp::pool::SlotIndex;
use tracing::{error, info};
use zeroize::Zeroizing;

use super::Refresher;
use crate::{
    provider::{Grant, Manner, Token},
    refresh::{
        book::{DrawnBy, number},
        clock,
    },
};

impl Refresher {
    /// Gives those slots their user's token that lack it.
    pub(super) fn share_out(&mut self) {
        let copies = self.handle.ledger().schedule.copies();
        if copies.is_empty() {
            return;
        }
        for copy in copies {
            let [from, to] = [copy.from, copy.to].map(|slot| SlotIndex::new(slot as usize));
            // It is good at every backend: each slot has one of its own.
            let origin = match self.places.place(copy.to) {
                Some(place) if !self.provider.manner().is_at_backend() => place.origin,
                _ => self.stock.read_token(from, &mut Zeroizing::default()).1,
            };
            match self.stock.copy(from, to, origin) {
                Ok(version) => {
                    let slot = copy.to;
                    self.handle.ledger().copied(copy, version);
                    self.tell_lent(slot);
                }
                // It fits where it stands already.
                Err(error) => error!(slot = copy.to, %error, "a token does not fit into its pool"),
            }
        }
        self.say_ready();
    }

    /// The slots that a login for `slot` fills.
    pub(super) fn filled_by(&self, slot: u32) -> Vec<u32> {
        let book = self.handle.ledger();
        if book.schedule.is_shared(slot) {
            book.schedule.with_siblings(slot)
        } else {
            vec![slot]
        }
    }

    /// Finds out whether the server gave `slot` the very token that another slot of its user has: then one login does for all.
    pub(super) fn note_whether_shared(&self, slot: u32, grant: &Grant) {
        if self.provider.manner() != Manner::Elsewhere {
            return;
        }
        let mut book = self.handle.ledger();
        if book.schedule.is_shared(slot) {
            return;
        }
        let fingerprint = Some(grant.secret.fingerprint());
        let siblings = book.schedule.with_siblings(slot);
        let has_same = |other: &&u32| {
            **other != slot
                && book.note(**other as usize).fingerprint == fingerprint
                && self.holds(SlotIndex::new(**other as usize), &grant.secret)
        };
        if siblings.iter().any(|other| has_same(&other)) {
            info!(
                slot,
                "all sessions of the account have one token: one login is for all"
            );
            book.schedule.found_shared(slot);
        }
    }

    fn holds(&self, slot: SlotIndex, token: &Token) -> bool {
        let mut bytes = Zeroizing::default();
        let (version, _) = self.stock.read_token(slot, &mut bytes);
        version != 0 && bytes.as_slice() == token.expose()
    }

    /// The upstream wants the key in `index` spared until then, milliseconds of the boot clock: it rests wherever it is.
    pub(super) fn spare(&self, index: SlotIndex, until: u64) {
        let slot = number(index.get());
        let mut book = self.handle.ledger();
        // Others who used the same key are told the same a moment later.
        let rests_already = book.schedule.is_spared(slot, clock::now());
        let slots = book.schedule.spare(slot, clock::from_boot_millis(until));
        for slot in &slots {
            book.withhold(*slot as usize);
            self.stock.spare(SlotIndex::new(*slot as usize), until);
        }
        if let (false, Some(owner)) = (rests_already || slots.is_empty(), book.owner(index.get())) {
            self.tally(|logins| logins.rests.add(1));
            let wait = clock::from_boot_millis(until).saturating_duration_since(clock::now());
            info!(
                user = owner.username,
                seconds = wait.as_secs(),
                "key used up at the upstream: it rests"
            );
        }
    }

    /// Sees to it that the session of the token in `slot`, which is about to be replaced by `next` or is nobody's any more, ends
    /// when nobody uses it.
    pub(super) fn part_from(&mut self, slot: usize, next: Option<&Token>) {
        let drawn = self.handle.ledger().take_drawn(slot);
        let Some((drawn, token)) = drawn.zip(self.token_in(SlotIndex::new(slot))) else {
            return;
        };
        let stays = match next {
            Some(next) => *next == token,
            None => self.is_elsewhere_too(&token),
        };
        if !stays {
            self.bid_farewell(slot, &drawn, token);
        }
    }

    /// Has the session of the token that was in `slot` ended when those have let go of it who may use it.
    pub(super) fn bid_farewell(&mut self, slot: usize, drawn: &DrawnBy, token: Token) {
        let siblings = self.filled_by(number(slot)).into_iter();
        let siblings: Vec<_> = siblings.map(|slot| SlotIndex::new(slot as usize)).collect();
        let DrawnBy { provider, account } = drawn;
        self.farewells
            .add(provider, account, token, &siblings, &self.stock);
    }

    /// Whether a slot that is somebody's holds that token.
    pub(super) fn is_elsewhere_too(&self, token: &Token) -> bool {
        let fingerprint = Some(token.fingerprint());
        let book = self.handle.ledger();
        let mut slots = book.assigned().map(|(slot, _)| slot);
        slots.any(|slot| {
            book.note(slot).fingerprint == fingerprint && self.holds(SlotIndex::new(slot), token)
        })
    }

    pub(super) fn token_in(&self, slot: SlotIndex) -> Option<Token> {
        let mut bytes = Zeroizing::default();
        let (version, _) = self.stock.read_token(slot, &mut bytes);
        let text = std::str::from_utf8(&bytes).ok()?;
        (version != 0).then(|| Token::new(text, bytes.len()).ok())?
    }
}
