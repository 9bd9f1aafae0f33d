//! Which trace a request belongs to, and what its upstream is told of that: W3C Trace Context, level 1.

use std::ops::Range;

use crate::{
    hex,
    message::{field::Field, head::Head},
};

/// `VERSION-TRACE-SPAN-FLAGS`: where its parts lie, and how long it is in the version that is known.
const VERSION: Range<usize> = 0..2;
const TRACE: Range<usize> = 3..35;
const SPAN: Range<usize> = 36..52;
const FLAGS: Range<usize> = 53..55;
const LENGTH: usize = 55;
/// In the flags: somebody before records it.
const SAMPLED: u64 = 1;

/// What a `traceparent` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parent<'a> {
    /// Of the trace, as it was said.
    pub(crate) digits: &'a [u8],
    trace: u128,
    span: u64,
    is_sampled: bool,
}

impl<'a> Parent<'a> {
    /// What the request says; `None`: nothing, or not once, or nothing sound.
    pub(crate) fn of(head: &'a Head) -> Option<Self> {
        let mut said = head.values(Field::TraceParent);
        let (first, second) = (said.next()?, said.next());
        second.is_none().then(|| Self::read(first)).flatten()
    }

    fn read(value: &'a [u8]) -> Option<Self> {
        let value = value.trim_ascii();
        let version = number(value.get(..2)?)?;
        // A later version may say more, behind another dash.
        let may_follow = version > 0 && value.get(LENGTH) == Some(&b'-');
        let is_whole = value.len() == LENGTH || may_follow;
        let digits = value.get(TRACE)?;
        let parent = Self {
            digits,
            trace: number(digits)?,
            span: number(value.get(SPAN)?)? as u64,
            is_sampled: number(value.get(FLAGS)?)? as u64 & SAMPLED != 0,
        };
        let has_dashes = [2, 35, 52].iter().all(|at| value[*at] == b'-');
        let is_sound = is_whole && has_dashes && version != 0xff;
        (is_sound && parent.trace != 0 && parent.span != 0).then_some(parent)
    }
}

/// Of digits in lower case, and nothing else.
fn number(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number: u128, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

const OPENING: &[u8] = b"traceparent: ";
const LINE: usize = OPENING.len() + LENGTH + 2;

/// A request's place in its trace.
pub(crate) struct Trace {
    pub(crate) id: u128,
    /// The client's span that it is part of; 0: it begins the trace.
    pub(crate) parent: u64,
    /// The span of the request here.
    pub(crate) span: u64,
    /// Its spans are recorded.
    pub(crate) is_sampled: bool,
    /// What the upstream is told.
    line: [u8; LINE],
}

impl Trace {
    /// That of a request with `parent`, as it says; one that has none begins a trace, of which `percent` in a hundred are recorded.
    pub(crate) fn new(parent: Option<Parent<'_>>, percent: u32) -> Self {
        let (id, span, is_sampled) = match parent {
            Some(parent) => (parent.trace, parent.span, parent.is_sampled),
            None => {
                let id = u128::from(draw()) << 64 | u128::from(draw());
                (id, 0, fastrand::u32(..100) < percent)
            }
        };
        let mut trace = Self {
            id,
            parent: span,
            span: draw(),
            is_sampled,
            line: [b'-'; LINE],
        };
        trace.line[..OPENING.len()].copy_from_slice(OPENING);
        trace.line[LINE - 2..].copy_from_slice(b"\r\n");
        let flags = if is_sampled { SAMPLED as u8 } else { 0 };
        let (half, middle) = ((id >> 64) as u64, TRACE.start + 16);
        trace.put(VERSION, &hex::of_byte(0));
        trace.put(TRACE.start..middle, &hex::of_number(half));
        trace.put(middle..TRACE.end, &hex::of_number(id as u64));
        trace.put(SPAN, &hex::of_number(trace.span));
        trace.put(FLAGS, &hex::of_byte(flags));
        trace
    }

    fn put(&mut self, part: Range<usize>, digits: &[u8]) {
        self.line[OPENING.len()..][part].copy_from_slice(digits);
    }

    /// What goes out next is part of `span`.
    pub(crate) fn go_on_in(&mut self, span: u64) {
        self.put(SPAN, &hex::of_number(span));
    }

    /// The line that tells the upstream.
    pub(crate) fn line(&self) -> &[u8] {
        &self.line
    }

    /// The trace's own digits.
    pub(crate) fn digits(&self) -> &[u8] {
        &self.line[OPENING.len()..][TRACE]
    }

    /// Whether it goes on from a parent, whose `tracestate` belongs to it.
    pub(crate) fn goes_on(&self) -> bool {
        self.parent != 0
    }
}

/// A number for a span, or half a trace's; never 0.
pub(crate) fn draw() -> u64 {
    // Of 2⁶⁴ numbers one is drawn twice as often: that is no matter, and a range would take longer than the drawing.
    fastrand::u64(..).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_sound_parent_is_read_and_any_other_refused() {
        let parent = Parent::read(SOUND.as_bytes()).expect("sound");
        assert_eq!(parent.trace, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!(
            (parent.span, parent.is_sampled),
            (0x00f0_67aa_0ba9_02b7, true)
        );
        assert_eq!(parent.digits, &SOUND.as_bytes()[TRACE]);
        let unsampled = SOUND.replace("-01", "-02");
        assert!(
            !Parent::read(unsampled.as_bytes())
                .expect("sound")
                .is_sampled
        );
        let later = [
            SOUND.replacen("00", "cc", 1),
            SOUND.replacen("00", "01", 1) + "-what-comes",
        ];
        for said in &later {
            assert!(Parent::read(said.as_bytes()).is_some(), "{said}");
        }
        let zeros = |digits: usize| "0".repeat(digits);
        for said in [
            String::new(),
            SOUND.to_uppercase(),
            SOUND[..54].to_owned(),
            format!("{SOUND}-"),
            format!("{SOUND}0"),
            SOUND.replacen("00", "ff", 1),
            SOUND.replacen("00", "0g", 1),
            SOUND.replace('-', "_"),
            SOUND.replace("-01", "-0x"),
            SOUND.replacen("00", "01", 1) + "x",
            format!("00-{}-00f067aa0ba902b7-01", zeros(32)),
            format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", zeros(16)),
        ] {
            assert_eq!(Parent::read(said.as_bytes()), None, "{said}");
        }
    }

    #[test]
    fn what_the_upstream_is_told_is_sound_and_goes_on() {
        let parent = Parent::read(SOUND.as_bytes());
        let mut trace = Trace::new(parent, 0);
        assert!(trace.is_sampled && trace.goes_on());
        trace.go_on_in(0xabc);
        let line = std::str::from_utf8(trace.line()).unwrap();
        let said = line.strip_prefix("traceparent: ").unwrap();
        assert_eq!(
            said,
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000abc-01\r\n"
        );
        assert_eq!(trace.digits(), &SOUND.as_bytes()[TRACE]);
    }

    #[test]
    fn a_trace_that_begins_here_is_recorded_as_often_as_is_said() {
        let recorded = |percent| {
            let traces = (0..2000).map(|_| Trace::new(None, percent));
            traces.filter(|trace| trace.is_sampled).count()
        };
        assert_eq!((recorded(0), recorded(100)), (0, 2000));
        assert!((500..1500).contains(&recorded(50)));
        let (one, other) = (Trace::new(None, 0), Trace::new(None, 0));
        assert!(one.id != other.id && one.span != other.span && !one.goes_on());
        let value = one.line().strip_prefix(OPENING).unwrap();
        let read = Parent::read(value.trim_ascii()).expect("sound");
        assert_eq!(
            (read.trace, read.span, read.is_sampled),
            (one.id, one.span, false)
        );
    }
}
