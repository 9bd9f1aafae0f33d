//! Health in one word, and why: a pure judgement of a few numbers.

use tpp::control::{Health, PoolStatus};

use super::snapshot::Snapshot;

/// Users named in a reason; more are counted.
const NAMED: usize = 5;
/// For those who are not told the names.
const WHICH: &str = "a bad password or a locked user, `tppctl status` says whose";

/// Who is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Whoever may order: users are named.
    Operator,
    /// Whoever reaches the health endpoint: users are counted.
    Anybody,
}

/// Health, and a line for each reason why it is not [`Health::Healthy`].
#[must_use]
pub fn assess(snapshot: &Snapshot, audience: Audience) -> (Health, Vec<String>) {
    let (mut health, mut reasons) = Inputs::of(snapshot).assess(audience);
    if let Some(reason) = without_part(snapshot) {
        health = Health::Unhealthy;
        reasons.insert(0, reason);
    }
    reasons.extend(snapshot.details.put_off.iter().cloned());
    let dropped = snapshot.numbers.access_log_dropped;
    if dropped > 0 {
        reasons.push(format!("{dropped} lines of the access log were dropped"));
    }
    (health, reasons)
}

/// One of many hosts that has no sessions now, or gives them away.
fn without_part(snapshot: &Snapshot) -> Option<String> {
    let (hosts, _) = snapshot.hosts.as_ref()?;
    let has_part = hosts.pools.values().any(|pool| pool.ready);
    (!has_part).then(|| "this host has no sessions: see tppctl hosts".to_owned())
}

/// Whether clients can be served.
///
/// # Errors
/// One line that says what is missing.
pub fn readiness(snapshot: &Snapshot) -> Result<(), String> {
    if snapshot.details.stopping {
        return Err("tpp is stopping".to_owned());
    }
    if let Some(reason) = without_part(snapshot) {
        return Err(reason);
    }
    Inputs::of(snapshot).readiness()
}

/// What health is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The pool's numbers.
    pub pool: PoolStatus,
    /// Slots configured.
    pub configured_tokens: u64,
    /// Workers that serve.
    pub workers_ready: usize,
    /// Workers that should.
    pub workers_wanted: usize,
    /// Users whose logins the server refuses, each once.
    pub refused_users: &'a [String],
    /// How many accounts there are, if the server refuses them all and nobody waits for a token any more.
    pub all_refused: Option<u64>,
    /// Pools that an operator has paused.
    pub paused: &'a [String],
    /// Those are all pools that there are.
    pub all_paused: bool,
    /// What is to be said of tags whose backends take nothing new.
    pub unserved: &'a [String],
    /// Whether an address of the upstream is known.
    pub upstream_resolved: bool,
    /// Whether the last reload was refused, so that the file and what is in force differ.
    pub last_reload_failed: bool,
}

impl<'a> Inputs<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let details = &*snapshot.details;
        Self {
            pool: snapshot.numbers.pool,
            configured_tokens: details.configured_tokens,
            workers_ready: details.workers_ready(),
            workers_wanted: details.workers_wanted,
            refused_users: &details.refused_users,
            all_refused: snapshot.numbers.all_refused,
            paused: &snapshot.numbers.paused,
            all_paused: snapshot.numbers.all_paused,
            unserved: &details.unserved,
            upstream_resolved: !details.upstream_addresses.is_empty(),
            last_reload_failed: details.last_reload_failed(),
        }
    }

    /// Health, and a line for each reason why it is not [`Health::Healthy`]: unhealthy without a ready
    /// worker, a usable token or a pool that lends, degraded if anything else is missing.
    #[must_use]
    pub fn assess(&self, audience: Audience) -> (Health, Vec<String>) {
        let paused = self.paused();
        let (all_paused, some_paused) = if self.all_paused {
            (paused, None)
        } else {
            (None, paused)
        };
        let fatal = [self.without_worker(), self.without_token(), all_paused];
        let partial = [
            some_paused,
            self.missing_workers(),
            self.missing_tokens(),
            self.refused(audience),
            (!self.upstream_resolved).then(|| "no address of the upstream is known".to_owned()),
            self.last_reload_failed
                .then(|| "the last reload was refused".to_owned()),
        ];
        let health = if fatal.iter().any(Option::is_some) {
            Health::Unhealthy
        } else if partial.iter().any(Option::is_some) || !self.unserved.is_empty() {
            Health::Degraded
        } else {
            Health::Healthy
        };
        let reasons = fatal.into_iter().chain(partial).flatten();
        (
            health,
            reasons.chain(self.unserved.iter().cloned()).collect(),
        )
    }

    /// Whether clients can be served: a worker is ready, and a pool has a usable token and lends it.
    ///
    /// # Errors
    /// One line that says what is missing.
    pub fn readiness(&self) -> Result<(), String> {
        let paused = self.paused().filter(|_| self.all_paused);
        let missing: Vec<_> = [self.without_worker(), self.without_token(), paused]
            .into_iter()
            .flatten()
            .collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(missing.join(", "))
        }
    }

    fn without_worker(&self) -> Option<String> {
        (self.workers_ready == 0).then(|| "no worker is ready".to_owned())
    }

    fn without_token(&self) -> Option<String> {
        // Whoever has no account lends no token.
        let needs_some = self.configured_tokens > 0 && self.pool.total == 0;
        needs_some.then(|| match self.all_refused {
            Some(accounts) => format!("no usable token: login refused for all {accounts} accounts"),
            None => "no usable token".to_owned(),
        })
    }

    fn paused(&self) -> Option<String> {
        let named = || self.paused.join(", ");
        match self.paused.len() {
            0 => None,
            1 => Some(format!("pool {} is paused: it lends nothing", named())),
            _ => Some(format!("pools {} are paused: they lend nothing", named())),
        }
    }

    fn missing_workers(&self) -> Option<String> {
        let (ready, wanted) = (self.workers_ready, self.workers_wanted);
        (0 < ready && ready < wanted).then(|| format!("{ready} of {wanted} workers ready"))
    }

    fn missing_tokens(&self) -> Option<String> {
        let (usable, configured) = (self.pool.total, self.configured_tokens);
        (0 < usable && usable < configured)
            .then(|| format!("{usable} of {configured} tokens usable"))
    }

    fn refused(&self, audience: Audience) -> Option<String> {
        match (audience, self.refused_users.len()) {
            (_, 0) => None,
            (Audience::Operator, _) => Some(self.refused_by_name()),
            (Audience::Anybody, 1) => Some(format!("login refused for 1 account: {WHICH}")),
            (Audience::Anybody, count) => {
                Some(format!("login refused for {count} accounts: {WHICH}"))
            }
        }
    }

    fn refused_by_name(&self) -> String {
        let (named, more) = self
            .refused_users
            .split_at(self.refused_users.len().min(NAMED));
        let named = named.join(", ");
        match more.len() {
            0 => format!("login refused for {named}"),
            more => format!("login refused for {named} and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests;
