//! Who may log in, which tokens are out, and who uses them at this moment.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tpp::config::Secret;

use super::token;

/// What a stand-in has seen.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stats {
    /// Logins that brought a token.
    pub logins: u64,
    /// Logins that were refused.
    pub logins_refused: u64,
    /// Tokens that are good now.
    pub tokens: u64,
    /// Executes with a good token.
    pub requests: u64,
    /// Executes without one.
    pub unauthorized: u64,
    /// Executes under way.
    pub in_flight: u64,
    /// The most that were under way at one time.
    pub most_in_flight: u64,
    /// Executes that came while another with the same token was under way. Where a client has just gone away, its
    /// request may look alive for a moment longer, so one of these need not be a fault.
    pub overlaps: u64,
    /// Executes that ran to their end although another came with the same token meanwhile: each is a fault.
    pub violations: u64,
    /// The same by user.
    pub users: BTreeMap<String, UserStats>,
}

/// What a stand-in has seen of one user.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UserStats {
    /// Logins that brought a token.
    pub logins: u64,
    /// Logins that were refused.
    pub logins_refused: u64,
    /// Executes with a good token.
    pub requests: u64,
}

pub(super) struct Ledger {
    token_ttl: Option<Duration>,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    passwords: HashMap<String, Secret>,
    /// By token, without white space.
    tokens: HashMap<String, Grant>,
    /// Executes under way, by number.
    uses: BTreeMap<u64, InUse>,
    uses_so_far: u64,
    stats: Stats,
}

struct Grant {
    user: String,
    session: u32,
    expires: Option<Instant>,
}

struct InUse {
    token: String,
    /// Another came with the same token.
    overlapped: bool,
}

/// A login that went well.
pub(super) struct Granted {
    /// In lines.
    pub(super) token: String,
    pub(super) session: u32,
}

impl Ledger {
    pub(super) fn new(users: Vec<(String, Secret)>, token_ttl: Option<Duration>) -> Self {
        let book = Book {
            passwords: users.into_iter().collect(),
            ..Book::default()
        };
        Self {
            token_ttl,
            book: Mutex::new(book),
        }
    }

    /// A token for `user`, or `None` if name or password are wrong.
    pub(super) fn log_in(&self, user: &str, password: &str, now: Instant) -> Option<Granted> {
        let mut book = self.book();
        let good = book
            .passwords
            .get(user)
            .is_some_and(|known| known.expose() == password);
        if !good {
            book.stats.logins_refused += 1;
            book.stats
                .users
                .entry(user.to_owned())
                .or_default()
                .logins_refused += 1;
            return None;
        }
        book.stats.logins += 1;
        book.stats.users.entry(user.to_owned()).or_default().logins += 1;
        book.tokens.retain(|_, grant| grant.is_good(now));
        let (token, session) = (token::draw(), rand::random());
        let expires = self.token_ttl.map(|ttl| now + ttl);
        let bare = token.split_ascii_whitespace().collect();
        book.tokens.insert(
            bare,
            Grant {
                user: user.to_owned(),
                session,
                expires,
            },
        );
        Some(Granted { token, session })
    }

    /// Begins an execute with `token`, or `None` if that is not good.
    pub(super) fn begin(self: &Arc<Self>, token: &str, now: Instant) -> Option<Use> {
        let mut book = self.book();
        let book = &mut *book;
        let Some(grant) = book.tokens.get(token).filter(|grant| grant.is_good(now)) else {
            book.stats.unauthorized += 1;
            return None;
        };
        book.stats.requests += 1;
        book.stats
            .users
            .entry(grant.user.clone())
            .or_default()
            .requests += 1;
        let mut overlaps = false;
        for other in book.uses.values_mut().filter(|other| other.token == token) {
            other.overlapped = true;
            overlaps = true;
        }
        book.stats.overlaps += u64::from(overlaps);
        book.uses_so_far += 1;
        book.uses.insert(
            book.uses_so_far,
            InUse {
                token: token.to_owned(),
                overlapped: false,
            },
        );
        book.stats.most_in_flight = book.stats.most_in_flight.max(book.uses.len() as u64);
        Some(Use {
            ledger: Arc::clone(self),
            number: book.uses_so_far,
            user: grant.user.clone(),
            session: grant.session,
        })
    }

    pub(super) fn stats(&self) -> Stats {
        let book = self.book();
        let now = Instant::now();
        let tokens = book
            .tokens
            .values()
            .filter(|grant| grant.is_good(now))
            .count();
        Stats {
            tokens: tokens as u64,
            in_flight: book.uses.len() as u64,
            ..book.stats.clone()
        }
    }

    pub(super) fn set_password(&self, user: &str, password: Secret) {
        self.book().passwords.insert(user.to_owned(), password);
    }

    pub(super) fn revoke_all(&self) {
        self.book().tokens.clear();
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl Grant {
    fn is_good(&self, now: Instant) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }
}

/// An execute under way. Dropped before [`finish`](Self::finish), it was cut off: its client is gone.
pub(super) struct Use {
    ledger: Arc<Ledger>,
    number: u64,
    pub(super) user: String,
    pub(super) session: u32,
}

impl Use {
    /// It ran to its end.
    pub(super) fn finish(self) {
        let mut book = self.ledger.book();
        let overlapped = book
            .uses
            .get(&self.number)
            .is_some_and(|used| used.overlapped);
        book.stats.violations += u64::from(overlapped);
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        self.ledger.book().uses.remove(&self.number);
    }
}
