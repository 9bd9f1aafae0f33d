//! A crowd over few slots: whose connection, of those that hold a slot and ask nothing of it, gives way to those who wait.
//!
//! Each worker ranks the idle holders of all workers by the same words and tells its own part of them to go. So the longest idle
//! go first over all workers, and no more of them than wait, without a word between the workers. Two looks that differ for an
//! instant cost one idle connection too many or too late, never a lease.

use std::time::Duration;

use crate::{
    clock::monotonic_millis,
    ids::{SeatIndex, SlotIndex},
    pool::Holder,
    roster::SeatState,
};

use super::desk::Desk;

/// What this worker has to do with the crowd now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use]
pub struct GivingWay {
    /// Slots of this worker's whose idle connections are to be closed.
    pub slots: Vec<SlotIndex>,
    /// Time until the next of its idle connections may be told so; `None`: nobody waits, or this worker has none.
    pub next: Option<Duration>,
}

/// A slot whose holder asks nothing of it. Ordered as they give way: those of workers that drain first, then the longest idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Idle {
    stays: bool,
    since: u64,
    slot: usize,
    seat: usize,
}

impl Desk {
    /// Whether a slot is free at this moment, as far as one look tells.
    #[must_use]
    pub fn has_free(&self) -> bool {
        self.pool().bitmap.any()
    }

    /// Whose connections give way now, if those idle for `limit` are to. As long as nobody waits it costs a look at a word or two.
    pub fn who_gives_way(&self, limit: Duration) -> GivingWay {
        let pool = self.pool();
        let may_be_given = |seat: SeatIndex| pool.seats[seat.get()].word().takes_offers();
        let waiting: u64 = pool
            .line()
            .filter(|seat| may_be_given(*seat))
            .map(|seat| pool.lines[seat.get()].waiting())
            .sum();
        if waiting == 0 {
            return GivingWay::default();
        }
        let mut idle = Vec::new();
        let mut on_their_way = 0;
        for (index, (slot, token)) in pool.slots.iter().zip(self.tokens()).enumerate() {
            let word = slot.word();
            match word.holder {
                _ if !word.may_be_lent() => {}
                Holder::Free | Holder::Offered { .. } => on_their_way += 1,
                // A stopped worker closes nothing: whoever comes after it in the order takes its turn.
                Holder::Leased { seat, .. } => {
                    let holder = pool.seats.get(seat.get()).map(|seat| seat.word());
                    let holder = holder.filter(|word| word.takes_offers());
                    idle.extend(holder.zip(token.idle_since()).map(|(word, since)| Idle {
                        stays: word.state != SeatState::Draining,
                        since,
                        slot: index,
                        seat: seat.get(),
                    }));
                }
            }
        }
        let to_give = usize::try_from(waiting.saturating_sub(on_their_way)).unwrap_or(usize::MAX);
        give_way(idle, self.seat.get(), to_give, limit)
    }
}

/// Of `idle`, those at `seat` that are among the first `to_give` that are idle for `limit`.
fn give_way(mut idle: Vec<Idle>, seat: usize, to_give: usize, limit: Duration) -> GivingWay {
    let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    let now = monotonic_millis();
    let due = |one: &Idle| one.since.saturating_add(limit);
    let next = idle.iter().filter(|one| one.seat == seat).map(due);
    let next = next
        .filter(|&due| due > now)
        .min()
        .map(|due| Duration::from_millis(due - now));
    idle.retain(|one| due(one) <= now);
    idle.sort_unstable();
    let first = idle.into_iter().take(to_give);
    GivingWay {
        slots: first
            .filter(|one| one.seat == seat)
            .map(|one| SlotIndex::new(one.slot))
            .collect(),
        next,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(250);

    fn idle(slot: usize, seat: usize, for_ms: u64) -> Idle {
        Idle {
            stays: true,
            since: monotonic_millis() - for_ms,
            slot,
            seat,
        }
    }

    fn slots(found: &GivingWay) -> Vec<usize> {
        found.slots.iter().map(|slot| slot.get()).collect()
    }

    #[test]
    fn the_longest_idle_over_all_workers_give_way_and_no_more_than_wait() {
        let all = || {
            vec![
                idle(0, 0, 300),
                idle(1, 1, 900),
                idle(2, 0, 600),
                idle(3, 1, 400),
            ]
        };
        let told = |seat, to_give| slots(&give_way(all(), seat, to_give, LIMIT));
        assert_eq!(told(0, 0), [0_usize; 0]);
        assert_eq!((told(0, 1), told(1, 1)), (vec![], vec![1]));
        assert_eq!((told(0, 2), told(1, 2)), (vec![2], vec![1]));
        assert_eq!((told(0, 9), told(1, 9)), (vec![2, 0], vec![1, 3]));
    }

    #[test]
    fn who_is_not_idle_long_enough_is_told_when_its_time_comes() {
        let found = give_way(vec![idle(0, 0, 50), idle(1, 0, 100)], 0, 2, LIMIT);
        assert_eq!(slots(&found), [0_usize; 0]);
        let next = found.next.expect("one of them will be due");
        assert!(next <= Duration::from_millis(150), "{next:?}");
        assert!(give_way(vec![idle(0, 0, 50)], 1, 2, LIMIT).next.is_none());
    }

    #[test]
    fn workers_that_drain_give_way_first() {
        let draining = Idle {
            stays: false,
            ..idle(5, 1, 300)
        };
        let found = give_way(vec![idle(0, 0, 900), draining], 1, 1, LIMIT);
        assert_eq!(slots(&found), [5]);
    }
}
