//! The schedule against servers of every temper, in simulated time.

use std::collections::BTreeSet;

use super::*;

/// A login server: slot and time of a login in, how long it takes and how it ends out.
type Server<'a> = &'a dyn Fn(u32, Duration) -> (Duration, Option<Failure>);

struct Run {
    schedule: Schedule,
    start: Instant,
    now: Instant,
    under_way: Vec<(Instant, Login, Option<Failure>)>,
    /// When each login was begun, since the start.
    begun: Vec<(u32, Duration)>,
    /// When each token came in, since the start.
    tokens: Vec<(u32, Duration)>,
    /// The upstream turns each token down at once.
    sour: bool,
}

impl Run {
    fn new(rules: Rules, users: &[(&str, u32)]) -> Self {
        let mut schedule = Schedule::new(rules, seeded(1));
        let start = Instant::now();
        let names = users
            .iter()
            .flat_map(|(user, slots)| (0..*slots).map(move |_| user));
        names
            .zip(0..)
            .for_each(|(user, slot)| schedule.insert(slot, user, start));
        Self {
            schedule,
            start,
            now: start,
            under_way: Vec::new(),
            begun: Vec::new(),
            tokens: Vec::new(),
            sour: false,
        }
    }

    /// Runs until `end` after the start, and returns how many looks that took.
    fn until(&mut self, end: Duration, server: Server<'_>) -> usize {
        let mut looks = 0;
        while self.now < self.start + end {
            looks += 1;
            let plan = self.schedule.plan(self.now);
            for login in plan.start {
                let elapsed = self.now - self.start;
                self.begun.push((login.slot, elapsed));
                let (latency, failure) = server(login.slot, elapsed);
                self.under_way.push((self.now + latency, login, failure));
            }
            let ending = self.under_way.iter().map(|(at, ..)| *at).min();
            self.now = ending
                .map_or(plan.next_look, |at| at.min(plan.next_look))
                .min(self.start + end);
            self.finish();
        }
        looks
    }

    fn finish(&mut self) {
        let now = self.now;
        for (_, login, failure) in self.under_way.extract_if(.., |(at, ..)| *at <= now) {
            let slot = login.slot;
            match failure {
                Some(failure) => assert!(self.schedule.failed(login, failure, now)),
                None => {
                    self.tokens.push((slot, now - self.start));
                    let version = self.tokens.len() as u64;
                    assert!(self.schedule.succeeded(login, version, None, now));
                    if self.sour {
                        self.schedule.suspect(slot, used(version), now);
                    }
                }
            }
        }
    }

    fn filled(&self) -> usize {
        self.tokens
            .iter()
            .map(|(slot, _)| *slot)
            .collect::<BTreeSet<_>>()
            .len()
    }
}

const LATENCY: Duration = Duration::from_millis(100);

#[test]
fn two_hundred_slots_are_in_within_two_seconds_and_the_first_after_one_login() {
    for users in [
        vec![("ann", 200)],
        vec![("ann", 100), ("bob", 50), ("eve", 50)],
    ] {
        let mut run = Run::new(rules(), &users);
        run.until(2 * SECOND, &|_, _| (LATENCY, None));
        assert_eq!(run.filled(), 200);
        assert_eq!(run.tokens[0].1, LATENCY);
    }
}

#[test]
fn a_refused_user_is_tried_once_every_five_minutes_however_many_slots_it_has() {
    let mut run = Run::new(rules(), &[("ann", 50), ("bob", 50)]);
    let looks = run.until(3600 * SECOND, &|slot, _| {
        (LATENCY, (slot < 50).then_some(Failure::Refused))
    });
    let tries = run.begun.iter().filter(|(slot, _)| *slot < 50).count();
    assert!((10..=12).contains(&tries), "{tries}");
    assert!(looks < 500, "{looks}");
}

#[test]
fn a_server_that_comes_up_late_finds_all_slots_in_soon_and_was_not_hammered() {
    let down = 120 * SECOND;
    let server = |_, elapsed| {
        if elapsed < down {
            (Duration::from_millis(1), Some(Failure::Trouble))
        } else {
            (LATENCY, None)
        }
    };
    for users in [
        vec![("ann", 200)],
        vec![("a", 40), ("b", 40), ("c", 40), ("d", 40), ("e", 40)],
    ] {
        let mut run = Run::new(rules(), &users);
        run.until(down, &server);
        let early = run.begun.len();
        assert!(early < 500, "{early} logins in two minutes");
        run.until(down + 10 * SECOND, &server);
        assert_eq!(run.filled(), 200);
    }
}

#[test]
fn tokens_lost_in_an_outage_are_back_soon_after_it() {
    let server = |_, elapsed: Duration| {
        let down = (10..70).contains(&elapsed.as_secs());
        (LATENCY, down.then_some(Failure::Trouble))
    };
    let mut run = Run::new(rules(), &[("ann", 200)]);
    run.until(10 * SECOND, &server);
    for version in 1..=200 {
        let slot = run.tokens[version - 1].0;
        assert_eq!(
            run.schedule.suspect(slot, used(version as u64), run.now),
            Suspicion::Due
        );
    }
    let before = run.begun.len();
    run.until(70 * SECOND, &server);
    let tries = run.begun.len() - before;
    assert!(
        tries < 200 * 12,
        "{tries} logins in a minute without a server"
    );
    run.until(80 * SECOND, &server);
    assert_eq!(run.tokens.len(), 400);
}

#[test]
fn a_user_whose_logins_hang_does_not_let_the_others_expire() {
    let rules = Rules {
        ttl: 300 * SECOND,
        refresh_check: 10 * SECOND,
        login_concurrency: 16,
    };
    let mut run = Run::new(rules, &[("ann", 100), ("bob", 50)]);
    let server = |slot, elapsed: Duration| {
        let hangs = slot < 100 && elapsed > 60 * SECOND;
        if hangs {
            (30 * SECOND, Some(Failure::Trouble))
        } else {
            (LATENCY, None)
        }
    };
    run.until(3600 * SECOND, &server);
    for slot in 100..150 {
        let times = run
            .tokens
            .iter()
            .filter(|(number, _)| *number == slot)
            .map(|(_, at)| *at);
        let times: Vec<_> = times.chain([3600 * SECOND]).collect();
        let longest = times
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .max()
            .unwrap();
        assert!(
            longest < 300 * SECOND,
            "slot {slot} held a token for {longest:?}"
        );
    }
}

#[test]
fn tokens_that_are_always_turned_down_make_no_storm() {
    let mut run = Run::new(rules(), &[("ann", 10)]);
    run.sour = true;
    run.until(600 * SECOND, &|_, _| (LATENCY, None));
    let each = run.begun.len() / 10;
    assert!(
        (20..70).contains(&each),
        "{each} logins for each slot in ten minutes"
    );
}

#[test]
fn slots_filled_together_are_not_renewed_together() {
    let mut run = Run::new(rules(), &[("ann", 200)]);
    run.until(3500 * SECOND, &|_, _| (LATENCY, None));
    let mut renewals: Vec<_> = run
        .begun
        .iter()
        .skip(200)
        .map(|(_, at)| at.as_secs() / 10)
        .collect();
    assert_eq!(renewals.len(), 200);
    renewals.sort_unstable();
    let most = renewals
        .chunk_by(|one, other| one == other)
        .map(<[_]>::len)
        .max()
        .unwrap();
    assert!(most < 20, "{most} renewals within ten seconds");
}
