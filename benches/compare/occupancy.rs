//! (c): how much of its tokens' time a pool puts to use. With T tokens and S of service for each request,
//! nobody can serve more than T/S; what is missing is the time that a token lies idle between two clients.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use crate::{
    Result,
    crowd::{Crowd, Habit},
    servers::{self, TPP_NAMES, TppSettings},
    slow_upstream::{Ledger, SlowUpstream},
    stats::Summary,
};

/// Clients for each token.
const CROWDING: usize = 64;

/// Measurements of one setting, one after another under the same crowd.
const WINDOWS: u32 = 3;

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    tokens: usize,
    service: Duration,
}

/// The settings that are measured.
pub(crate) const SETTINGS: [Setting; 3] = [
    Setting {
        tokens: 8,
        service: Duration::from_millis(10),
    },
    Setting {
        tokens: 8,
        service: Duration::from_millis(50),
    },
    Setting {
        tokens: 32,
        service: Duration::from_millis(20),
    },
];

/// Who hands out the turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// No proxy, and only as many clients as there are tokens: what this machine and these clients can reach.
    Direct,
    /// HAProxy's own queue: at most T requests at the upstream.
    Haproxy,
    /// tpp in `lease.mode = "connection"`.
    Connection(Habit),
    /// tpp in `lease.mode = "request"`.
    Request,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct, T clients, kept alive",
            Self::Haproxy => "haproxy maxconn T, kept alive",
            Self::Connection(Habit::SayClose) => "tpp by connection, says close",
            Self::Connection(_) => "tpp by connection, closes",
            Self::Request => "tpp by request, kept alive",
        }
    }
}

/// Measures each setting and prints the table.
pub(crate) fn run(
    tpp: Option<&Path>,
    settings: &[Setting],
    window: Duration,
    dir: &Path,
) -> Result<()> {
    println!(
        "\n(c) T tokens, S of service, {CROWDING} T clients, 2 workers: served per second against T/S"
    );
    println!(
        "    {WINDOWS} windows of {} s each: median (lowest-highest). idle: how long a token lies idle",
        window.as_secs_f64()
    );
    println!("    between two clients; late: how late the upstream itself answered");
    println!(
        "{:>4}{:>6}  {:<30}{:>8}{:>10}{:>26}{:>10}{:>10}",
        "T", "S ms", "", "T/S", "served/s", "percent of T/S", "idle µs", "late µs"
    );
    let ways = [
        Way::Direct,
        Way::Haproxy,
        Way::Connection(Habit::Close),
        Way::Connection(Habit::SayClose),
        Way::Request,
    ];
    for setting in settings {
        for way in ways {
            let executable = match (way, tpp) {
                (Way::Direct | Way::Haproxy, _) => Path::new(""),
                (_, Some(tpp)) => tpp,
                (_, None) => continue,
            };
            let scratch = tempfile::tempdir_in(dir)?;
            let windows = measure(way, *setting, executable, window, scratch.path())?;
            print_row(way, *setting, &windows);
        }
    }
    Ok(())
}

/// Lets a crowd fill the queue, then watches the upstream.
fn measure(
    way: Way,
    setting: Setting,
    executable: &Path,
    window: Duration,
    dir: &Path,
) -> Result<Vec<Ledger>> {
    let Setting { tokens, service } = setting;
    let upstream = SlowUpstream::start(service)?;
    let tpp = |mode| {
        let settings = TppSettings {
            name: TPP_NAMES[0],
            executable,
            workers: 2,
            sessions: tokens,
            mode,
        };
        servers::start_tpp(dir, &settings, upstream.address)
    };
    let (server, clients, habit) = match way {
        Way::Direct => (None, tokens, Habit::KeepAlive),
        Way::Haproxy => {
            let haproxy = servers::start_haproxy(dir, 2, upstream.address, Some(tokens))?;
            (Some(haproxy), CROWDING * tokens, Habit::KeepAlive)
        }
        Way::Connection(habit) => (Some(tpp("connection")?), CROWDING * tokens, habit),
        Way::Request => (Some(tpp("request")?), CROWDING * tokens, Habit::KeepAlive),
    };
    let target = server
        .as_ref()
        .map_or(upstream.address, |server| server.address);
    let crowd = Crowd::gather(target, clients, habit)?;
    thread::sleep(Duration::from_secs(1));
    upstream.take_ledger();
    let watch = |_| {
        thread::sleep(window);
        upstream.take_ledger()
    };
    let windows = (0..WINDOWS).map(watch).collect();
    crowd.disperse()?;
    Ok(windows)
}

fn print_row(way: Way, setting: Setting, windows: &[Ledger]) {
    let Setting { tokens, service } = setting;
    let ideal = tokens as f64 / service.as_secs_f64();
    let served = |ledger: &Ledger| rate(&ledger.arrivals, tokens);
    let actual = |ledger: &Ledger| ledger.service.as_secs_f64() / ledger.arrivals.len() as f64;
    let late = |ledger: &Ledger| (actual(ledger) - service.as_secs_f64()) * 1e6;
    let idle = |ledger: &Ledger| (tokens as f64 / served(ledger) - actual(ledger)) * 1e6;
    println!(
        "{tokens:>4}{:>6}  {:<30}{ideal:>8.0}{:>10.1}{:>26.2}{:>10.0}{:>10.0}",
        service.as_millis(),
        way.name(),
        Summary::of(windows.iter().map(served)).median,
        Summary::of(windows.iter().map(|ledger| served(ledger) / ideal * 100.0)),
        Summary::of(windows.iter().map(idle)).median,
        Summary::of(windows.iter().map(late)).median,
    );
    let doubled: u64 = windows.iter().map(|ledger| ledger.doubled).sum();
    if doubled > 0 {
        println!("     WRONG: {doubled} requests came with a token in use by another");
    }
}

/// Requests per second. With `lanes` requests at work at a time, arrival i and arrival i + `lanes` are one
/// turn apart: so measured, the ends of the window, which cut turns in two, do not count.
fn rate(arrivals: &[Instant], lanes: usize) -> f64 {
    let mut arrivals = arrivals.to_vec();
    arrivals.sort_unstable();
    let lane_rate = |lane: usize| {
        let turns: Vec<Instant> = arrivals.iter().skip(lane).step_by(lanes).copied().collect();
        match turns[..] {
            [first, .., last] => (turns.len() - 1) as f64 / (last - first).as_secs_f64(),
            _ => 0.0,
        }
    };
    (0..lanes).map(lane_rate).sum()
}
