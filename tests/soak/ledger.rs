//! Who uses which token: told by clients and upstream, judged here.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard},
};

use crate::common::upstream::ConnId;

/// What clients and upstream agree on.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    /// Connections that their clients have not begun to end.
    open: HashSet<ConnId>,
    /// The user of each token that was issued.
    users: HashMap<String, String>,
    /// The connection that each user's token was last seen with.
    holders: HashMap<String, ConnId>,
    logins: u64,
    faults: Vec<String>,
}

/// Faults that are told; the others are alike.
const MOST_TOLD: usize = 20;

impl Ledger {
    /// A connection begins.
    pub(crate) fn enters(&self, conn: ConnId) {
        self.book().open.insert(conn);
    }

    /// A connection is about to end.
    pub(crate) fn leaves(&self, conn: ConnId) {
        self.book().open.remove(&conn);
    }

    /// A new token for `user`.
    pub(crate) fn issue(&self, user: &str) -> String {
        let mut book = self.book();
        book.logins += 1;
        let token = format!("{user}-{}", book.logins);
        book.users.insert(token.clone(), user.to_owned());
        token
    }

    /// A request of `conn` came with `token`.
    pub(crate) fn uses(&self, conn: ConnId, token: &str) {
        let mut book = self.book();
        let Some(user) = book.users.get(token).cloned() else {
            return book.fault(format!("connection {conn} came with a token nobody issued"));
        };
        let before = book.holders.insert(user.clone(), conn);
        if let Some(other) = before.filter(|other| *other != conn && book.open.contains(other)) {
            book.fault(format!("connections {other} and {conn} share {user}"));
        }
    }

    /// Something else was wrong.
    pub(crate) fn fault(&self, what: String) {
        self.book().fault(what);
    }

    /// Logins so far.
    pub(crate) fn logins(&self) -> u64 {
        self.book().logins
    }

    /// What was wrong.
    pub(crate) fn faults(&self) -> Vec<String> {
        self.book().faults.clone()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().expect("nobody panics with the book open")
    }
}

impl Book {
    fn fault(&mut self, what: String) {
        if self.faults.len() < MOST_TOLD {
            self.faults.push(what);
        }
    }
}
