//! Threads at random on a pool in ordinary memory: what Miri and ThreadSanitizer can run, since there is neither a
//! mapping nor a descriptor in it. Under Miri, loads may also be as late as the orderings allow.
//!
//! A holder counts its uses with a load and a store of its own, no exchange: a second holder, or one that does not see
//! what the last one wrote, loses one of them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
};

use crate::shared::{Publication, TokenWords};

use super::{words::*, *};

const WORKERS: usize = 3;
const SLOTS: usize = 2;
/// What each worker does in a run, and runs.
const ACTS: u64 = if cfg!(miri) { 24 } else { 2000 };
const RUNS: u64 = if cfg!(miri) { 2 } else { 20 };

/// xorshift64*: the same choices for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
}

/// One worker: acts at random, then gives everything back and leaves.
struct Actor {
    words: Arc<Words>,
    worker: Worker,
    seat: usize,
    number: u32,
    waiting: Vec<Ticket>,
    held: Vec<(SlotIndex, Claim)>,
    uses: Arc<AtomicU64>,
}

impl Actor {
    fn act(&mut self, dice: &mut Dice) {
        let words = Arc::clone(&self.words);
        let pool = words.pool();
        match dice.below(6) {
            0 => {
                self.number += 1;
                let claim = claim(self.seat, self.number);
                self.held
                    .extend(pool.try_claim(claim).map(|slot| (slot, claim)));
            }
            1 if self.waiting.len() < 2 * WINDOW => self.waiting.push(self.worker.join(&pool)),
            2 if !self.waiting.is_empty() => {
                let which = dice.below(self.waiting.len() as u64) as usize;
                let ticket = self.waiting.swap_remove(which);
                self.worker.leave(&pool, ticket);
            }
            3 => pool.sweep(&NoBells),
            _ => self.release(),
        }
        self.collect();
        for (slot, _) in &self.held {
            words.tokens[slot.get()].count_use(1);
            self.uses.fetch_add(1, Relaxed);
        }
    }

    fn collect(&mut self) {
        self.worker.collect(&self.words.pool());
        self.held.append(&mut self.worker.leases);
        let served = std::mem::take(&mut self.worker.served);
        self.waiting.retain(|ticket| !served.contains(ticket));
    }

    fn release(&mut self) {
        if let Some((slot, claim)) = self.held.pop() {
            let released = self.words.pool().release(slot, claim, &NoBells);
            assert_eq!(released, Released::Idle, "it was ours");
        }
    }

    fn finish(mut self) {
        while let Some(ticket) = self.waiting.pop() {
            self.worker.leave(&self.words.pool(), ticket);
            self.collect();
        }
        while !self.held.is_empty() {
            self.release();
        }
    }
}

#[test]
fn workers_at_random_share_no_slot_and_lose_none() {
    for run in 1..=RUNS {
        let words = Words::new(SLOTS, WORKERS + 1);
        let uses = Arc::new(AtomicU64::new(0));
        thread::scope(|scope| {
            for seat in 1..=WORKERS {
                let actor = Actor {
                    words: Arc::clone(&words),
                    worker: Worker::new(seat),
                    seat,
                    number: 1_000_000,
                    waiting: Vec::new(),
                    held: Vec::new(),
                    uses: Arc::clone(&uses),
                };
                let mut dice = Dice(run * 1000 + seat as u64);
                scope.spawn(move || {
                    let mut actor = actor;
                    (0..ACTS).for_each(|_| actor.act(&mut dice));
                    actor.finish();
                });
            }
        });
        words.assert_nobody_forgotten();
        assert_eq!(words.free_slots(), SLOTS, "run {run}: a slot is lost");
        let counted: u64 = words.tokens.iter().map(TokenWords::uses).sum();
        assert_eq!(
            counted,
            uses.load(Relaxed),
            "run {run}: a slot had two holders"
        );
    }
}

#[test]
fn a_reader_beside_a_publisher_sees_whole_values() {
    let version = crate::sync::AtomicU64::new(0);
    let words: Vec<_> = (0..Publication::words_for(24))
        .map(|_| crate::sync::AtomicU64::new(0))
        .collect();
    let value = Publication::new(&version, &words);
    let last = u8::try_from(ACTS.min(200)).expect("below 256");
    thread::scope(|scope| {
        scope.spawn(|| {
            for byte in 1..=last {
                value.publish(&[byte; 24]).expect("it fits");
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                let mut bytes = Vec::new();
                while value.read(&mut bytes) < u64::from(last) {
                    assert!(bytes.iter().all(|byte| *byte == bytes[0]), "{bytes:?}");
                    thread::yield_now();
                }
            });
        }
    });
}
