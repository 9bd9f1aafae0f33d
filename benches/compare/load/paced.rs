//! A fixed rate.

use std::{
    collections::VecDeque,
    io::{self, Write},
    net::{SocketAddr, TcpStream},
    os::fd::AsFd,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, ppoll},
    sys::{prctl, time::TimeSpec},
};

use super::{Outcome, open, outcome};
use crate::{
    Result,
    http::{self, Answer},
};

/// A connection that waits for its answer.
#[derive(Debug)]
struct Busy {
    stream: TcpStream,
    answer: Answer,
    due: Instant,
}

/// One thread keeps the schedule. Latency counts from the instant a request was due, so that a proxy that
/// stalls is charged for the requests it kept from being sent.
pub(super) fn run(
    target: SocketAddr,
    connections: usize,
    duration: Duration,
    rate: f64,
) -> Result<Outcome> {
    // By default the kernel may wake a sleeper 50 µs late, as much as a request takes.
    prctl::set_timerslack(1)?;
    let request = http::request("/", "");
    let interval = Duration::from_secs_f64(1.0 / rate);
    let mut idle = open(target, connections, &request)?;
    let mut busy: VecDeque<Busy> = VecDeque::new();
    let mut latencies = Vec::new();
    let start = Instant::now();
    let mut due = start;
    loop {
        let now = Instant::now();
        while due <= now && due < start + duration {
            let Some((stream, mut answer)) = idle.pop_front() else {
                break;
            };
            answer.clear();
            (&stream).write_all(&request)?;
            busy.push_back(Busy {
                stream,
                answer,
                due,
            });
            due += interval;
        }
        if busy.is_empty() && due >= start + duration {
            break;
        }
        if now > start + 2 * duration {
            // It cannot keep the rate: the rate it did keep says so.
            break;
        }
        let wake = if idle.is_empty() {
            start + 2 * duration
        } else {
            due
        };
        for ready in wait_readable(&busy, wake.saturating_duration_since(Instant::now()))?
            .into_iter()
            .rev()
        {
            let waiting = &mut busy[ready];
            if !waiting.answer.read_some(&mut &waiting.stream)? {
                continue;
            }
            if waiting.answer.status() != 200 {
                return Err(format!("{target} answered {}", waiting.answer.status()).into());
            }
            latencies.push(waiting.due.elapsed());
            idle.extend(busy.remove(ready).map(|done| (done.stream, done.answer)));
        }
    }
    outcome(latencies, start.elapsed()).ok_or_else(|| format!("no answer from {target}").into())
}

/// Indices of the connections with something to read, in rising order; empty when the time is over.
fn wait_readable(busy: &VecDeque<Busy>, timeout: Duration) -> Result<Vec<usize>> {
    let mut polled: Vec<PollFd<'_>> = busy
        .iter()
        .map(|connection| PollFd::new(connection.stream.as_fd(), PollFlags::POLLIN))
        .collect();
    match ppoll(&mut polled, Some(TimeSpec::from_duration(timeout)), None) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(error) => return Err(io::Error::from(error).into()),
    }
    let ready = |(index, poll): (usize, &PollFd<'_>)| (poll.any() == Some(true)).then_some(index);
    Ok(polled.iter().enumerate().filter_map(ready).collect())
}
