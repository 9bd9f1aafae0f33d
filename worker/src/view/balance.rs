//! Which of a group's backends gets the next request.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed}, // One thread writes and reads.
};

use tpp::{config::Balance, lending::Desk};

use super::{backend::Backend, member::Member};

/// Longest round: weights that add up to more are scaled down to it.
const LONGEST_ROUND: u64 = 4096;

/// Deals out a group's requests.
#[derive(Debug)]
pub(crate) struct Balancer {
    how: Balance,
    /// Those that serve, then those that do only if none of them can.
    ranks: Vec<Rank>,
    turn: Turn,
}

/// Members that are chosen among.
#[derive(Debug)]
struct Rank {
    /// Their indexes.
    members: Vec<usize>,
    /// The same, each as often as its weight says, evenly spread.
    round: Vec<usize>,
    /// Any of them may have less than its weight for a while.
    starts_slowly: bool,
}

/// Counts whose turn it is.
#[derive(Debug, Clone)]
pub(crate) enum Turn {
    /// For this worker alone.
    Own(Arc<AtomicUsize>),
    /// Over all workers, in the group's row.
    Shared(Arc<Desk>, usize),
}

impl Turn {
    /// In `row`, if there is one; else on from the one `before`.
    pub(crate) fn new(row: Option<(&Arc<Desk>, usize)>, before: Option<&Self>) -> Self {
        match (row, before) {
            (Some((desk, row)), _) => Self::Shared(Arc::clone(desk), row),
            (None, Some(before @ Self::Own(_))) => before.clone(),
            (None, _) => Self::Own(Arc::default()),
        }
    }

    fn next(&self) -> usize {
        match self {
            Self::Own(next) => next.fetch_add(1, Relaxed),
            // Its width is that of a word.
            Self::Shared(desk, row) => desk.group(*row).map_or(0, |group| group.next() as usize),
        }
    }
}

impl Balancer {
    /// Deals out by `how` among `members`.
    pub(crate) fn new(how: Balance, members: &[Member], turn: Turn) -> Self {
        let ranks = [false, true].map(|is_backup| Rank::new(members, is_backup));
        Self {
            how,
            ranks: ranks.into_iter().flatten().collect(),
            turn,
        }
    }

    /// Where the next balancer of the same group goes on.
    pub(crate) fn turn(&self) -> &Turn {
        &self.turn
    }

    /// One of `members` for a client of `key`, for whom it `fits`. `None`: none does.
    pub(crate) fn pick<'m>(
        &self,
        members: &'m [Member],
        key: impl FnOnce() -> u64,
        fits: impl Fn(&Member) -> bool,
    ) -> Option<&'m Member> {
        // The usual case costs no comparison.
        if let [Rank { round, .. }] = &self.ranks[..]
            && let [only] = round[..]
        {
            return Some(&members[only]).filter(|member| fits(member));
        }
        let key = match self.how {
            Balance::Hash(_) => key(),
            _ => 0,
        };
        let mut ranks = self.ranks.iter();
        ranks.find_map(|rank| self.pick_of(rank, members, key, &fits))
    }

    fn pick_of<'m>(
        &self,
        rank: &Rank,
        members: &'m [Member],
        key: u64,
        fits: &dyn Fn(&Member) -> bool,
    ) -> Option<&'m Member> {
        match &self.how {
            Balance::RoundRobin => rank.in_turn(members, self.turn.next(), fits),
            Balance::LeastConnections => {
                // Begun at another one each time, so that equals take turns.
                let (begin, count) = (self.turn.next(), rank.members.len());
                let turns = (0..count).map(|n| rank.members[(begin % count + n) % count]);
                least(turns.map(|at| &members[at]).filter(|member| fits(member)))
            }
            Balance::RandomTwo => {
                let drawn = [(); 2].map(|()| rank.round[fastrand::usize(..rank.round.len())]);
                let drawn = drawn.into_iter().map(|at| &members[at]);
                least(drawn.filter(|member| fits(member)))
                    .or_else(|| rank.in_turn(members, self.turn.next(), fits))
            }
            Balance::Hash(_) => {
                let those = rank.members.iter().map(|at| &members[*at]);
                let scored = those
                    .filter(|member| fits(member))
                    .map(|member| (member, member.score(key, member.backend.share())));
                let best = scored.max_by(|(_, a), (_, b)| a.total_cmp(b));
                best.map(|(member, _)| member)
            }
        }
    }
}

impl Rank {
    /// Those of `members` that are backups, or that are none; `None`: there are none that take new clients.
    fn new(members: &[Member], is_backup: bool) -> Option<Self> {
        let takes_part =
            |one: &Backend| one.takes_new() && one.plan.backup == is_backup && one.plan.weight > 0;
        let backends = members.iter().map(|member| &*member.backend);
        let weights: Vec<u32> = backends
            .map(|one| if takes_part(one) { one.plan.weight } else { 0 })
            .collect();
        let indexes: Vec<_> = (0..weights.len()).filter(|at| weights[*at] > 0).collect();
        let slow = |at: &usize| !members[*at].backend.plan.slow_start.is_zero();
        (!indexes.is_empty()).then(|| Self {
            starts_slowly: indexes.iter().any(slow),
            round: round(&weights),
            members: indexes,
        })
    }

    /// The one whose turn is the `number`th. What falls to one that does not fit is spread over all others, and does not go to
    /// the next one each time.
    fn in_turn<'m>(
        &self,
        members: &'m [Member],
        number: usize,
        fits: &dyn Fn(&Member) -> bool,
    ) -> Option<&'m Member> {
        let (turn, count) = (number % self.round.len(), self.round.len());
        let at = |turn: usize| &members[self.round[turn % count]];
        let takes = |member: &&'m Member| {
            fits(member) && (!self.starts_slowly || member.backend.takes_turn())
        };
        if let Some(member) = Some(at(turn)).filter(takes) {
            return Some(member);
        }
        let first = turn + 1 + number / count % (count - 1).max(1);
        let others = || (0..count).map(|n| at(first + n));
        let found = others().find(takes);
        // Where all start slowly, somebody has to begin.
        found.or_else(|| self.starts_slowly.then(|| others().find(|one| fits(one)))?)
    }
}

/// The one whose load is the smallest for its weight, the first of equals.
fn least<'m>(members: impl Iterator<Item = &'m Member>) -> Option<&'m Member> {
    let weighed = members.map(|member| {
        let backend = &member.backend;
        let weight = u64::from(backend.plan.weight.max(1)) * backend.share();
        (member, backend.in_flight() + 1, weight)
    });
    // a/x < b/y where a·y < b·x.
    let best = weighed.min_by(|(_, a, x), (_, b, y)| (a * y).cmp(&(b * x)));
    best.map(|(member, ..)| member)
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
mod tests;
