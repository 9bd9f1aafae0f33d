//! The judge: it sees which downstream connection used which token, and when, and says where a lease was
//! not exclusive or not whole.
//!
//! Clients name themselves in each request (`X-Conn`), tell the judge before they leave, and leave it a
//! handle of their socket, so that it sees when tpp or a worker's death ended the connection. What it calls a
//! fault is one at whatever pace the machine goes: it never relies on two threads being scheduled in some order.
//!
//! tpp may end a connection by itself: it says `Connection: close`, gives the slot on at once, and the client has yet
//! to read that. So a slot seen with two connections is a suspicion at first. It is dropped if the first one proves to
//! have been told to close, or to be hung up; it is a fault if that one is served once more, or leaves of its own
//! accord, or stays.
//!
//! Where it [watches the service](Oracle::watch_service), it also sees to it that no two requests with one token are
//! at work in the upstream at once, be their clients there or gone.

mod book;

use std::{
    net::TcpStream,
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
};

use book::{Book, Suspicion, is_hung_up};

/// Number of a downstream connection, unique within the test process.
pub(crate) type ConnId = u64;

/// A judge, shared by the upstream and its clients.
#[derive(Debug, Clone, Default)]
pub(crate) struct Oracle(Arc<Mutex<Book>>);

/// A token as the upstream issued it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) user: String,
    /// The upstream that issued it: each has sessions of its own.
    pub(crate) origin: usize,
    pub(crate) token: String,
    /// How many tokens of this user may be in use at once.
    pub(crate) sessions: usize,
    /// They are one token, which so many may use at once.
    pub(crate) is_shared: bool,
}

/// Two requests with one token were at work at once.
#[derive(Debug, Clone)]
pub(crate) struct Overlap {
    pub(crate) at: Instant,
    /// The ports of the two clients.
    pub(crate) ports: [u16; 2],
    pub(crate) what: String,
}

/// A request that the upstream is serving; ended by [`Turn::end`] or by drop.
#[derive(Debug)]
pub(crate) struct Turn {
    oracle: Oracle,
    /// The token, and the number of this turn; `None`: it says nothing.
    service: Option<(String, u64)>,
}

// === impl Oracle ===

impl Oracle {
    /// From now on a connection may change its token from request to request (`lease.mode = "request"`).
    pub(crate) fn allow_a_lease_per_request(&self) {
        self.book().lease_per_request = true;
    }

    /// From now on two requests with one token that are at work at once are an [`Overlap`], be their clients gone or not.
    pub(crate) fn watch_service(&self) {
        self.book().watches_service = true;
    }

    /// tpp is told to move to another upstream of this judge: at any time from now on.
    pub(crate) fn note_move(&self) {
        self.book().moves += 1;
    }

    /// The overlaps so far. Who takes them judges them; those that nobody takes are faults.
    pub(crate) fn take_overlaps(&self) -> Vec<Overlap> {
        std::mem::take(&mut self.book().overlaps)
    }

    /// The upstream has cut its connections: whatever it still does, nobody can wait for.
    pub(super) fn forget_service(&self) {
        self.book().in_service.clear();
    }

    /// A client enters; `socket` is its end of the connection.
    pub(crate) fn enters(&self, conn: ConnId, socket: &TcpStream) {
        let port = socket.local_addr().map_or(0, |address| address.port());
        let socket = socket.try_clone().expect("duplicate a client's socket");
        let mut book = self.book();
        let conn = book.conns.entry(conn).or_default();
        (conn.socket, conn.port) = (Some(socket), port);
    }

    /// A client is about to end its connection: called before it does anything that tpp may see as the end.
    /// `unread`: an answer may be on its way that says that the connection is over.
    pub(crate) fn leaves(&self, conn: ConnId, unread: bool) {
        let mut book = self.book();
        if unread || book.is_over(conn) {
            book.clear(conn);
        } else {
            book.incriminate(conn);
        }
        let conn = book.conns.entry(conn).or_default();
        conn.left = true;
        conn.socket = None;
    }

    /// A client has read an answer that says that its connection is over.
    pub(crate) fn told_to_close(&self, conn: ConnId) {
        let mut book = self.book();
        book.clear(conn);
        book.conns.entry(conn).or_default().left = true;
    }

    /// A request of `conn` with `account`'s token came in over `upstream_socket`.
    pub(crate) fn begins(
        &self,
        conn: ConnId,
        account: &Account,
        upstream_socket: &TcpStream,
    ) -> Turn {
        let mut book = self.book();
        book.conns.entry(conn).or_default().requests += 1;
        let is_over = book.is_over(conn);
        // A request may lie in a connection that tpp has given up since, to send it once more over another.
        if is_hung_up(upstream_socket) || is_over && !book.watches_service {
            return Turn {
                oracle: self.clone(),
                service: None,
            };
        }
        if !is_over {
            book.incriminate(conn);
            if !book.lease_per_request {
                book.check_account(conn, account);
                book.check_token(conn, account);
                book.check_sessions(conn, account);
            }
            book.check_service(conn, account);
        }
        let turn = book.begin_service(conn, account, upstream_socket);
        Turn {
            oracle: self.clone(),
            service: Some((account.token.clone(), turn)),
        }
    }

    /// Writes a fault down that another part of the upstream found.
    pub(crate) fn fault(&self, what: String) {
        self.book().faults.push(what);
    }

    /// All that was wrong, and what cannot be explained so far.
    pub(crate) fn faults(&self) -> Vec<String> {
        let book = self.book();
        let unexplained = |suspicion: &&Suspicion| {
            !suspicion.others.iter().any(|&other| {
                let conn = book.conns.get(&other);
                conn.and_then(|conn| conn.socket.as_ref())
                    .is_none_or(is_hung_up)
            })
        };
        let open = book.suspicions.iter().filter(unexplained);
        let open = open.map(|suspicion| suspicion.what.clone());
        let overlaps = book.overlaps.iter().map(|overlap| overlap.what.clone());
        let proven = book.faults.iter().cloned();
        proven.chain(open).chain(overlaps).collect()
    }

    /// The user whose token `conn` was seen with.
    pub(crate) fn account_of(&self, conn: ConnId) -> Option<String> {
        self.book()
            .conns
            .get(&conn)
            .and_then(|conn| Some(conn.account.as_ref()?.user.clone()))
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().expect("no thread panics with the book open")
    }
}

// === impl Turn ===

impl Turn {
    /// The upstream is about to send the last of its answer: from then on tpp may lend the token to another.
    pub(crate) fn end(&mut self) {
        if let Some((token, turn)) = self.service.take() {
            let mut book = self.oracle.book();
            if let Some(services) = book.in_service.get_mut(&token) {
                services.retain(|service| service.turn != turn);
                if services.is_empty() {
                    book.in_service.remove(&token);
                }
            }
        }
    }

    /// The request has come to its last byte; the upstream is about to begin its work.
    pub(super) fn is_whole(&self) {
        if let Some((token, turn)) = &self.service {
            let mut book = self.oracle.book();
            if book.watches_service {
                book.check_overlap(token, *turn);
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.end();
    }
}
