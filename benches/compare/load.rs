//! The two loads of the comparison: as much as goes (wrk), and a fixed rate (a generator of our own).

use std::{
    collections::VecDeque,
    fs,
    io::{self, Write},
    net::{SocketAddr, TcpStream},
    os::fd::AsFd,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, ppoll},
    sys::{prctl, time::TimeSpec},
};

use crate::{
    Result,
    http::{self, Answer},
    process, secure,
    servers::find,
    stats::percentile,
};

/// What a load asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Load {
    /// Each connection sends its next request as soon as it has its answer.
    Saturating,
    /// So many requests a second over all connections, evenly spaced.
    Paced(f64),
    /// As `Saturating`, each request on a connection of its own.
    Anew,
    /// As `Saturating`, each request for another of so many hosts ([`host`]).
    Hosts(usize),
    /// As `Saturating`, over TLS.
    Secure,
    /// Over TLS and HTTP/2, so many streams at once on each connection.
    Streams(usize),
    /// A handshake for each request, from its beginning or going on with a session.
    Handshakes { resumed: bool },
}

/// How a load ended. Every answer was a 200.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    pub(crate) requests: u64,
    pub(crate) elapsed: Duration,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

/// Prints wrk's result in a form that needs no guessing at units.
const WRK_SCRIPT: &str = r#"
function done(summary, latency, requests)
    local e = summary.errors
    io.write(string.format("result %d %d %d %d %d\n", summary.requests, summary.duration,
        latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
"#;

/// Lua that ends each connection with its answer.
const CLOSING: &str = "wrk.headers[\"Connection\"] = \"close\"\n";

impl Load {
    /// Puts this load on `target` for `duration`.
    ///
    /// # Errors
    /// An answer other than 200, or a broken connection.
    pub(crate) fn run(
        self,
        target: SocketAddr,
        connections: usize,
        duration: Duration,
        dir: &Path,
    ) -> Result<Outcome> {
        match self {
            Self::Saturating => run_wrk(target, connections, duration, "", dir),
            Self::Secure => secure::run_wrk(target, connections, duration, dir),
            Self::Streams(streams) => {
                secure::run_streams(target, connections, streams, duration, dir)
            }
            Self::Handshakes { resumed } => {
                secure::run_handshakes(target, connections, duration, resumed, dir)
            }
            Self::Paced(rate) => run_paced(target, connections, duration, rate),
            Self::Anew => run_wrk(target, connections, duration, CLOSING, dir),
            Self::Hosts(count) => run_wrk(target, connections, duration, &requests_to(count), dir),
        }
    }
}

/// The name of a host.
pub(crate) fn host(number: usize) -> String {
    format!("host-{number}.example")
}

/// Lua that asks for one host after another, of requests made beforehand.
fn requests_to(hosts: usize) -> String {
    let names = (0..hosts).map(|number| format!("\"{}\"", host(number)));
    let names: Vec<_> = names.collect();
    format!(
        "local heads, next = {{}}, 0
function init()
    for at, name in ipairs({{ {} }}) do
        heads[at] = wrk.format(\"GET\", \"/\", {{ Host = name }})
    end
end
function request()
    next = next % #heads + 1
    return heads[next]
end
",
        names.join(", ")
    )
}

/// wrk with two threads; `requests` is Lua that says what to ask for, `GET /` when it is empty.
pub(crate) fn run_wrk(
    target: SocketAddr,
    connections: usize,
    duration: Duration,
    requests: &str,
    dir: &Path,
) -> Result<Outcome> {
    let command = Command::new(find("wrk")?);
    run_wrk_at(
        command,
        &format!("http://{target}/"),
        connections,
        duration,
        requests,
        dir,
    )
}

/// The same of `url`, with what the command has already.
pub(crate) fn run_wrk_at(
    mut command: Command,
    url: &str,
    connections: usize,
    duration: Duration,
    requests: &str,
    dir: &Path,
) -> Result<Outcome> {
    let script = dir.join("wrk.lua");
    fs::write(&script, format!("{requests}{WRK_SCRIPT}"))?;
    command
        .args([
            "-t",
            "2",
            "-c",
            &connections.to_string(),
            "-d",
            &format!("{}s", duration.as_secs().max(1)),
            "-s",
        ])
        .arg(script)
        .arg(url);
    let output = process::run(&mut command)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<u64> = text
        .lines()
        .find_map(|line| line.strip_prefix("result "))
        .map(|line| {
            line.split(' ')
                .filter_map(|word| word.parse().ok())
                .collect()
        })
        .unwrap_or_default();
    let [requests, elapsed, p50, p99, errors] = numbers[..] else {
        return Err(format!(
            "wrk: {}\n{text}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        )
        .into());
    };
    if errors > 0 {
        return Err(format!("wrk: {errors} of {requests} requests failed:\n{text}").into());
    }
    Ok(Outcome {
        requests,
        elapsed: Duration::from_micros(elapsed),
        p50: Duration::from_micros(p50),
        p99: Duration::from_micros(p99),
    })
}

/// A connection that waits for its answer.
#[derive(Debug)]
struct Busy {
    stream: TcpStream,
    answer: Answer,
    due: Instant,
}

/// One thread keeps the schedule. Latency counts from the instant a request was due, so that a proxy that
/// stalls is charged for the requests it kept from being sent.
fn run_paced(
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

/// `None`: there was no answer.
pub(crate) fn outcome(mut latencies: Vec<Duration>, elapsed: Duration) -> Option<Outcome> {
    latencies.sort_unstable();
    Some(Outcome {
        requests: latencies.len() as u64,
        elapsed,
        p50: percentile(&latencies, 0.50)?,
        p99: percentile(&latencies, 0.99)?,
    })
}

/// Opens connections that each have had one answer already, so that a proxy's work per connection is done.
pub(crate) fn open(
    target: SocketAddr,
    connections: usize,
    request: &[u8],
) -> Result<VecDeque<(TcpStream, Answer)>> {
    let mut opened = VecDeque::with_capacity(connections);
    for _ in 0..connections {
        let stream = TcpStream::connect(target)?;
        stream.set_nodelay(true)?;
        let mut answer = Answer::default();
        http::exchange(&stream, request, &mut answer)?;
        opened.push_back((stream, answer));
    }
    Ok(opened)
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
