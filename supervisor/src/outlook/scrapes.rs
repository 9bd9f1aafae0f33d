//! What scrapers are told, for no more than a share of the supervisor's thread: its text is written anew for each of them, and once that has taken its
//! share, it is the last one.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::body::Bytes;

use super::{
    metrics::{self, openmetrics},
    snapshot::Snapshot,
};

/// Of the thread: one part in so many.
const SHARE: u32 = 5;
/// So much of it may be taken in advance, at once: few scrapers see an old text ever.
const BURST: Duration = Duration::from_secs(1);

/// In which format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Prometheus' text, version 0.0.4.
    Prometheus,
    /// OpenMetrics' text, version 1.0.0.
    OpenMetrics,
}

/// The last texts, and what they have cost.
#[derive(Debug, Default)]
pub struct Scrapes(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// Of each format.
    texts: [Option<Bytes>; 2],
    /// When what was taken of the thread is made good.
    paid_at: Option<Instant>,
}

impl Scrapes {
    /// What `look` shows, as text.
    pub(crate) fn text(&self, format: Format, look: impl FnOnce() -> Snapshot) -> Bytes {
        self.text_at(Instant::now(), format, || {
            let families = metrics::families(&look());
            let text = match format {
                Format::Prometheus => metrics::text(&families),
                Format::OpenMetrics => openmetrics::render(&families),
            };
            (Bytes::from(text), Instant::now())
        })
    }

    /// The same at `now`, of `write`, which says when it was done.
    fn text_at(
        &self,
        now: Instant,
        format: Format,
        write: impl FnOnce() -> (Bytes, Instant),
    ) -> Bytes {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let owed = kept.paid_at.unwrap_or(now).max(now);
        let last = &mut kept.texts[format as usize];
        if let Some(last) = last.as_ref().filter(|_| owed > now + BURST) {
            return last.clone();
        }
        let (text, done) = write();
        *last = Some(text.clone());
        kept.paid_at = Some(owed + done.saturating_duration_since(now) * SHARE);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_takes_its_share_of_the_time_however_often_it_is_asked_for() {
        let scrapes = Scrapes::default();
        let began = Instant::now();
        let cost = Duration::from_millis(50);
        let mut written = 0;
        let mut oldest = Duration::ZERO;
        let mut last = began;
        // Asked for each millisecond of a minute.
        for millisecond in 0..60_000 {
            let now = began + Duration::from_millis(millisecond);
            scrapes.text_at(now, Format::Prometheus, || {
                written += 1;
                last = now;
                (Bytes::new(), now + cost)
            });
            oldest = oldest.max(now - last);
        }
        // A fifth of 60 s is 240 times 50 ms, and 1 s in advance 4 times.
        assert!((240..=246).contains(&written), "{written}");
        assert!(oldest <= cost * SHARE, "{oldest:?}");
    }

    #[test]
    fn whoever_asks_now_and_then_is_told_what_is_now_in_either_format() {
        let scrapes = Scrapes::default();
        let began = Instant::now();
        for (second, format) in [Format::Prometheus, Format::OpenMetrics]
            .into_iter()
            .cycle()
            .take(100)
            .enumerate()
        {
            let now = began + Duration::from_secs(second as u64);
            let text = Bytes::from(second.to_string());
            let told = scrapes.text_at(now, format, || {
                (text.clone(), now + Duration::from_millis(100))
            });
            assert_eq!(told, text);
        }
    }
}
