//! (c): how much of its tokens' time a pool puts to use. With T tokens and S of service for each request,
//! nobody can serve more than T/S; what is missing is the time that a token lies idle between two clients.

use std::{
    net::SocketAddr,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use crate::{
    Result,
    crowd::{Crowd, Habit},
    servers::{self, TppSettings},
    slow_upstream::{Ledger, SlowUpstream},
};

/// Clients for each token.
const CROWDING: usize = 64;

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
        "    'idle' is how long a token lies idle between two clients, 'late' how late the upstream itself answered"
    );
    println!(
        "{:>4}{:>6}  {:<30}{:>10}{:>10}{:>10}{:>11}{:>11}",
        "T", "S ms", "", "T/S", "served/s", "percent", "idle µs", "late µs"
    );
    let tpp_ways = [
        Way::Connection(Habit::Close),
        Way::Connection(Habit::SayClose),
        Way::Request,
    ];
    for setting in settings {
        for way in [Way::Direct, Way::Haproxy].into_iter().chain(tpp_ways) {
            let executable = match (way, tpp) {
                (Way::Direct | Way::Haproxy, _) => Path::new(""),
                (_, Some(tpp)) => tpp,
                (_, None) => continue,
            };
            let scratch = tempfile::tempdir_in(dir)?;
            let ledger = measure(way, *setting, executable, window, scratch.path())?;
            print_row(way, *setting, &ledger);
        }
    }
    Ok(())
}

fn measure(
    way: Way,
    setting: Setting,
    executable: &Path,
    window: Duration,
    dir: &Path,
) -> Result<Ledger> {
    let upstream = SlowUpstream::start(setting.service)?;
    let clients = CROWDING * setting.tokens;
    let tpp = |mode| {
        let settings = TppSettings {
            executable,
            workers: 2,
            sessions: setting.tokens,
            mode,
        };
        servers::start_tpp(dir, &settings, upstream.address)
    };
    match way {
        Way::Direct => watch(
            &upstream,
            upstream.address,
            setting.tokens,
            Habit::KeepAlive,
            window,
        ),
        Way::Haproxy => {
            let haproxy = servers::start_haproxy(dir, 2, upstream.address, Some(setting.tokens))?;
            watch(
                &upstream,
                haproxy.address,
                clients,
                Habit::KeepAlive,
                window,
            )
        }
        Way::Connection(habit) => watch(
            &upstream,
            tpp("connection")?.address,
            clients,
            habit,
            window,
        ),
        Way::Request => watch(
            &upstream,
            tpp("request")?.address,
            clients,
            Habit::KeepAlive,
            window,
        ),
    }
}

/// Lets the crowd fill the queue, then watches the upstream for `window`.
fn watch(
    upstream: &SlowUpstream,
    target: SocketAddr,
    clients: usize,
    habit: Habit,
    window: Duration,
) -> Result<Ledger> {
    let crowd = Crowd::gather(target, clients, habit)?;
    thread::sleep(Duration::from_secs(1));
    upstream.take_ledger();
    thread::sleep(window);
    let ledger = upstream.take_ledger();
    crowd.disperse()?;
    Ok(ledger)
}

fn print_row(way: Way, setting: Setting, ledger: &Ledger) {
    let Setting { tokens, service } = setting;
    let ideal = tokens as f64 / service.as_secs_f64();
    let served = rate(&ledger.arrivals, tokens);
    let actual = ledger.service.as_secs_f64() / ledger.arrivals.len() as f64;
    let late = (actual - service.as_secs_f64()) * 1e6;
    let idle = (tokens as f64 / served - actual) * 1e6;
    println!(
        "{tokens:>4}{:>6}  {:<30}{ideal:>10.1}{served:>10.1}{:>8.2} %{idle:>11.0}{late:>11.0}",
        service.as_millis(),
        way.name(),
        served / ideal * 100.0,
    );
    if ledger.doubled > 0 {
        println!(
            "     WRONG: {} requests came with a token in use by another",
            ledger.doubled
        );
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
