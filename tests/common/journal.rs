//! What happened when, for whoever must understand a failure.

use std::{
    fmt::Write as _,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

/// Most entries that a failure prints.
const TOLD: usize = 400;

/// Events with their times, written by any thread. Printed when the test that holds it fails.
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

impl Drop for Journal {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- what went on ---\n{}--- end of it ---", self.last(TOLD));
        }
    }
}
