//! Whether to ask a server at all: closed, open after failures, half open while a few try.
//!
//! ```text
//! word  63..62  61..48     47..42   41..36      35..28       27..0
//!       state   failures   probes   successes   generation   time, in tenths of a second
//! ```
//! The word carries all that a move needs, so each is one exchange, and a result counts only under the generation it was begun
//! in: what was sent before the breaker opened says nothing of the time after. Closed and in health, it is only read.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use crate::{ids::mask, sync::AtomicU64};

const STATE_SHIFT: u32 = 62;
const FAILURES_SHIFT: u32 = 48;
const FAILURES_BITS: u32 = 14;
const PROBES_SHIFT: u32 = 42;
const SUCCESSES_SHIFT: u32 = 36;
const COUNT_BITS: u32 = 6;
const GENERATION_SHIFT: u32 = 28;
const GENERATION_BITS: u32 = 8;
const TIME_BITS: u32 = 28;
/// Of the word's time.
const STEP_MS: u64 = 100;
/// How far a word's time may lie ahead of somebody's clock, in steps: who is stopped after reading it comes with an old one. A day.
const MOST_BEHIND: u64 = 24 * 3600 * 1000 / STEP_MS;

/// When a [`Breaker`] opens, and how it closes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerRules {
    /// Failures one after the other that open it, 1 to 16,383.
    pub failure_threshold: u16,
    /// How long it stays open; also after which a probe without a result is given out again.
    pub recovery: Duration,
    /// Probes under way at most, 1 to 63, and successes that close it.
    pub half_open: u8,
}

/// When a breaker opens whose failures need not be in a row ([`super::FailureWindow`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShareRules {
    /// Of the attempts, failed.
    pub percent: u64,
    /// Attempts that there must be at least.
    pub least: u64,
    /// In how long.
    pub time: Duration,
}

/// All that makes a breaker open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// Failures in a row, and what comes then.
    pub rules: BreakerRules,
    /// Too large a part of the attempts; `None`: does not.
    pub shares: Option<ShareRules>,
}

/// What a breaker says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// All are let through.
    Closed,
    /// Nobody is.
    Open,
    /// A few are, to see.
    HalfOpen,
}

/// Leave to ask the server. What comes of it is to be told by [`Breaker::succeeded`], [`Breaker::failed`] or
/// [`Breaker::ignored`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Pass {
    generation: u8,
    is_probe: bool,
}

impl Pass {
    /// Whether it is one of the few that an open breaker sends out, to see.
    #[must_use]
    pub fn is_probe(self) -> bool {
        self.is_probe
    }

    pub(super) fn generation(self) -> u8 {
        self.generation
    }
}

/// Nobody is let through now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tripped {
    /// When it is worth trying again.
    pub after: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Word {
    state: BreakerState,
    failures: u64,
    probes: u64,
    successes: u64,
    generation: u8,
    /// Since when the state is what it is, and in the half-open one, when the last probe went out.
    time: u64,
}

impl Word {
    fn unpack(word: u64) -> Self {
        let field = |shift: u32, bits: u32| word >> shift & mask(bits);
        Self {
            state: match word >> STATE_SHIFT {
                1 => BreakerState::Open,
                2 => BreakerState::HalfOpen,
                // A value that nothing writes stands in nobody's way.
                _ => BreakerState::Closed,
            },
            failures: field(FAILURES_SHIFT, FAILURES_BITS),
            probes: field(PROBES_SHIFT, COUNT_BITS),
            successes: field(SUCCESSES_SHIFT, COUNT_BITS),
            generation: (field(GENERATION_SHIFT, GENERATION_BITS) & 0xff) as u8,
            time: field(0, TIME_BITS),
        }
    }

    fn pack(self) -> u64 {
        let state = match self.state {
            BreakerState::Closed => 0,
            BreakerState::Open => 1,
            BreakerState::HalfOpen => 2,
        };
        let count = |count: u64| count.min(mask(COUNT_BITS));
        state << STATE_SHIFT
            | self.failures.min(mask(FAILURES_BITS)) << FAILURES_SHIFT
            | count(self.probes) << PROBES_SHIFT
            | count(self.successes) << SUCCESSES_SHIFT
            | u64::from(self.generation) << GENERATION_SHIFT
            | self.time & mask(TIME_BITS)
    }

    /// Another state, from `now` on; what was begun before it says nothing any more.
    fn turned(self, state: BreakerState, now: u64) -> Self {
        Self {
            state,
            failures: 0,
            probes: 0,
            successes: 0,
            generation: self.generation.wrapping_add(1),
            time: now,
        }
    }

    /// Whether somebody is let through at `now`, in steps.
    fn leave(self, rules: BreakerRules, now: u64) -> Leave {
        let recovery = steps(rules.recovery);
        let most = u64::from(rules.half_open).clamp(1, mask(COUNT_BITS));
        match self.state {
            BreakerState::Closed => Leave::Free(self.generation),
            BreakerState::Open if self.age(now) >= recovery => {
                Leave::Probe(self.turned(BreakerState::HalfOpen, now))
            }
            // Probes that had no result for so long are lost, their makers dead: others are given out, and what still
            // comes of those counts no more.
            BreakerState::HalfOpen if self.probes >= most && self.age(now) >= recovery => {
                Leave::Probe(Self {
                    successes: self.successes,
                    ..self.turned(BreakerState::HalfOpen, now)
                })
            }
            BreakerState::HalfOpen if self.probes < most => Leave::Probe(Self {
                time: self.time + self.age(now),
                ..self
            }),
            BreakerState::Open | BreakerState::HalfOpen => {
                let left = recovery.saturating_sub(self.age(now)).max(1);
                Leave::None(Duration::from_millis(left * STEP_MS))
            }
        }
    }

    /// Steps since its time, modulo 310 days; none if `now` was read before that.
    fn age(self, now: u64) -> u64 {
        let age = now.wrapping_sub(self.time) & mask(TIME_BITS);
        if age > mask(TIME_BITS) - MOST_BEHIND {
            0
        } else {
            age
        }
    }
}

/// What a word says to one who asks.
enum Leave {
    /// All may, under this generation.
    Free(u8),
    /// One more may, to see: the word before that one is counted.
    Probe(Word),
    /// Nobody may, for so long.
    None(Duration),
}

/// What is to be seen of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerLook {
    /// What it says.
    pub state: BreakerState,
    /// Failures one after the other, as long as it is closed.
    pub failures: u64,
    /// When somebody is let through again; zero: now.
    pub after: Duration,
}

/// A view of one breaker's word. Zeroed memory is a closed one.
#[derive(Debug, Clone, Copy)]
pub struct Breaker<'a>(&'a AtomicU64);

impl<'a> Breaker<'a> {
    /// Over `word`.
    #[must_use]
    pub fn new(word: &'a AtomicU64) -> Self {
        Self(word)
    }

    /// What it says now.
    #[must_use]
    pub fn state(self) -> BreakerState {
        // Relaxed, here and below: all there is to know stands in the one word.
        Word::unpack(self.0.load(Relaxed)).state
    }

    /// What there is to see of it at `now` (as for [`Self::pass`]). Whoever looks gets no leave by it.
    #[must_use]
    pub fn look(self, rules: BreakerRules, now: u64) -> BreakerLook {
        let word = Word::unpack(self.0.load(Relaxed));
        BreakerLook {
            state: word.state,
            failures: word.failures,
            after: match word.leave(rules, now / STEP_MS) {
                Leave::Free(_) | Leave::Probe(_) => Duration::ZERO,
                Leave::None(after) => after,
            },
        }
    }

    /// Asks for leave at `now` (milliseconds of a clock that all processes share). Closed, it costs one load.
    ///
    /// # Errors
    /// If it is open, or all its probes are out.
    pub fn pass(self, rules: BreakerRules, now: u64) -> Result<Pass, Tripped> {
        let now = now / STEP_MS;
        let mut bits = self.0.load(Relaxed);
        loop {
            let probing = match Word::unpack(bits).leave(rules, now) {
                Leave::Free(generation) => {
                    return Ok(Pass {
                        generation,
                        is_probe: false,
                    });
                }
                Leave::Probe(word) => word,
                Leave::None(after) => return Err(Tripped { after }),
            };
            let probing = Word {
                probes: probing.probes + 1,
                ..probing
            };
            match self
                .0
                .compare_exchange(bits, probing.pack(), Relaxed, Relaxed)
            {
                Ok(_) => {
                    return Ok(Pass {
                        generation: probing.generation,
                        is_probe: true,
                    });
                }
                Err(found) => bits = found,
            }
        }
    }

    /// The server did as it should. Closed and without failures, it costs one load.
    pub fn succeeded(self, rules: BreakerRules, pass: Pass, now: u64) {
        let now = now / STEP_MS;
        let enough = u64::from(rules.half_open).clamp(1, mask(COUNT_BITS));
        self.change(pass, |word| match word.state {
            BreakerState::Closed => (word.failures > 0).then_some(Word {
                failures: 0,
                ..word
            }),
            BreakerState::HalfOpen if word.successes + 1 >= enough => {
                Some(word.turned(BreakerState::Closed, now))
            }
            BreakerState::HalfOpen => Some(Word {
                probes: word.probes.saturating_sub(1),
                successes: word.successes + 1,
                ..word
            }),
            BreakerState::Open => None,
        });
    }

    /// The server failed. True if that opened the breaker.
    pub fn failed(self, rules: BreakerRules, pass: Pass, now: u64) -> bool {
        let now = now / STEP_MS;
        let threshold = u64::from(rules.failure_threshold).clamp(1, mask(FAILURES_BITS));
        let mut has_opened = false;
        let changed = self.change(pass, |word| {
            let is_enough = match word.state {
                BreakerState::Closed => word.failures + 1 >= threshold,
                BreakerState::HalfOpen => true,
                BreakerState::Open => return None,
            };
            has_opened = is_enough;
            Some(if is_enough {
                word.turned(BreakerState::Open, now)
            } else {
                Word {
                    failures: word.failures + 1,
                    ..word
                }
            })
        });
        changed && has_opened
    }

    /// Nothing was learned: the client left, or another limit refused. A probe is given back.
    pub fn ignored(self, pass: Pass) {
        if pass.is_probe {
            self.change(pass, |word| {
                (word.state == BreakerState::HalfOpen).then_some(Word {
                    probes: word.probes.saturating_sub(1),
                    ..word
                })
            });
        }
    }

    /// `count` probes of `generation` are lost, their maker dead: others are given out.
    pub(super) fn lost(self, generation: u8, count: u64) {
        let pass = Pass {
            generation,
            is_probe: true,
        };
        self.change(pass, |word| {
            (word.state == BreakerState::HalfOpen).then_some(Word {
                probes: word.probes.saturating_sub(count),
                ..word
            })
        });
    }

    /// Opens it at `now`, since too large a part of the attempts failed ([`super::FailureWindow`]). True if it was closed.
    pub fn trip(self, pass: Pass, now: u64) -> bool {
        self.change(pass, |word| {
            (word.state == BreakerState::Closed)
                .then_some(word.turned(BreakerState::Open, now / STEP_MS))
        })
    }

    /// Closes it, whatever it says.
    pub fn reset(self, now: u64) {
        let _ = self.0.fetch_update(Relaxed, Relaxed, |bits| {
            Some(
                Word::unpack(bits)
                    .turned(BreakerState::Closed, now / STEP_MS)
                    .pack(),
            )
        });
    }

    /// Changes the word, if what `pass` was given for still goes on.
    fn change(self, pass: Pass, mut change: impl FnMut(Word) -> Option<Word>) -> bool {
        let changed = self.0.fetch_update(Relaxed, Relaxed, |bits| {
            let word = Word::unpack(bits);
            let is_current = word.generation == pass.generation;
            is_current.then(|| change(word)).flatten().map(Word::pack)
        });
        changed.is_ok()
    }
}

/// In the word's steps, at least one.
fn steps(time: Duration) -> u64 {
    u64::try_from(time.as_millis().div_ceil(u128::from(STEP_MS)))
        .unwrap_or(u64::MAX)
        .clamp(1, mask(TIME_BITS) / 2)
}
