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
    /// The user of each token that was issued, and the server that issued it.
    users: HashMap<String, (String, usize)>,
    /// Tokens that a server is at work for.
    at_work: HashSet<String>,
    /// The connection that each user's token was last seen with, at each server, and after how many moves.
    holders: HashMap<(String, usize), (ConnId, u64)>,
    moves: u64,
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

    /// A new token for `user` at the server of this number.
    pub(crate) fn issue(&self, user: &str, server: usize) -> String {
        let mut book = self.book();
        book.logins += 1;
        let token = format!("{user}-{}", book.logins);
        book.users.insert(token.clone(), (user.to_owned(), server));
        token
    }

    /// A request of `conn` came with `token` to the server of this number, which is at work for it from now on.
    pub(crate) fn uses(&self, conn: ConnId, token: &str, server: usize) {
        let mut book = self.book();
        let Some((user, origin)) = book.users.get(token).cloned() else {
            return book.fault(format!("connection {conn} came with a token nobody issued"));
        };
        if origin != server {
            book.fault(format!(
                "connection {conn} brought a token of {origin} to {server}"
            ));
        }
        if !book.at_work.insert(token.to_owned()) {
            book.fault(format!(
                "connection {conn} came while its token was at work"
            ));
        }
        let moves = book.moves;
        let before = book.holders.insert((user.clone(), server), (conn, moves));
        // Nobody keeps a token through a move.
        let before = before
            .filter(|(_, then)| *then == moves)
            .map(|(other, _)| other);
        if let Some(other) = before.filter(|other| *other != conn && book.open.contains(other)) {
            book.fault(format!("connections {other} and {conn} share {user}"));
        }
    }

    /// The server is about to send the last of its answer, or gives it up.
    pub(crate) fn has_done(&self, token: &str) {
        self.book().at_work.remove(token);
    }

    /// tpp is about to be told to move to another server, or has moved.
    pub(crate) fn note_move(&self) {
        self.book().moves += 1;
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
