//! Between what the core speaks of, accounts as hashes and times in nanoseconds, and what a pool knows.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use tpp::{
    config::{Credential, TakeoverBy},
    lending::Stock,
    pool::{Holder, SlotIndex},
    shared::{Deadlines, Tenure},
};
use tpp_hosts::{
    Account, Class, Formats, PoolSeen, Session, Settings, Takeover, Upstream, Use, Words,
};

use super::Common;
use crate::{
    pools::sharing::nanos,
    refresh::{Book, PlaceOf},
};

/// Nanoseconds of a millisecond, as the region counts.
pub(super) const MILLI: u64 = 1_000_000;

/// Why tpp must not run.
#[derive(Debug, Clone, thiserror::Error)]
#[error("hosts, pool {pool}: {why}")]
pub struct Refused {
    /// Of which pool.
    pub(crate) pool: String,
    /// As the core says it.
    pub(crate) why: String,
}

pub(super) fn tenure_of(class: Class) -> Tenure {
    match class {
        Class::Floating => Tenure::Floating,
        Class::Home => Tenure::Home,
    }
}

pub(super) fn class_of(tenure: Tenure) -> Class {
    match tenure {
        Tenure::Floating => Class::Floating,
        Tenure::Home => Class::Home,
    }
}

/// Rounded down: never later than what was said.
pub(super) fn deadlines_of(words: Words) -> Deadlines {
    Deadlines {
        lend_until: words.lend_until / MILLI,
        cut_at: words.cut_at / MILLI,
        kill_at: words.kill_at / MILLI,
    }
}

/// What the core is to know of the configuration.
pub(super) fn settings_of(
    common: &Common,
    upstream: &Upstream,
    accounts: &[Credential],
    token_life: Duration,
) -> Settings {
    let wanted = &common.wanted;
    let account = |one: &Credential| {
        let limit = u32::try_from(one.sessions).unwrap_or(u32::MAX);
        (Account::of(upstream, &one.username), limit)
    };
    Settings {
        prefix: wanted.prefix.clone(),
        upstream: upstream.clone(),
        cluster: wanted.cluster.clone().unwrap_or_default(),
        name: common.name.clone(),
        host: common.machine.clone(),
        takeover: nanos(wanted.takeover),
        home_takeover: nanos(wanted.home_takeover),
        home_percent: wanted.home_percent,
        expected: wanted.expected,
        min_share: wanted.min_share,
        fair_gap: nanos(wanted.fair_gap),
        takeover_by: match wanted.takeover_by {
            TakeoverBy::Login => Takeover::Login,
            TakeoverBy::Expire => Takeover::Expire {
                token_life: nanos(token_life),
            },
        },
        accounts: accounts.iter().map(account).collect(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        formats: match wanted.newest_format {
            0 => Formats::SPOKEN,
            newest => Formats::SPOKEN.up_to(newest),
        },
    }
}

/// Who is behind each hash.
#[derive(Debug)]
pub(super) struct Names {
    upstream: Upstream,
    users: BTreeMap<Account, String>,
    accounts: HashMap<String, Account>,
}

impl Names {
    /// Of nobody yet at `upstream`.
    pub(super) fn new(upstream: Upstream) -> Self {
        Self {
            upstream,
            users: BTreeMap::new(),
            accounts: HashMap::new(),
        }
    }

    /// Whose accounts they are.
    pub(super) fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Adds those of `accounts`. Nobody is forgotten: a session of one that is gone may still be asked for.
    pub(super) fn learn(&mut self, accounts: &[Credential]) {
        for user in accounts.iter().map(|one| &one.username) {
            let account = Account::of(&self.upstream, user);
            self.users.insert(account, user.clone());
            self.accounts.insert(user.clone(), account);
        }
    }

    /// The user behind a hash, for people.
    pub(super) fn user(&self, account: Account) -> &str {
        self.users.get(&account).map_or("", String::as_str)
    }

    /// The place that a session is; one of an account that nobody knows has an empty name, and is no slot's.
    pub(super) fn place(&self, session: Session) -> PlaceOf {
        PlaceOf {
            user: self.user(session.account).to_owned(),
            place: session.place,
        }
    }

    /// The session that a place is.
    pub(super) fn session(&self, at: &PlaceOf) -> Session {
        let known = self.accounts.get(&at.user).copied();
        Session {
            account: known.unwrap_or_else(|| Account::of(&self.upstream, &at.user)),
            place: at.place,
        }
    }
}

/// What the pool does at `now`, milliseconds of the monotonic clock.
pub(super) fn look(stock: &Stock, book: &Book, names: &Names, now: u64) -> PoolSeen {
    let pool = stock.pool();
    let is_held = |slot: usize| stock.tenure(SlotIndex::new(slot)).is_some();
    let of_slot = |(at, slot): (PlaceOf, usize)| {
        let word = pool.slots[slot].word();
        let what = match word.holder {
            Holder::Free if word.usable => Use::Free,
            Holder::Free => Use::Coming,
            _ => Use::Busy,
        };
        (names.session(&at), what)
    };
    PoolSeen {
        waiting: u32::try_from(pool.waiting()).unwrap_or(u32::MAX),
        oldest_ms: longest_wait(stock, now),
        sessions: book.here(is_held).into_iter().map(of_slot).collect(),
    }
}

/// How long the one who waits longest has waited, milliseconds.
pub(super) fn longest_wait(stock: &Stock, now: u64) -> u64 {
    let pool = stock.pool();
    let since = pool.lines.iter().filter_map(|line| line.oldest_since());
    since.min().map_or(0, |since| now.saturating_sub(since))
}
