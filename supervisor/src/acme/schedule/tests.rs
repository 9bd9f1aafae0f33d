use proptest::prelude::*;

use super::*;

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
/// When each test begins.
const BEGIN: u64 = 1_800_000_000;
const WITH: &str = "authority http-01";

/// What an authority answers to an order at a moment.
type Answer = Result<Term, (Kind, Option<Duration>)>;

/// A host whose certificate is got by the schedule, on a clock that jumps to whatever is due.
struct Host {
    term: Option<Term>,
    window: Option<Window>,
    trouble: Option<Trouble>,
    lot: f64,
    now: u64,
    /// When it was ordered.
    orders: Vec<u64>,
}

impl Host {
    fn new(lot: f64) -> Self {
        Self {
            term: None,
            window: None,
            trouble: None,
            lot,
            now: BEGIN,
            orders: Vec::new(),
        }
    }

    fn case(&self) -> Case<'_> {
        Case {
            term: self.term,
            window: self.window.as_ref(),
            trouble: self.trouble.as_ref(),
            with: WITH,
            lot: self.lot,
        }
    }

    /// Lives until `end`. Returns how many orders there were.
    fn until(&mut self, end: u64, mut answer: impl FnMut(u64) -> Answer) -> usize {
        let before = self.orders.len();
        loop {
            let at = self.case().order_at().max(self.now);
            if at >= end {
                self.now = end;
                return self.orders.len() - before;
            }
            self.now = at;
            self.orders.push(at);
            match answer(at) {
                Ok(term) => {
                    self.term = Some(term);
                    self.trouble = None;
                    self.window = None;
                }
                Err((kind, spared)) => {
                    let (before, why) = (self.trouble.take(), (kind, "no".to_owned()));
                    let with = (WITH, self.lot);
                    self.trouble = Some(Trouble::after(before.as_ref(), why, spared, with, at));
                }
            }
        }
    }
}

/// One of ninety days.
fn given(at: u64) -> Answer {
    Ok(Term {
        from: at,
        until: at + 90 * DAY,
    })
}

fn down(_: u64) -> Answer {
    Err((Kind::Unreachable, None))
}

#[test]
fn a_certificate_is_ordered_at_once_and_renewed_when_a_third_of_its_life_is_left() {
    for lot in [0.0, 0.5, 1.0] {
        let mut host = Host::new(lot);
        assert_eq!(host.until(BEGIN + 365 * DAY, given), 7);
        assert_eq!(host.orders[0], BEGIN);
        for pair in host.orders.windows(2) {
            let age = pair[1] - pair[0];
            assert!((57 * DAY..=60 * DAY).contains(&age), "{age}");
        }
    }
}

#[test]
fn certificates_that_were_ordered_together_are_not_renewed_together() {
    let renewed = |lot| {
        let mut host = Host::new(lot);
        host.until(BEGIN + 80 * DAY, given);
        host.orders[1]
    };
    assert!(renewed(0.0) - renewed(1.0) > 2 * DAY);
    assert!(renewed(0.2) > renewed(0.3));
}

#[test]
fn short_lives_are_renewed_at_their_own_pace() {
    let mut host = Host::new(0.5);
    let six_days = |at| {
        Ok(Term {
            from: at - HOUR,
            until: at + 6 * DAY,
        })
    };
    host.until(BEGIN + 30 * DAY, six_days);
    for pair in host.orders.windows(2) {
        let left = 6 * DAY - (pair[1] - pair[0]);
        assert!((2 * DAY..3 * DAY).contains(&left), "{left}");
    }
}

#[test]
fn an_authority_that_is_down_for_hours_is_tried_less_often_and_soon_after_it_is_back() {
    let mut host = Host::new(0.5);
    host.until(BEGIN + DAY, given);
    // Down from before the renewal is due until six hours after it was.
    let due = host.case().order_at();
    let back = due + 6 * HOUR;
    let tries = host.until(back, down);
    assert!((10..20).contains(&tries), "{tries}");
    let gaps: Vec<_> = host.orders[1..]
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .collect();
    assert!(gaps[0] < MINUTE && gaps.is_sorted(), "{gaps:?}");
    assert!(gaps.last().unwrap() <= &(HOUR + HOUR / 10), "{gaps:?}");
    assert!(host.term.unwrap().until > host.now, "the old one serves on");
    assert_eq!(host.until(back + HOUR + HOUR / 10 + 1, given), 1);
    assert_eq!(host.trouble, None);
}

#[test]
fn a_refusal_is_never_met_so_often_that_an_authority_would_mind() {
    let mut host = Host::new(0.0);
    let refused = |_| Err((Kind::Refused, None));
    host.until(BEGIN + 10 * DAY, refused);
    for at in &host.orders {
        let within = host
            .orders
            .iter()
            .filter(|one| (*at..*at + HOUR).contains(*one));
        assert!(within.count() <= 3);
    }
    let last: Vec<_> = host.orders.iter().rev().take(2).collect();
    assert_eq!(last[0] - last[1], DAY);
}

#[test]
fn a_limit_holds_for_as_long_as_the_authority_says() {
    let mut host = Host::new(0.7);
    let limited = |_| Err((Kind::Limited, Some(Duration::from_secs(7 * HOUR))));
    assert_eq!(host.until(BEGIN + 7 * HOUR, limited), 1);
    assert_eq!(host.until(BEGIN + 7 * HOUR + 1, given), 1);
    // Without a word of how long, for an hour at least.
    let mut host = Host::new(0.0);
    assert_eq!(host.until(BEGIN + HOUR, |_| Err((Kind::Limited, None))), 1);
    // One that asks to be spared while it is being mended is spared.
    let mut host = Host::new(0.0);
    let mended = |_| Err((Kind::Unreachable, Some(Duration::from_secs(HOUR))));
    assert_eq!(host.until(BEGIN + HOUR, mended), 1);
    // For ever is not believed.
    let mut host = Host::new(0.0);
    let ever = |_| Err((Kind::Limited, Some(Duration::MAX)));
    assert_eq!(host.until(BEGIN + 20 * DAY, ever), 3);
}

#[test]
fn pauses_outlive_the_process_and_end_with_other_settings() {
    let mut host = Host::new(0.0);
    host.until(BEGIN + 1, |_| Err((Kind::Refused, None)));
    let kept = serde_json::to_string(&host.trouble).unwrap();
    host.trouble = serde_json::from_str(&kept).unwrap();
    assert_eq!(host.until(BEGIN + 15 * MINUTE, given), 0);
    let other = Case {
        with: "another authority",
        ..host.case()
    };
    assert_eq!(other.order_at(), 0);
    assert_eq!(host.until(BEGIN + 15 * MINUTE + 1, given), 1);
}

#[test]
fn rows_of_failures_are_of_one_kind() {
    let mut host = Host::new(0.0);
    host.until(BEGIN + 12 * HOUR, down);
    let at = host.case().order_at();
    host.until(at + 1, |_| Err((Kind::Refused, None)));
    // Hours of silence do not make a refusal a long one.
    assert_eq!(host.case().order_at(), at + 15 * MINUTE);
    assert_eq!(host.trouble.unwrap().failures, 1);
}

#[test]
fn what_the_authority_suggests_comes_first() {
    let mut host = Host::new(0.5);
    host.until(BEGIN + 1, given);
    assert_eq!(host.case().ask_at(), Some(0), "it is asked at once");
    let spared = Duration::from_secs(6 * HOUR);
    host.window = Some(Window::said(
        (BEGIN + 10 * DAY, BEGIN + 12 * DAY),
        spared,
        BEGIN,
    ));
    assert_eq!(host.case().order_at(), BEGIN + 11 * DAY);
    assert_eq!(host.case().ask_at(), Some(BEGIN + 6 * HOUR));
    // It has changed its mind: all that it gave is to be replaced now.
    host.window = Some(Window::said(
        (BEGIN - DAY, BEGIN - HOUR),
        spared,
        BEGIN + 3 * DAY,
    ));
    assert!(host.case().order_at() < BEGIN + DAY);
    // What it does not say any more stays true.
    host.window = Some(Window::silent(host.window.as_ref(), BEGIN + 3 * DAY));
    assert!(host.case().order_at() < BEGIN + DAY);
    // One that knows no such questions.
    host.window = Some(Window::silent(None, BEGIN));
    assert!(!host.window.as_ref().unwrap().is_said());
    assert!(host.case().order_at() >= BEGIN + 57 * DAY);
    // A window behind its end would be none.
    host.window = Some(Window::said(
        (BEGIN + 95 * DAY, BEGIN + 99 * DAY),
        spared,
        BEGIN,
    ));
    assert!(host.case().order_at() < BEGIN + 90 * DAY - 4 * DAY);
}

proptest! {
    #[test]
    fn whatever_an_authority_says_there_is_no_storm_and_no_renewal_too_late(
        lot in 0.0..=1.0,
        life in 600..100 * DAY,
        from in 0..2 * BEGIN,
        length in 0..1000 * DAY,
        spared in 0..u64::MAX,
        failures in 1_usize..60,
    ) {
        let mut host = Host::new(lot);
        host.until(BEGIN + 1, |at| Ok(Term { from: at, until: at + life }));
        let window = (from, from.saturating_add(length));
        host.window = Some(Window::said(window, Duration::from_secs(spared), BEGIN));
        let due = host.case().order_at();
        prop_assert!(due > BEGIN && due < BEGIN + life);
        let asked = host.case().ask_at().unwrap();
        prop_assert!((BEGIN + MINUTE..=BEGIN + DAY).contains(&asked));
        let mut trouble = None;
        for kind in [Kind::Unreachable, Kind::Limited, Kind::Refused].into_iter().cycle().take(failures) {
            let spared = (spared % 2 == 0).then(|| Duration::from_secs(spared));
            let why = (kind, String::new());
            trouble = Some(Trouble::after(trouble.as_ref(), why, spared, (WITH, lot), BEGIN));
            host.trouble = trouble.clone();
            prop_assert!(host.case().order_at() > BEGIN);
            prop_assert!(host.case().order_at() <= (BEGIN + LONGEST_SPARED).max(due));
        }
    }
}
