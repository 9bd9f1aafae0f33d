//! The access log: a line for each request, on its way to a file without anybody waiting for it.
//!
//! A line is put into memory that is this thread's alone. At each tick, or when there is much of it, all is handed over to a thread
//! that writes it (`tpp::log_lines`), so a request costs no system call. What finds no room there, or no room on the disk, is
//! dropped and counted.

mod day;
pub(crate) mod line;

use std::{
    io::{self, Write},
    mem,
    time::Duration,
};

use parking_lot::Mutex;
use tpp::{
    config::{AccessLog as Place, AccessLogFormat},
    lending::WorkerSettings,
    log_file::LogFile,
    log_lines::LogLines,
};
use tracing::warn;

use self::{
    day::Day,
    line::{Line, Told},
};
use crate::message::head::Head;

/// Bytes that are handed over before the tick.
const MUCH: usize = 64 << 10;
/// Bytes that may wait to be written.
const ROOM: usize = 4 << 20;

/// The access log. Only the worker's thread takes its lock.
#[derive(Debug, Default)]
pub(crate) struct AccessLog(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    out: Option<Out>,
    /// Lines that were lost on the way to places of earlier plans.
    lost: u64,
}

#[derive(Debug)]
struct Out {
    place: Place,
    format: AccessLogFormat,
    lines: LogLines,
    buffer: Vec<u8>,
    day: Day,
}

impl AccessLog {
    /// Goes by `settings` from now on.
    pub(crate) fn follow(&self, settings: &WorkerSettings) {
        let mut state = self.0.lock();
        if let Some(out) = &mut state.out {
            out.format = settings.access_log_format;
        }
        let now = state.out.as_ref().map_or(&Place::Off, |out| &out.place);
        if *now == settings.access_log {
            return;
        }
        if let Some(mut old) = state.out.take() {
            old.hand_over();
            state.lost += old.lines.dropped();
        }
        state.out = Out::begin(settings);
    }

    /// Adds a line, if there is a log, of a request with this head, if that could be read.
    pub(crate) fn add(&self, line: &Line<'_>, head: Option<&Head>) {
        if let Some(out) = &mut self.0.lock().out {
            match out.format {
                AccessLogFormat::Json => line.put_json(&mut out.day, &mut out.buffer),
                AccessLogFormat::Combined => {
                    let told = head.map_or_else(Told::default, |head| Told {
                        referer: head.named(b"referer"),
                        user_agent: head.named(b"user-agent"),
                    });
                    line.put_combined(&told, &mut out.day, &mut out.buffer);
                }
            }
            if out.buffer.len() >= MUCH {
                out.hand_over();
            }
        }
    }

    /// Hands over what there is. Returns how many lines have been lost so far.
    pub(crate) fn tick(&self) -> u64 {
        let mut state = self.0.lock();
        let lost = state.out.as_mut().map_or(0, |out| {
            out.hand_over();
            out.lines.dropped()
        });
        state.lost + lost
    }

    /// Waits until all is written, but no longer than `limit`. Before the process ends.
    pub(crate) fn flush(&self, limit: Duration) {
        if let Some(out) = &mut self.0.lock().out {
            out.hand_over();
            out.lines.flush(limit);
        }
    }
}

impl Out {
    fn begin(settings: &WorkerSettings) -> Option<Self> {
        let out: Box<dyn Write + Send> = match &settings.access_log {
            Place::Off => return None,
            Place::Stderr => Box::new(io::stderr()),
            Place::File(path) => Box::new(LogFile::new(path.clone(), |path, error| {
                warn!(path = %path.display(), %error, "the access log cannot be written: lines are dropped");
            })),
        };
        let lines = LogLines::new(out, ROOM, |dropped| {
            warn!(dropped, "lines of the access log were dropped");
        });
        Some(Self {
            place: settings.access_log.clone(),
            format: settings.access_log_format,
            lines,
            buffer: Vec::new(),
            day: Day::default(),
        })
    }

    fn hand_over(&mut self) {
        if !self.buffer.is_empty() {
            // The next one will be about as long.
            let next = Vec::with_capacity(self.buffer.len());
            self.lines.take(mem::replace(&mut self.buffer, next));
        }
    }
}
