//! What happened when, for whoever must understand a failure.

use std::{
    fmt::Write as _,
    sync::Mutex,
    time::{Duration, Instant},
};

/// Events with their times, written by any thread.
#[derive(Debug)]
pub(crate) struct Journal {
    begun: Instant,
    entries: Mutex<Vec<(Duration, String)>>,
}

impl Journal {
    pub(crate) fn begin() -> Self {
        Self {
            begun: Instant::now(),
            entries: Mutex::default(),
        }
    }

    pub(crate) fn note(&self, what: impl Into<String>) {
        let at = self.begun.elapsed();
        let mut entries = self.entries.lock().expect("no thread panics writing");
        entries.push((at, what.into()));
    }

    /// The last `most` entries, in order of time.
    pub(crate) fn last(&self, most: usize) -> String {
        let entries = self.entries.lock().expect("no thread panics writing");
        let skipped = entries.len().saturating_sub(most);
        let mut text = match skipped {
            0 => String::new(),
            _ => format!("({skipped} earlier ones left out)\n"),
        };
        for (at, what) in &entries[skipped..] {
            writeln!(text, "{:>9.3} s  {what}", at.as_secs_f64()).expect("a String takes it");
        }
        text
    }
}
