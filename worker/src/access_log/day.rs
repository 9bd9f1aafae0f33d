//! The time of a line, in both notations.

use std::io::Write as _;

/// A second of a day in both notations, made once for all requests of that second.
#[derive(Debug, Default)]
pub(crate) struct Day {
    second: Option<u64>,
    /// `2026-11-26T03:40:12`
    pub(super) iso: Vec<u8>,
    /// `26/Nov/2026:03:40:12 +0000`
    pub(super) common: Vec<u8>,
}

impl Day {
    pub(super) fn at(&mut self, second: u64) -> &Self {
        if self.second != Some(second) {
            self.second = Some(second);
            let (year, month, day) = date(second / 86_400);
            let (hour, minute, second) = (second / 3600 % 24, second / 60 % 60, second % 60);
            self.iso.clear();
            self.common.clear();
            // Writing to a buffer that grows cannot fail.
            let _ = write!(
                self.iso,
                "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
            );
            let name = &MONTHS[3 * (month as usize - 1)..][..3];
            let _ = write!(
                self.common,
                "{day:02}/{name}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000"
            );
        }
        self
    }
}

const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";

/// Year, month and day of so many days after 1970-01-01. Years that begin in March end with their leap day.
fn date(days: u64) -> (u64, u64, u64) {
    // From 0000-03-01 on, in spans of 400 years.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = 400 * era + year + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let iso = |second| String::from_utf8(Day::default().at(second).iso.clone()).unwrap();
        for (second, text) in [
            (0, "1970-01-01T00:00:00"),
            (951_782_400, "2000-02-29T00:00:00"),
            (951_868_799, "2000-02-29T23:59:59"),
            (951_868_800, "2000-03-01T00:00:00"),
            (1_735_689_599, "2024-12-31T23:59:59"),
            (4_107_542_400, "2100-03-01T00:00:00"),
        ] {
            assert_eq!(iso(second), text);
        }
        let mut day = Day::default();
        assert_ne!(day.at(1).iso.clone(), day.at(2).iso.clone());
    }
}
