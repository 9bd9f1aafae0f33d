//! What lies behind a slot's word: the token, and what its last holder wrote.

use super::*;

/// A published value's words, 16 bytes long.
struct Published {
    version: AtomicU64,
    words: Vec<AtomicU64>,
}

impl Published {
    fn new() -> Self {
        let words = (0..Publication::words_for(16)).map(|_| AtomicU64::new(0));
        Self {
            version: AtomicU64::new(0),
            words: words.collect(),
        }
    }

    fn view(&self) -> Publication<'_> {
        Publication::new(&self.version, &self.words)
    }
}

#[test]
fn loom_a_reader_sees_a_whole_publication() {
    loom::model(|| {
        let published = Arc::new(Published::new());
        published.view().publish(&[1; 16]).unwrap();
        let theirs = Arc::clone(&published);
        let writer = thread::spawn(move || {
            for value in [2, 3] {
                theirs.view().publish(&[value; 16]).unwrap();
            }
        });
        let mut bytes = Vec::new();
        let read = published.view().read(&mut bytes);
        let value = u8::try_from(read).unwrap();
        assert_eq!(bytes, [value; 16], "version {read}");
        writer.join().unwrap();
    });
}

/// Its bit was left set, so that nothing but the slot's word orders the two.
#[test]
fn loom_who_claims_a_slot_just_put_in_use_sees_its_token() {
    loom::model(|| {
        let words = Words::new(1, 3);
        words.slots[0].take_out_of_use();
        let token = Arc::new(Published::new());
        let (pool_words, published) = (Arc::clone(&words), Arc::clone(&token));
        let supervisor = thread::spawn(move || {
            published.view().publish(&[1; 16]).unwrap();
            let _ = pool_words.slots[0].put_in_use();
        });
        if words.pool().try_claim(claim(1, 1)).is_some() {
            let mut bytes = Vec::new();
            assert_eq!(token.view().read(&mut bytes), 1, "no token yet");
        }
        supervisor.join().unwrap();
    });
}

#[test]
fn loom_who_claims_a_slot_sees_what_its_last_holder_wrote() {
    loom::model(|| {
        let words = Words::new(1, 3);
        let (slot, held) = words.claimed(1);
        words.pool().bitmap.set(slot);
        let other = Arc::clone(&words);
        let holder = thread::spawn(move || {
            other.tokens[0].count_use(1);
            let _ = other.pool().release(slot, held, &NoBells);
        });
        if words.pool().try_claim(claim(2, 1)).is_some() {
            words.tokens[0].count_use(1);
            assert_eq!(words.tokens[0].uses(), 2, "a use was overwritten");
        }
        holder.join().unwrap();
    });
}

/// What wiping a token rests on.
#[test]
fn loom_who_finds_a_slot_free_sees_what_its_last_holder_wrote() {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    static FOUND_FREE: AtomicBool = AtomicBool::new(false);
    loom::model(|| {
        let words = Words::new(1, 3);
        let (slot, held) = words.claimed(1);
        words.slots[0].take_out_of_use();
        let other = Arc::clone(&words);
        let supervisor = thread::spawn(move || {
            if other.slots[0].word().holder == Holder::Free {
                FOUND_FREE.store(true, Relaxed);
                assert_eq!(other.tokens[0].uses(), 1, "it may still be in use");
            }
        });
        words.tokens[0].count_use(1);
        let _ = words.pool().release(slot, held, &NoBells);
        supervisor.join().unwrap();
    });
    assert!(
        FOUND_FREE.load(Relaxed),
        "the model reaches what it is about"
    );
}

/// A holder ends its lease with a token that must not be lent again, while a login for that very slot ends, and a third
/// process is after the slot.
#[test]
fn loom_a_spent_token_is_never_lent_and_its_slot_never_forgotten() {
    use std::sync::atomic::Ordering::{Acquire, Release};
    loom::model(|| {
        let words = Words::new(1, 3);
        words.slots[0].version.store(1, Release);
        let (slot, held) = words.claimed(1);
        words.pool().bitmap.set(slot);
        let other = Arc::clone(&words);
        let holder = thread::spawn(move || {
            let _ = other.pool().retire(slot, held, 1, &NoBells);
        });
        let other = Arc::clone(&words);
        let taker = thread::spawn(move || {
            if other.pool().try_claim(claim(2, 1)).is_some() {
                assert_eq!(other.slots[0].version.load(Acquire), 2, "spent");
            }
        });
        // What `Stock::install` does.
        words.slots[0].version.store(2, Release);
        let _ = words.slots[0].put_in_use();
        holder.join().unwrap();
        taker.join().unwrap();
        assert!(
            words.slots[0].word().usable || words.slots[0].is_spent(),
            "out of use, and nobody is told"
        );
    });
}

/// Whoever frees a dead holder's slot heeds what it had called spent.
#[test]
fn loom_a_token_called_spent_by_one_who_died_is_not_lent() {
    loom::model(|| {
        let words = Words::new(1, 3);
        words.slots[0]
            .version
            .store(1, std::sync::atomic::Ordering::Release);
        let (_, _) = words.claimed(1);
        words.slots[0].mark_spent(1);
        let other = Arc::clone(&words);
        let taker = thread::spawn(move || other.pool().try_claim(claim(2, 1)));
        let _ = words.pool().reclaim(SeatIndex::new(1), &NoBells);
        assert!(taker.join().unwrap().is_none(), "a spent token was lent");
        assert!(words.slots[0].is_spent());
    });
}

/// Two reports of one slot, while the supervisor takes the list: the last one is seen, by this look or by the next.
#[test]
fn loom_a_report_made_while_the_list_is_taken_is_not_lost() {
    use std::sync::atomic::Ordering::Relaxed;
    loom::model(|| {
        let words = Words::new(1, 1);
        let shared = Arc::new((AtomicU64::new(0), AtomicU64::new(0)));
        let (theirs, other) = (Arc::clone(&shared), Arc::clone(&words));
        let worker = thread::spawn(move || {
            for round in [1, 2] {
                theirs.1.store(round, Relaxed);
                Suspects::new(&theirs.0, &other.tokens).push(SlotIndex::new(0));
            }
        });
        let mut seen = 0;
        let mut look = || {
            if !Suspects::new(&shared.0, &words.tokens).take().is_empty() {
                seen = shared.1.load(Relaxed);
            }
        };
        look();
        worker.join().unwrap();
        look();
        assert_eq!(seen, 2, "the last report");
    });
}
