//! Slots whose token was refused or is spent, as a list: who looks for them walks those and no others.
//!
//! A stack through the slots' own words. Workers push, the supervisor takes all at once, so that no index can be used twice in
//! between. A worker that dies in the middle of a push leaves its slot out: the list is a hint, the slot's own words
//! are the truth, and the supervisor looks at all of those every now and then.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

use crate::{
    ids::SlotIndex,
    sync::{AtomicU64, fence},
};

use super::TokenWords;

/// A view of the list.
#[derive(Debug, Clone, Copy)]
pub struct Suspects<'a> {
    /// The first slot's index and 1; 0: there is none.
    head: &'a AtomicU64,
    slots: &'a [TokenWords],
}

impl<'a> Suspects<'a> {
    /// Over a head and the slots it counts.
    #[must_use]
    pub fn new(head: &'a AtomicU64, slots: &'a [TokenWords]) -> Self {
        Self { head, slots }
    }

    /// Whether nobody is on the list.
    #[must_use]
    pub fn is_empty(self) -> bool {
        // Relaxed: the bell that follows a push carries the order, and `take` looks again.
        self.head.load(Relaxed) == 0
    }

    /// Puts `slot` on the list, if it is not there. To be called after what it is there for was written.
    pub fn push(self, slot: SlotIndex) {
        // Pairs with the fence in `take`: if we find the slot on the list still, its taker sees what we wrote before.
        fence(SeqCst);
        let link = &self.slots[slot.get()].link;
        // A slot's link is the head it stands on, and 1, so that 0 is left for "not on the list". This one is overwritten
        // before anybody can come by it. Relaxed: only claims the link; the exchange below publishes it.
        if link.compare_exchange(0, 1, Relaxed, Relaxed).is_err() {
            return;
        }
        let mut below = self.head.load(Relaxed);
        loop {
            link.store(below + 1, Relaxed);
            // Release, pairs with Acquire in `take`: the taker sees the link, and by the chain of exchanges those below.
            // Relaxed on failure: the value is only the next guess.
            match self
                .head
                .compare_exchange(below, slot.get() as u64 + 1, Release, Relaxed)
            {
                Ok(_) => return,
                Err(found) => below = found,
            }
        }
    }

    /// Takes all that are on the list, the latest first.
    #[must_use]
    pub fn take(self) -> Vec<SlotIndex> {
        let mut taken = Vec::new();
        // Acquire: pairs with Release in `push`.
        let mut at = self.head.swap(0, Acquire);
        // The bound and `get`: a damaged link must not lead astray or in circles.
        while let Some(index) = usize::try_from(at).ok().and_then(|at| at.checked_sub(1)) {
            let Some(slot) = self
                .slots
                .get(index)
                .filter(|_| taken.len() < self.slots.len())
            else {
                break;
            };
            // Relaxed: the swap above, or the fence below, orders it.
            at = slot.link.swap(0, Relaxed).saturating_sub(1);
            taken.push(SlotIndex::new(index));
        }
        // Pairs with the fence in `push`: what the caller reads next is no older than what a pusher wrote that found
        // its slot on the list.
        fence(SeqCst);
        taken
    }
}

#[cfg(all(test, not(tpp_loom)))]
mod tests {
    use std::sync::atomic::Ordering::SeqCst;

    use super::*;

    fn slots(count: usize) -> Vec<TokenWords> {
        (0..count).map(|_| TokenWords::new()).collect()
    }

    #[test]
    fn each_slot_is_taken_once_however_often_it_was_pushed() {
        let (head, slots) = (AtomicU64::new(0), slots(16_384));
        let list = Suspects::new(&head, &slots);
        for index in [7, 16_383, 0, 7, 0] {
            list.push(SlotIndex::new(index));
        }
        let taken: Vec<_> = list.take().iter().map(|slot| slot.get()).collect();
        assert_eq!(taken, [0, 16_383, 7]);
        assert_eq!(list.take(), []);
        list.push(SlotIndex::new(7));
        assert_eq!(list.take(), [SlotIndex::new(7)]);
    }

    #[test]
    fn damaged_words_lead_nowhere() {
        let (head, slots) = (AtomicU64::new(u64::MAX), slots(3));
        let list = Suspects::new(&head, &slots);
        assert_eq!(list.take(), []);
        slots[0].link.store(3, SeqCst);
        slots[1].link.store(2, SeqCst);
        head.store(1, SeqCst);
        assert!(list.take().len() <= 3, "no circle");
    }

    #[test]
    fn no_report_is_lost_between_threads_that_push_and_one_that_takes() {
        let rounds = if cfg!(miri) { 50 } else { 20_000 };
        let (head, slots) = (AtomicU64::new(0), slots(4));
        let reported: Vec<_> = (0..4).map(|_| AtomicU64::new(0)).collect();
        let mut seen = [0; 4];
        std::thread::scope(|scope| {
            let pushers: Vec<_> = (0..4)
                .map(|index| {
                    let (list, reported) = (Suspects::new(&head, &slots), &reported);
                    scope.spawn(move || {
                        for round in 1..=rounds {
                            reported[index].store(round, Relaxed);
                            list.push(SlotIndex::new(index));
                        }
                    })
                })
                .collect();
            let list = Suspects::new(&head, &slots);
            let mut look = || {
                for slot in list.take() {
                    seen[slot.get()] = reported[slot.get()].load(Relaxed);
                }
            };
            while pushers.iter().any(|pusher| !pusher.is_finished()) {
                look();
            }
            look();
        });
        assert_eq!(seen, [rounds; 4], "the last report of each was seen");
    }
}
