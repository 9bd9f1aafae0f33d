//! How many of the last seconds' attempts failed: a few buckets, each with the number of its time.
//!
//! A bucket of another time is made fresh by whoever counts first, in the exchange by which it counts. So nothing has to turn
//! the window on, and each attempt counts once; the oldest bucket leaves as a whole.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use crate::{ids::mask, sync::AtomicU64};

const COUNT_BITS: u32 = 24;
const STAMP_SHIFT: u32 = 2 * COUNT_BITS;
const STAMP_BITS: u32 = 16;
/// A stamp ahead by no more than this is of a later time; any other one is of an earlier time, or of none.
const LATER: u64 = 64;

/// One bucket's word: stamp 16, succeeded 24, failed 24.
pub type Bucket = AtomicU64;

/// Attempts in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shares {
    /// That went well.
    pub succeeded: u64,
    /// That failed.
    pub failed: u64,
}

impl Shares {
    /// Whether at least `percent` of no fewer than `least` attempts failed.
    #[must_use]
    pub fn is_bad(self, percent: u64, least: u64) -> bool {
        let all = self.succeeded + self.failed;
        all >= least.max(1) && self.failed * 100 >= all * percent
    }
}

/// A view of a window's buckets. Zeroed memory is an empty one.
#[derive(Debug, Clone, Copy)]
pub struct FailureWindow<'a> {
    buckets: &'a [Bucket],
    /// Milliseconds of one bucket.
    step: u64,
}

impl<'a> FailureWindow<'a> {
    /// Over `buckets`, at least one, that span `time` together.
    #[must_use]
    pub fn new(buckets: &'a [Bucket], time: Duration) -> Self {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            buckets,
            step: millis.div_ceil(buckets.len().max(1) as u64).max(1),
        }
    }

    /// Counts an attempt at `now`, milliseconds of a clock that all processes share.
    pub fn count(self, has_failed: bool, now: u64) {
        let number = now / self.step;
        let Some(bucket) = self.bucket(number) else {
            return;
        };
        let one = if has_failed { 1 } else { 1 << COUNT_BITS };
        let full = if has_failed {
            mask(COUNT_BITS)
        } else {
            mask(COUNT_BITS) << COUNT_BITS
        };
        // Relaxed: each word stands for itself.
        let _ = bucket.fetch_update(Relaxed, Relaxed, |word| {
            let at = word >> STAMP_SHIFT;
            if at != stamp(number) {
                // Whoever was stopped after it read the clock wipes nothing out that was counted meanwhile.
                return (!is_later(at, number)).then_some(stamp(number) << STAMP_SHIFT | one);
            }
            (word & full != full).then(|| word + one)
        });
    }

    /// The attempts of the time before `now`.
    #[must_use]
    pub fn shares(self, now: u64) -> Shares {
        let last = now / self.step;
        let mut shares = Shares::default();
        for number in (0..self.buckets.len() as u64).filter_map(|back| last.checked_sub(back)) {
            // Relaxed: see `count`.
            let word = self.bucket(number).map_or(0, |bucket| bucket.load(Relaxed));
            if word >> STAMP_SHIFT == stamp(number) {
                shares.failed += word & mask(COUNT_BITS);
                shares.succeeded += word >> COUNT_BITS & mask(COUNT_BITS);
            }
        }
        shares
    }

    fn bucket(self, number: u64) -> Option<&'a Bucket> {
        let at = number.checked_rem(self.buckets.len() as u64)?;
        self.buckets.get(at as usize)
    }
}

/// What tells a bucket's times apart: comes again after 65,535 of them, and is never that of an empty word.
fn stamp(number: u64) -> u64 {
    number % mask(STAMP_BITS) + 1
}

/// Whether a bucket's stamp is that of a later time than the one with this number.
fn is_later(at: u64, number: u64) -> bool {
    let times = mask(STAMP_BITS);
    // An empty word has no time.
    at != 0 && (1..=LATER).contains(&((at + times - stamp(number)) % times))
}
