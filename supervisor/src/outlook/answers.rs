//! How long backends have taken to answer lately: what the histograms counted since a look of half a minute to a minute ago.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tpp::{control::AnswerTimes, shared::LatencyCounts};

use super::Outlook;

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(30);

/// What was counted of each backend until then.
type Look = (Instant, BTreeMap<String, LatencyCounts>);

/// The last looks, the latest last.
#[derive(Debug, Default)]
pub(crate) struct Answers(Mutex<VecDeque<Look>>);

impl Answers {
    /// What `counts` say at `now` over the time since the look before the last, as far as there was one: else since they are counted,
    /// which `age` ago they began to be.
    pub(super) fn lately(
        &self,
        now: Instant,
        counts: &BTreeMap<String, LatencyCounts>,
        age: Duration,
    ) -> BTreeMap<String, AnswerTimes> {
        let looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = looks.front();
        let since = before.map_or(age, |(at, _)| now.saturating_duration_since(*at));
        let none = LatencyCounts::default();
        let times = counts.iter().filter_map(|(id, now)| {
            let then = before.and_then(|(_, counts)| counts.get(id));
            let new = beyond(now, then.unwrap_or(&none));
            let times = AnswerTimes::of(&new, since.as_secs_f64())?;
            Some((id.clone(), times))
        });
        times.collect()
    }

    fn note(&self, now: Instant, counts: BTreeMap<String, LatencyCounts>) {
        let mut looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        looks.push_back((now, counts));
        while looks.len() > 2 {
            looks.pop_front();
        }
    }
}

/// What came since `then`. Counts that have fallen were begun anew, for a host or backend of that name that is another.
fn beyond(now: &LatencyCounts, then: &LatencyCounts) -> LatencyCounts {
    let mut new = *now;
    let pairs = new.buckets.iter_mut().zip(then.buckets);
    let has_fallen = now.sum_micros < then.sum_micros;
    if !has_fallen {
        pairs.for_each(|(now, then)| *now = now.saturating_sub(then));
        new.sum_micros -= then.sum_micros;
    }
    new
}

/// Looks every so often, for as long as the supervisor runs.
pub(crate) async fn watch(outlook: Arc<Outlook>) {
    loop {
        let counts = outlook.answer_counts();
        outlook.answers.note(Instant::now(), counts);
        tokio::time::sleep(EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(count: u64, sum_micros: u64) -> BTreeMap<String, LatencyCounts> {
        let mut counts = LatencyCounts {
            sum_micros,
            ..LatencyCounts::default()
        };
        counts.buckets[9] = count;
        BTreeMap::from([("one".to_owned(), counts)])
    }

    #[test]
    fn only_what_came_in_the_last_minute_counts() {
        let (answers, begin) = (Answers::default(), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        let lately = |seconds, counts| {
            let times = answers.lately(at(seconds), &counts, Duration::from_secs(seconds));
            let times = times.get("one").copied();
            times.map(|times| (times.seconds, times.count, times.mean_ms))
        };
        assert_eq!(lately(5, counts(2, 100_000)), Some((5.0, 2, 50.0)));
        for look in 0..4 {
            answers.note(at(30 * look), counts(10 * look, 1_000_000 * look));
        }
        let now = counts(32, 3_200_000);
        assert_eq!(lately(100, now), Some((40.0, 12, 100.0)));
        assert_eq!(lately(110, counts(20, 2_000_000)), None, "none is new");
    }

    #[test]
    fn counts_that_began_anew_are_all_new() {
        let (answers, begin) = (Answers::default(), Instant::now());
        answers.note(begin, counts(1000, 1_000_000));
        let now = begin + Duration::from_secs(10);
        let times = answers.lately(now, &counts(2, 1000), Duration::ZERO);
        assert_eq!(times["one"].count, 2);
    }
}
