//! What is slow, and what fails.

use tpp::{
    config::DEFAULT_POOL,
    control::{AnswerTimes, FailingAccount, Hold, HoldEnded, Slow},
};

use super::{
    Tone,
    text::{counted, short_span, visible},
};

/// A hold shorter than this is nobody's concern, milliseconds.
const LEAST_TOLD: u64 = 1000;
/// Accounts that are told of.
const MOST_ACCOUNTS: usize = 3;

/// The status's lines of it.
pub(super) fn slow(slow: &Slow) -> Vec<(&'static str, String, Tone)> {
    let mut told = Vec::new();
    let hold = slow.longest_hold.as_ref();
    if let Some(hold) = hold.filter(|hold| hold.held_ms >= LEAST_TOLD) {
        told.push(holder(hold));
    }
    told.extend(slow.longest_ended_hold.as_ref().map(ended));
    if let Some(slowest) = &slow.slowest_backend {
        let id = visible(&slowest.id);
        told.push(format!("backend {id}: {}", answers(&slowest.answers)));
    }
    let label = |at: usize, label| if at == 0 { label } else { "" };
    let told = told.into_iter().enumerate();
    let told = told.map(|(at, line)| (label(at, "slow"), line, Tone::Plain));
    let failing = slow.failing_accounts.iter().take(MOST_ACCOUNTS).enumerate();
    let failing = failing.map(|(at, one)| (label(at, "logins"), account(one), Tone::Warning));
    told.chain(failing).collect()
}

/// Who holds a token, and for how long.
fn holder(hold: &Hold) -> String {
    format!(
        "slot {}{} held for {}",
        hold.slot,
        of_pool(&hold.pool),
        held(hold.held_ms, hold.client.as_deref(), hold.idle_ms)
    )
}

/// For how long, by whom, and whether anything is asked.
pub(super) fn held(held_ms: u64, client: Option<&str>, idle_ms: Option<u64>) -> String {
    let by = client.map_or_else(String::new, |client| format!(" by {}", visible(client)));
    let doing = match idle_ms {
        None => "a request under way".to_owned(),
        Some(idle) => format!("idle for {}", short_span(idle)),
    };
    format!("{}{by}, {doing}", short_span(held_ms))
}

fn ended(hold: &HoldEnded) -> String {
    let by = hold.client.as_ref();
    let by = by.map_or_else(String::new, |client| format!(" by {}", visible(client)));
    format!(
        "slot {}{} was held for {}{by} until {} ago",
        hold.slot,
        of_pool(&hold.pool),
        short_span(hold.held_ms),
        short_span(hold.ended_ms_ago)
    )
}

/// Nobody need be told of the one pool of a configuration without pools.
fn of_pool(pool: &str) -> String {
    if pool == DEFAULT_POOL {
        String::new()
    } else {
        format!(" of {}", visible(pool))
    }
}

/// How long answers took.
pub(super) fn answers(times: &AnswerTimes) -> String {
    let within = times.p95_ms.map_or_else(
        || ", some more than 10s".to_owned(),
        |bound| format!(", 95 in 100 within {}", milliseconds(bound)),
    );
    format!(
        "{} in {} on average{within}",
        counted(times.count, "answer"),
        milliseconds(times.mean_ms)
    )
}

/// A time that may be shorter than a millisecond.
pub(super) fn milliseconds(time: f64) -> String {
    if time < 10.0 {
        format!("{time:.1}ms")
    } else {
        // No time has that many digits.
        short_span(time.round().max(0.0) as u64)
    }
}

fn account(failing: &FailingAccount) -> String {
    format!(
        "{}{} fails, {}: {}",
        visible(&failing.user),
        of_pool(&failing.pool),
        counted(failing.errors, "error"),
        visible(&failing.last_error)
    )
}
