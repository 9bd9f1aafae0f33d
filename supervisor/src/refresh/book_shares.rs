//! The part of a pool's book that is about other hosts: which slots are away, and which place of its account each is.

use std::time::Instant;

use tpp::lending::Legacy;

use super::book::{Book, number};

/// One of the places of an account, as hosts count them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PlaceOf {
    /// Whose.
    pub(crate) user: String,
    /// Which, from 0.
    pub(crate) place: u16,
}

impl Book {
    /// Which place of its account `slot` is, or was until its lease ends.
    pub(super) fn place_of(&self, slot: usize) -> PlaceOf {
        let stocked = &self.slots[slot];
        let user = stocked.note.user.clone();
        let place = stocked.place;
        PlaceOf { user, place }
    }

    /// Whether `slot` is or was that place.
    pub(super) fn was(&self, slot: usize, at: &PlaceOf) -> bool {
        let stocked = &self.slots[slot];
        stocked.place == at.place && stocked.note.user == at.user
    }

    /// The slot that is that place.
    pub(super) fn slot_at(&self, at: &PlaceOf) -> Option<usize> {
        let mut assigned = self.assigned().map(|(slot, _)| slot);
        assigned.find(|slot| self.was(*slot, at))
    }

    /// The slots that are that place, or were and may still be held.
    pub(super) fn slots_of(&self, at: &PlaceOf) -> Vec<usize> {
        let retired = self.retired.iter().copied();
        let former = retired.filter(|slot| self.was(*slot, at));
        self.slot_at(at).into_iter().chain(former).collect()
    }

    /// Whether `slot` is not this host's.
    pub(super) fn is_away(&self, slot: usize) -> bool {
        self.slots.get(slot).is_some_and(|stocked| stocked.is_away)
    }

    /// Those that are not this host's, or on their way out.
    pub(super) fn away(&self) -> Vec<usize> {
        let assigned = self.assigned().map(|(slot, _)| slot);
        assigned.filter(|slot| self.is_away(*slot)).collect()
    }

    /// How many those are.
    pub(super) fn away_count(&self) -> u64 {
        match self.shared {
            Some(_) => self.away().len() as u64,
            None => 0,
        }
    }

    /// Slots that are this host's, or were a moment ago, each with its place.
    pub(crate) fn here(&self, is_held: impl Fn(usize) -> bool) -> Vec<(PlaceOf, usize)> {
        let assigned = self.assigned().map(|(slot, _)| slot);
        assigned
            .filter(|slot| is_held(*slot))
            .map(|slot| (self.place_of(slot), slot))
            .collect()
    }

    /// Whether every slot that was somebody's once is empty.
    pub(crate) fn has_none_retired(&self) -> bool {
        self.retired.is_empty()
    }

    /// `slot` is this host's from now on: a login is due at `at`.
    pub(super) fn come(&mut self, slot: usize, at: Instant) {
        self.slots[slot].is_away = false;
        self.begin_anew(slot, at);
    }

    /// The same with the token that it has still.
    pub(super) fn come_back(&mut self, slot: usize, legacy: &Legacy, now: Instant) {
        let note = self.slots[slot].note.clone();
        self.come(slot, now);
        self.slots[slot].note = note;
        if let Some(owner) = self.owner(slot).cloned() {
            let since = now.checked_sub(legacy.age).unwrap_or(now);
            let (version, life) = (legacy.version, legacy.expires_in);
            self.schedule
                .adopt(number(slot), &owner.username, version, since, life);
            self.lend(slot);
        }
    }

    /// `slot` is lent no more, and no login begins for it.
    pub(super) fn go_away(&mut self, slot: usize) {
        self.slots[slot].is_away = true;
        self.schedule.remove(number(slot));
    }
}
