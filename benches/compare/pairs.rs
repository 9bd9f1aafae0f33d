//! Differences too small for rounds that lie minutes apart: two proxies under load at the same time, so that whatever disturbs the
//! machine disturbs both alike. How certain the middle of many such turns is, is said with it.

use std::{fs, path::Path, thread, time::Duration};

use crate::{
    Result,
    load::{Load, Outcome},
    process::CpuReading,
    servers::Server,
    stats::Summary,
};

/// How long both proxies of a pair are under load.
const LOADED: Duration = Duration::from_secs(2);
/// How long both are at rest then. What a proxy still does of what it was asked for, such as sending spans away, counts as its work.
const AT_REST: Duration = Duration::from_millis(500);
/// From one look at their processor time to the next.
pub(crate) const TURN: Duration = LOADED.saturating_add(AT_REST);

/// A proxy, and another that it is compared with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair<'a> {
    pub(crate) plain: &'a Server,
    pub(crate) further: &'a Server,
}

/// What two proxies did in one turn.
#[derive(Debug)]
struct Turn {
    plain: Worked,
    further: Worked,
}

/// What one did in it.
#[derive(Debug)]
struct Worked {
    outcome: Outcome,
    /// Processor microseconds a request.
    cost: f64,
}

/// Measures `pairs` in turn, so many times, with `load` on both, and prints what the latter costs more.
pub(crate) fn show(
    what: &str,
    pairs: &[Pair<'_>],
    load: Load,
    turns: usize,
    connections: usize,
    dir: &Path,
) -> Result<()> {
    let mut measured: Vec<Vec<Turn>> = pairs.iter().map(|_| Vec::new()).collect();
    // The first turn is for warming up.
    for turn in 0..=turns {
        for (pair, measured) in pairs.iter().zip(&mut measured) {
            let worked = pair.take_turn(load, connections, dir)?;
            measured.extend((turn > 0).then_some(worked));
        }
    }
    println!(
        "\n{what}, {connections} connections to each of two at once; median, and in brackets what it is within by 95 %, of {turns} turns of {} s",
        LOADED.as_secs()
    );
    println!(
        "{:<28}{:>23}{:>24}{:>22}{:>28}",
        "", "requests/s of both", "CPU µs/request", "the former's", "CPU more, %"
    );
    for (pair, turns) in pairs.iter().zip(&measured) {
        let summary = |of: fn(&Turn) -> f64| Summary::of_median(turns.iter().map(of));
        println!(
            "{:<28}{:>23.0}{:>24.1}{:>22.1}{:>28}",
            format!(
                "{} beside {}",
                pair.further.program.name(),
                pair.plain.program.name()
            ),
            summary(|turn| turn.plain.rate() + turn.further.rate()),
            summary(|turn| turn.further.cost),
            summary(|turn| turn.plain.cost),
            format!(
                "{:+.1}",
                summary(|turn| (turn.further.cost / turn.plain.cost - 1.0) * 100.0)
            ),
        );
    }
    Ok(())
}

impl Pair<'_> {
    fn take_turn(&self, load: Load, connections: usize, dir: &Path) -> Result<Turn> {
        let both = [self.plain, self.further];
        let read = || -> Result<[CpuReading; 2]> {
            Ok([self.plain.program.cpu()?, self.further.program.cpu()?])
        };
        let before = read()?;
        let [plain, further] = thread::scope(|scope| {
            let loads = both.map(|server| {
                scope.spawn(move || {
                    let name = server.program.name();
                    // wrk's script lies there.
                    let dir = dir.join(format!("load-{name}"));
                    fs::create_dir_all(&dir).map_err(|error| error.to_string())?;
                    load.run(server.address, connections, LOADED, &dir)
                        .map_err(|error| format!("{name}: {error}"))
                })
            });
            loads.map(|load| {
                load.join()
                    .unwrap_or_else(|_| Err("a load panicked".to_owned()))
            })
        });
        thread::sleep(AT_REST);
        let after = read()?;
        Ok(Turn {
            plain: Worked::of(plain?, &before[0], &after[0])?,
            further: Worked::of(further?, &before[1], &after[1])?,
        })
    }
}

impl Worked {
    fn of(outcome: Outcome, before: &CpuReading, after: &CpuReading) -> Result<Self> {
        let cost = after.since(before)?.total.as_secs_f64() * 1e6 / outcome.requests as f64;
        Ok(Self { outcome, cost })
    }

    fn rate(&self) -> f64 {
        self.outcome.requests as f64 / self.outcome.elapsed.as_secs_f64()
    }
}
