//! Which backends are left out for what real requests met there (`[outlier]`): pure rules, which take the time.

use std::{collections::BTreeMap, time::Duration};

use tpp::{config::Outlier, limits::Ejection};

/// What is known of a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The groups it belongs to.
    pub tags: Vec<String>,
    /// It could serve: health checks and administrators have nothing against it.
    pub can_serve: bool,
    /// Requests that failed there, one after the other.
    pub failures: u64,
    /// Until when it is or was left out, milliseconds; 0: never.
    pub out_until: u64,
    /// How often it was, in a row.
    pub times: u64,
}

/// What real requests met at a backend, over all workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Met {
    /// That it is left out for it, if it is.
    pub out: Option<Ejection>,
    /// How often it was left out in all.
    pub ejections: u64,
}

/// What is to be done with a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// It is left out until then, milliseconds, the so manieth time in a row.
    Eject {
        /// Until when.
        until: u64,
        /// How often, with this one.
        times: u64,
    },
    /// It comes back before its time: too many of its group were out.
    Readmit,
}

/// A group as it is at some time.
#[derive(Debug, Default, Clone, Copy)]
struct Group {
    members: u64,
    out: u64,
    /// That could serve, and are not out.
    serving: u64,
}

impl Group {
    /// Whether no more of it are out than may be.
    fn is_kept(self, rules: &Outlier) -> bool {
        let is_within = self.out * 100 <= self.members * u64::from(rules.max_percent);
        self.out == 0 || (is_within && self.serving > 0)
    }
}

impl Standing {
    fn is_out(&self, now: u64) -> bool {
        self.out_until > now
    }

    /// How often it will have been out, and until when, if it is left out now. What is long ago does not count.
    fn next(&self, rules: &Outlier, now: u64) -> (u64, u64) {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (base, max) = (millis(rules.base), millis(rules.max));
        let is_forgotten = now.saturating_sub(self.out_until) > max.max(base);
        let times = if is_forgotten { 1 } else { self.times + 1 };
        (times, now + base.saturating_mul(times).min(max.max(base)))
    }
}

/// All groups of `backends`.
fn groups(backends: &[Standing], now: u64) -> BTreeMap<&str, Group> {
    let mut groups: BTreeMap<&str, Group> = BTreeMap::new();
    for one in backends {
        for tag in &one.tags {
            let group = groups.entry(tag).or_default();
            group.members += 1;
            group.out += u64::from(one.is_out(now));
            group.serving += u64::from(one.can_serve && !one.is_out(now));
        }
    }
    groups
}

/// What is to be done at `now`, by index, in this order. However it is cut off, no more are out than may be.
#[must_use]
pub fn moves(rules: &Outlier, backends: &[Standing], now: u64) -> Vec<(usize, Move)> {
    let mut moves = Vec::new();
    let mut groups = groups(backends, now);
    let change = |groups: &mut BTreeMap<&str, Group>, one: &Standing, is_out: bool| {
        for tag in &one.tags {
            if let Some(group) = groups.get_mut(tag.as_str()) {
                let serves = u64::from(one.can_serve);
                if is_out {
                    group.out += 1;
                    group.serving -= serves;
                } else {
                    group.out -= 1;
                    group.serving += serves;
                }
            }
        }
    };
    let keeps = |groups: &BTreeMap<&str, Group>, one: &Standing| {
        let mut own = one.tags.iter().filter_map(|tag| groups.get(tag.as_str()));
        own.all(|group| group.is_kept(rules))
    };
    // Those first whose time is over soonest.
    let mut out: Vec<_> = indexes(backends, |one| one.is_out(now)).collect();
    out.sort_by_key(|at| backends[*at].out_until);
    for at in out {
        if !rules.enabled || !keeps(&groups, &backends[at]) {
            change(&mut groups, &backends[at], false);
            moves.push((at, Move::Readmit));
        }
    }
    // Those first that failed most.
    let is_bad = |one: &Standing| {
        rules.enabled
            && one.can_serve
            && !one.is_out(now)
            && one.failures >= u64::from(rules.consecutive)
    };
    let mut bad: Vec<_> = indexes(backends, is_bad).collect();
    bad.sort_by_key(|at| std::cmp::Reverse(backends[*at].failures));
    for at in bad {
        let one = &backends[at];
        change(&mut groups, one, true);
        if keeps(&groups, one) {
            let (times, until) = one.next(rules, now);
            moves.push((at, Move::Eject { until, times }));
        } else {
            change(&mut groups, one, false);
        }
    }
    moves
}

fn indexes<'b>(
    backends: &'b [Standing],
    wanted: impl Fn(&Standing) -> bool + 'b,
) -> impl Iterator<Item = usize> + 'b {
    let those = backends.iter().enumerate();
    those.filter(move |(_, one)| wanted(one)).map(|(at, _)| at)
}

#[cfg(test)]
mod tests;
