//! Signs of life, what they say, and the deadlines that follow from them.
use super::Core;
use super::pending::{Kind, json};
use crate::bucket::Bucket;
use crate::deadlines::{Deadlines, SECOND, answer_within, beat_every};
use crate::engine::{Compare, Transaction, Write};
use crate::event::{PoolSeen, Use};
use crate::keys::Place;
use crate::local::{Held, Stage, Way, Why};
use crate::order::{Note, Order};
use crate::records::{Beat, Going};

/// Somebody who has waited for so long is told of at once, ms.
const PATIENCE_MS: u64 = 50;
/// Signals at most: one each so long, and so many at once.
const SIGNAL_EVERY: u64 = SECOND / 4;
const SIGNALS: u64 = 8;
/// Over how long wishes are smoothed.
const SMOOTHED_OVER: u64 = 5 * SECOND;

/// What beats were sent, and what the next one is to say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Beating {
    n: u64,
    /// When the next one is due.
    pub(crate) next: u64,
    /// When the last one left that succeeded; 0: none did.
    pub(crate) beaten: u64,
    /// Under which generation.
    pub(crate) generation: u64,
    signals: Bucket,
    /// What the last one said of waiting and idle sessions.
    told_waiting: u32,
    told_usable: u32,
    pub(crate) waiting: u32,
    pub(crate) oldest_ms: u64,
    /// When that was seen.
    pub(crate) seen_at: u64,
    /// In use and waiting, smoothed, thousandths.
    wants: u64,
    /// Sessions that were idle at every look since the last beat.
    least_free: Option<u32>,
}

impl Core {
    /// Sends a sign of life when one is due, one at a time.
    pub(super) fn beat(&mut self, now: u64, orders: &mut Vec<Order>) {
        let Some(me) = self.me.clone() else { return };
        // Deadlines that grow must find nothing in use that is not ours any more.
        let lost = |held: &Held| matches!(held.stage, Stage::Leaving(Why::Lost, Way::Withdrawn));
        let anew = me.generation != self.beating.generation;
        if anew && (!self.store.listed || self.local.all().any(|(_, held)| lost(held))) {
            return;
        }
        let asked = self.is_asked(|kind| matches!(kind, Kind::Beat { .. } | Kind::Join { .. }));
        if self.end.is_some() || asked || !(now >= self.beating.next || self.is_worth_a_signal(now))
        {
            return;
        }
        let beat = self.sign_of_life(me.generation, now);
        self.beating.n = beat.n;
        self.beating.told_waiting = beat.waiting;
        self.beating.told_usable = self.usable();
        self.beating.least_free = None;
        self.beating.next = now + jittered(beat_every(self.takeover), beat.n);
        let name = self.settings.name.clone();
        let transaction = Transaction {
            compares: vec![Compare {
                key: self.keys.of(&Place::Generation(name.clone())),
                revision: me.revision,
            }],
            writes: vec![Write {
                key: self.keys.of(&Place::Beat(name)),
                value: Some(json(&beat)),
            }],
            ..Transaction::default()
        };
        // `now` is before it is sent: the deadlines count from here.
        self.ask(
            transaction,
            Kind::Beat {
                generation: me.generation,
                sent: now,
            },
            orders,
        );
    }

    pub(super) fn sign_of_life(&self, generation: u64, now: u64) -> Beat {
        let mine = self
            .view
            .totals()
            .remove(&self.settings.name)
            .unwrap_or_default();
        Beat {
            n: self.beating.n + 1,
            generation,
            state: if self.leaving {
                Going::Leaving
            } else {
                Going::Live
            },
            has: mine,
            in_use: self.local.used(Use::Busy),
            free: self
                .beating
                .least_free
                .unwrap_or(u32::MAX)
                .min(self.local.used(Use::Free)),
            waiting: self.beating.waiting,
            oldest_ms: self.oldest_ms(now),
            wants: u32::try_from(self.beating.wants.div_ceil(1000)).unwrap_or(u32::MAX),
            cfg: self.config.clone(),
            version: self.settings.version.clone(),
            formats: self.settings.formats,
        }
    }

    /// Sessions that can serve: with a token.
    fn usable(&self) -> u32 {
        self.local.used(Use::Busy) + self.local.used(Use::Free)
    }

    /// For how long the first of those who wait here has waited by now, ms.
    pub(super) fn oldest_ms(&self, now: u64) -> u64 {
        match self.beating.waiting {
            0 => 0,
            _ => self.beating.oldest_ms + now.saturating_sub(self.beating.seen_at) / 1_000_000,
        }
    }

    /// Others should know at once: somebody waits where nobody did, or still does although sessions came.
    fn is_worth_a_signal(&mut self, now: u64) -> bool {
        let beating = &self.beating;
        let waits = beating.waiting > 0 && self.oldest_ms(now) >= PATIENCE_MS;
        let news = beating.told_waiting == 0 || self.usable() > beating.told_usable;
        waits && news && self.beating.signals.take(now, SIGNAL_EVERY, SIGNALS)
    }

    pub(super) fn beaten(&mut self, generation: u64, sent: u64, now: u64, orders: &mut Vec<Order>) {
        let from = if self.rules.from_before_sending {
            sent
        } else {
            now
        };
        if from < self.beating.beaten {
            return;
        }
        self.beating.beaten = from;
        self.beating.generation = generation;
        self.remember(orders);
        orders.push(Order::Deadlines(Deadlines::after(
            from,
            self.takeover,
            self.home_takeover,
        )));
    }

    /// Nobody knows what became of a beat: the next goes at once if this one has used its time up, else soon.
    pub(super) fn beat_again(&mut self, sent: u64, now: u64) {
        let soon = if now >= sent + answer_within(self.takeover) {
            now
        } else {
            now + self.takeover / 30
        };
        self.beating.next = self.beating.next.min(soon);
    }

    /// Tells when floating sessions begin and cease to be lent.
    pub(super) fn mind_lapse(&mut self, now: u64, orders: &mut Vec<Order>) {
        let lending = now < self.deadlines().floating.lend_until;
        if lending == self.lending {
            return;
        }
        self.lending = lending;
        if !lending {
            self.sums.lapses += 1;
        }
        Self::note(orders, if lending { Note::Lending } else { Note::Lapsed });
    }

    pub(super) fn pool_seen(&mut self, seen: &PoolSeen, now: u64) {
        for (session, used) in &seen.sessions {
            if let Some(held) = self.local.get_mut(*session) {
                held.seen = *used;
            }
        }
        let free = self.local.used(Use::Free);
        let wish = u64::from(self.local.used(Use::Busy) + seen.waiting) * 1000;
        let beating = &mut self.beating;
        let elapsed = now.saturating_sub(beating.seen_at).min(SMOOTHED_OVER);
        // Towards the wish by the part of the time that went by; multiplied before it is divided, and never past it.
        let step = wish.abs_diff(beating.wants) * (elapsed / 1000) / (SMOOTHED_OVER / 1000);
        beating.wants = if wish > beating.wants {
            beating.wants + step
        } else {
            beating.wants - step
        };
        beating.waiting = seen.waiting;
        beating.oldest_ms = seen.oldest_ms;
        beating.seen_at = now;
        beating.least_free = Some(beating.least_free.map_or(free, |least| least.min(free)));
    }
}

/// A fifth more or less, so that hosts that began together do not go on together.
fn jittered(every: u64, n: u64) -> u64 {
    let spread = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58;
    every / 100 * (80 + spread * 40 / 63)
}
