//! Which of a group's backends gets the next request.

use std::{
    cmp::Ordering,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed}, // One thread writes and reads.
    },
};

use tpp::config::Balance;

use super::member::Member;

/// Longest round: weights that add up to more are scaled down to it.
const LONGEST_ROUND: u64 = 4096;

/// Deals out a group's requests.
#[derive(Debug)]
pub(crate) struct Balancer {
    how: Balance,
    /// Indexes of the members that take new clients, each as often as its weight says, evenly spread.
    round: Vec<usize>,
    next: Arc<AtomicUsize>,
}

impl Balancer {
    /// Deals out by `how` among `members`, and goes on at the turn that `next` counts.
    pub(crate) fn new(how: Balance, members: &[Member], next: Arc<AtomicUsize>) -> Self {
        let those = |is_backup: bool| -> Vec<_> {
            let members = members.iter().map(|member| &member.backend);
            members
                .map(|one| {
                    let takes_part = one.takes_new() && one.plan.backup == is_backup;
                    if takes_part { one.plan.weight } else { 0 }
                })
                .collect()
        };
        let mut round = round(&those(false));
        if round.is_empty() {
            round = self::round(&those(true));
        }
        Self { how, round, next }
    }

    /// Where the next balancer of the same group goes on.
    pub(crate) fn turn(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.next)
    }

    /// One of `members` for a client of `key`, for whom it `fits`. `None`: none does.
    pub(crate) fn pick<'m>(
        &self,
        members: &'m [Member],
        key: impl FnOnce() -> u64,
        fits: impl Fn(&Member) -> bool,
    ) -> Option<&'m Member> {
        let in_turn = |fits: &dyn Fn(&Member) -> bool| {
            let begin = self.next.fetch_add(1, Relaxed);
            let turns = (0..self.round.len()).map(|n| self.round[(begin + n) % self.round.len()]);
            turns
                .map(|index| &members[index])
                .find(|member| fits(member))
        };
        // The usual case costs no comparison.
        if self.round.len() == 1 {
            return Some(&members[self.round[0]]).filter(|member| fits(member));
        }
        match &self.how {
            Balance::RoundRobin => in_turn(&fits),
            Balance::LeastConnections => {
                // Begun at another one each time, so that equals take turns.
                let begin = self.next.fetch_add(1, Relaxed);
                let turns = (0..members.len()).map(|n| &members[(begin + n) % members.len()]);
                turns
                    .filter(|member| self.takes_part(members, member) && fits(member))
                    .min_by(|a, b| by_load(a, b))
            }
            Balance::RandomTwo => {
                let draw = || self.round.get(fastrand::usize(..self.round.len().max(1)));
                let drawn = [draw(), draw()].into_iter().flatten();
                drawn
                    .map(|index| &members[*index])
                    .filter(|member| fits(member))
                    .min_by(|a, b| by_load(a, b))
                    .or_else(|| in_turn(&fits))
            }
            Balance::Hash(_) => {
                let key = key();
                let parts = members
                    .iter()
                    .filter(|member| self.takes_part(members, member) && fits(member));
                parts.max_by(|a, b| a.score(key).total_cmp(&b.score(key)))
            }
        }
    }

    fn takes_part(&self, members: &[Member], member: &Member) -> bool {
        let first = self.round.first().map(|index| &members[*index].backend);
        // All of a round are backups, or none is.
        let is_backup = first.is_some_and(|first| first.plan.backup);
        member.backend.takes_new() && member.backend.plan.backup == is_backup
    }
}

/// Whose load is the smaller for its weight: a/x < b/y where a·y < b·x.
fn by_load(a: &Member, b: &Member) -> Ordering {
    let load = |one: &Member, other: &Member| {
        (one.backend.in_flight() as u64 + 1) * u64::from(other.backend.plan.weight)
    };
    load(a, b).cmp(&load(b, a))
}

/// A round in which each index comes as often as its weight says, its turns as far apart as can be: smooth weighted
/// round-robin, as nginx has it.
fn round(weights: &[u32]) -> Vec<usize> {
    let divisor = weights
        .iter()
        .fold(0, |sum, weight| gcd(sum, u64::from(*weight)));
    if divisor == 0 {
        return Vec::new();
    }
    let total: u64 = weights
        .iter()
        .map(|weight| u64::from(*weight) / divisor)
        .sum();
    let scaled = |weight: &u32| {
        let weight = u64::from(*weight) / divisor;
        if total <= LONGEST_ROUND || weight == 0 {
            weight
        } else {
            (weight * LONGEST_ROUND / total).max(1)
        }
    };
    let weights: Vec<i64> = weights
        .iter()
        .map(|weight| i64::try_from(scaled(weight)).unwrap_or(i64::MAX))
        .collect();
    let total: i64 = weights.iter().sum();
    let mut current = vec![0_i64; weights.len()];
    (0..total)
        .map(|_| {
            let mut best = 0;
            for (index, weight) in weights.iter().enumerate() {
                current[index] += weight;
                if current[index] > current[best] {
                    best = index;
                }
            }
            current[best] -= total;
            best
        })
        .collect()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_as_many_as_weights_say_and_evenly_spread() {
        assert_eq!(round(&[5, 1, 1]), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(round(&[100, 100]), [0, 1]);
        assert_eq!(round(&[0, 3]), [1]);
        assert!(round(&[0, 0]).is_empty() && round(&[]).is_empty());
    }

    #[test]
    fn a_round_is_never_too_long_and_leaves_nobody_out() {
        let weights: Vec<u32> = (0..1000).map(|n| 1 + n % 1000).collect();
        let round = round(&weights);
        assert!(
            round.len() as u64 <= LONGEST_ROUND + 1000,
            "{}",
            round.len()
        );
        for index in 0..weights.len() {
            assert!(round.contains(&index), "{index}");
        }
    }
}
