//! The upstream's accounts and the tokens it issued.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::{Duration, Instant},
};

use super::oracle::Account;

/// Stands in every token, so that one that leaks is found by a search.
pub(crate) const TOKEN_MARK: &str = "c2VjcmV0";

/// Length of a line of base64 as DolphinDB breaks it.
const COLUMNS: usize = 64;

/// Tokens issued by all upstreams of this process.
static ISSUED: AtomicUsize = AtomicUsize::new(0);

/// Accounts and tokens.
#[derive(Debug, Default)]
pub(super) struct Register {
    /// The number of the upstream whose it is.
    pub(super) origin: usize,
    accounts: HashMap<String, Known>,
    issued: HashMap<String, Token>,
}

/// An account.
#[derive(Debug)]
struct Known {
    /// `None`: it logs in elsewhere.
    password: Option<String>,
    sessions: usize,
    /// All who use it have one token.
    is_shared: bool,
}

#[derive(Debug)]
struct Token {
    user: String,
    live: bool,
    issued: Instant,
}

/// A fresh token as a login answers it.
#[derive(Debug)]
pub(super) struct Issued {
    /// Base64 in lines, with a line break at the end.
    pub(super) text: String,
    pub(super) session: usize,
}

impl Register {
    pub(super) fn add_account(&mut self, user: &str, password: &str, sessions: usize) {
        let known = Known {
            password: Some(password.to_owned()),
            sessions,
            is_shared: false,
        };
        self.accounts.insert(user.to_owned(), known);
    }

    /// Makes `user` known, who logs in elsewhere.
    pub(super) fn add_outsider(&mut self, user: &str, sessions: usize, is_shared: bool) {
        let known = Known {
            password: None,
            sessions,
            is_shared,
        };
        self.accounts.insert(user.to_owned(), known);
    }

    /// Lets `user` in by a token that another server has issued.
    pub(super) fn admit(&mut self, user: &str, token: &str) {
        let issued = Token {
            user: user.to_owned(),
            live: true,
            issued: Instant::now(),
        };
        self.issued.insert(token.to_owned(), issued);
    }

    /// Refuses one token from now on.
    pub(super) fn end(&mut self, token: &str) {
        if let Some(token) = self.issued.get_mut(token) {
            token.live = false;
        }
    }

    /// A fresh token, if the password is right.
    pub(super) fn issue(&mut self, user: &str, password: &str) -> Option<Issued> {
        self.accounts
            .get(user)
            .filter(|known| known.password.as_deref() == Some(password))?;
        let session = self.issued.len();
        // No two upstreams of a test know one token: what one drew is foreign to the other.
        let token = make_token(ISSUED.fetch_add(1, Relaxed));
        let text = break_lines(&token);
        self.issued.insert(
            token,
            Token {
                user: user.to_owned(),
                live: true,
                issued: Instant::now(),
            },
        );
        Some(Issued { text, session })
    }

    /// Whose token it is, and whether it is still good. `None`: it was never issued.
    pub(super) fn look_up(&self, token: &str) -> Option<(Account, bool)> {
        let Token { user, live, .. } = self.issued.get(token)?;
        let known = self.accounts.get(user);
        Some((
            Account {
                user: user.clone(),
                origin: self.origin,
                token: token.to_owned(),
                sessions: known.map_or(0, |known| known.sessions),
                is_shared: known.is_some_and(|known| known.is_shared),
            },
            *live,
        ))
    }

    pub(super) fn expire_all(&mut self) {
        self.issued
            .values_mut()
            .for_each(|token| token.live = false);
    }

    pub(super) fn expire(&mut self, user: &str) {
        let of_user = self.issued.values_mut().filter(|token| token.user == user);
        of_user.for_each(|token| token.live = false);
    }

    /// True if the token that `user` drew last is good.
    pub(super) fn is_logged_in(&self, user: &str) -> bool {
        let of_user = self.issued.values().filter(|token| token.user == user);
        of_user
            .max_by_key(|token| token.issued)
            .is_some_and(|token| token.live)
    }

    /// The age of the good token that was issued last.
    pub(super) fn youngest(&self) -> Option<Duration> {
        let good = self.issued.values().filter(|token| token.live);
        good.map(|token| token.issued.elapsed()).min()
    }

    pub(super) fn all(&self) -> Vec<String> {
        self.issued.keys().cloned().collect()
    }
}

/// A token that nobody has had before, for a server that issues its own.
pub(super) fn fresh_token() -> String {
    make_token(ISSUED.fetch_add(1, Relaxed))
}

/// 172 characters that look like base64 and are unlike those of any other number.
fn make_token(number: usize) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut dice = crate::common::dice::Dice::new(number as u64);
    let mut token = format!("{TOKEN_MARK}{number}/");
    while token.len() < 170 {
        token.push(char::from(*dice.pick(ALPHABET)));
    }
    token + "=="
}

fn break_lines(token: &str) -> String {
    let lines = token
        .as_bytes()
        .chunks(COLUMNS)
        .map(String::from_utf8_lossy);
    lines.flat_map(|line| [line, "\n".into()]).collect()
}
