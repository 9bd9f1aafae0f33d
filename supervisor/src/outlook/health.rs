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
            upstream_resolved: !details.upstream_addresses.is_empty(),
            last_reload_failed: details.last_reload_failed(),
        }
    }

    /// Health, and a line for each reason why it is not [`Health::Healthy`]: unhealthy without a ready
    /// worker or a usable token, degraded if anything else is missing.
    #[must_use]
    pub fn assess(&self, audience: Audience) -> (Health, Vec<String>) {
        let fatal = [self.without_worker(), self.without_token()];
        let partial = [
            self.missing_workers(),
            self.missing_tokens(),
            self.refused(audience),
            (!self.upstream_resolved).then(|| "no address of the upstream is known".to_owned()),
            self.last_reload_failed
                .then(|| "the last reload was refused".to_owned()),
        ];
        let health = if fatal.iter().any(Option::is_some) {
            Health::Unhealthy
        } else if partial.iter().any(Option::is_some) {
            Health::Degraded
        } else {
            Health::Healthy
        };
        (health, fatal.into_iter().chain(partial).flatten().collect())
    }

    /// Whether clients can be served: a worker is ready and the pool has a usable token.
    ///
    /// # Errors
    /// One line that says what is missing.
    pub fn readiness(&self) -> Result<(), String> {
        let missing: Vec<_> = [self.without_worker(), self.without_token()]
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
mod tests {
    use super::*;

    const WELL: Inputs<'_> = Inputs {
        pool: PoolStatus {
            total: 8,
            in_use: 8,
            available: 0,
            waiting: 100,
        },
        configured_tokens: 8,
        workers_ready: 2,
        workers_wanted: 2,
        refused_users: &[],
        all_refused: None,
        upstream_resolved: true,
        last_reload_failed: false,
    };

    fn usable(total: u64) -> PoolStatus {
        PoolStatus {
            total,
            ..PoolStatus::default()
        }
    }

    #[track_caller]
    fn assessed(inputs: Inputs<'_>, health: Health, reasons: &[&str]) {
        assert_eq!(
            inputs.assess(Audience::Operator),
            (health, reasons.iter().map(ToString::to_string).collect())
        );
    }

    #[test]
    fn a_busy_pool_is_healthy() {
        assessed(WELL, Health::Healthy, &[]);
        assert_eq!(WELL.readiness(), Ok(()));
    }

    #[test]
    fn more_than_is_wanted_is_healthy() {
        // While a reload replaces workers or takes slots away.
        assessed(
            Inputs {
                workers_ready: 3,
                pool: usable(9),
                ..WELL
            },
            Health::Healthy,
            &[],
        );
    }

    #[test]
    fn each_thing_missing_degrades() {
        for (inputs, reason) in [
            (
                Inputs {
                    workers_ready: 1,
                    ..WELL
                },
                "1 of 2 workers ready",
            ),
            (
                Inputs {
                    pool: usable(7),
                    ..WELL
                },
                "7 of 8 tokens usable",
            ),
            (
                Inputs {
                    refused_users: &["user1".into()],
                    ..WELL
                },
                "login refused for user1",
            ),
            (
                Inputs {
                    upstream_resolved: false,
                    ..WELL
                },
                "no address of the upstream is known",
            ),
            (
                Inputs {
                    last_reload_failed: true,
                    ..WELL
                },
                "the last reload was refused",
            ),
        ] {
            assessed(inputs, Health::Degraded, &[reason]);
            assert_eq!(inputs.readiness(), Ok(()), "{reason}");
        }
    }

    #[test]
    fn without_a_worker_or_a_token_it_is_unhealthy_and_not_ready() {
        let idle = Inputs {
            workers_ready: 0,
            ..WELL
        };
        assessed(idle, Health::Unhealthy, &["no worker is ready"]);
        assert_eq!(idle.readiness(), Err("no worker is ready".into()));

        let dry = Inputs {
            pool: usable(0),
            ..WELL
        };
        assessed(dry, Health::Unhealthy, &["no usable token"]);
        assert_eq!(dry.readiness(), Err("no usable token".into()));

        let neither = Inputs {
            workers_ready: 0,
            ..dry
        };
        assert_eq!(
            neither.readiness(),
            Err("no worker is ready, no usable token".into())
        );
    }

    #[test]
    fn anybody_is_told_how_many_accounts_are_refused_and_not_whose() {
        let refused = ["a-user", "b-user"].map(String::from);
        let inputs = Inputs {
            refused_users: &refused,
            ..WELL
        };
        let (health, reasons) = inputs.assess(Audience::Anybody);
        assert_eq!(health, Health::Degraded);
        assert!(
            reasons[0].starts_with("login refused for 2 accounts"),
            "{reasons:?}"
        );
        assert!(!reasons[0].contains("-user"), "{reasons:?}");
    }

    #[test]
    fn all_reasons_are_given_the_gravest_first() {
        let refused = ["a", "b", "c", "d", "e", "f", "g"].map(String::from);
        assessed(
            Inputs {
                pool: usable(0),
                configured_tokens: 8,
                workers_ready: 1,
                workers_wanted: 2,
                refused_users: &refused,
                all_refused: None,
                upstream_resolved: false,
                last_reload_failed: true,
            },
            Health::Unhealthy,
            &[
                "no usable token",
                "1 of 2 workers ready",
                "login refused for a, b, c, d, e and 2 more",
                "no address of the upstream is known",
                "the last reload was refused",
            ],
        );
    }
}
