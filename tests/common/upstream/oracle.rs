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

use std::{
    collections::HashMap,
    net::TcpStream,
    os::fd::AsFd,
    sync::{Arc, Mutex, MutexGuard},
};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

/// Number of a downstream connection, unique within the test process.
pub(crate) type ConnId = u64;

/// A judge, shared by the upstream and its clients.
#[derive(Debug, Clone, Default)]
pub(crate) struct Oracle(Arc<Mutex<Book>>);

/// A token as the upstream issued it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) user: String,
    pub(crate) token: String,
    /// How many tokens of this user may be in use at once.
    pub(crate) sessions: usize,
}

#[derive(Debug, Default)]
struct Book {
    conns: HashMap<ConnId, Conn>,
    holder_of_token: HashMap<String, ConnId>,
    holders_of_user: HashMap<String, Vec<ConnId>>,
    in_service: HashMap<String, InService>,
    lease_per_request: bool,
    suspicions: Vec<Suspicion>,
    faults: Vec<String>,
}

/// More connections share something than may, unless one of `others` was over unbeknownst to us.
#[derive(Debug)]
struct Suspicion {
    others: Vec<ConnId>,
    what: String,
}

#[derive(Debug, Default)]
struct Conn {
    socket: Option<TcpStream>,
    left: bool,
    account: Option<String>,
    requests: u64,
}

#[derive(Debug)]
struct InService {
    conn: ConnId,
    upstream_socket: TcpStream,
}

/// A request that the upstream is serving; ended by [`Turn::end`] or by drop.
#[derive(Debug)]
pub(crate) struct Turn {
    oracle: Oracle,
    token: Option<String>,
}

// === impl Oracle ===

impl Oracle {
    /// From now on a connection may change its token from request to request (`lease.mode = "request"`).
    pub(crate) fn allow_a_lease_per_request(&self) {
        self.book().lease_per_request = true;
    }

    /// A client enters; `socket` is its end of the connection.
    pub(crate) fn enters(&self, conn: ConnId, socket: &TcpStream) {
        let socket = socket.try_clone().expect("duplicate a client's socket");
        self.book().conns.entry(conn).or_default().socket = Some(socket);
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
        // A request may lie in a connection that tpp has given up since, to send it once more over another.
        if book.is_over(conn) || is_hung_up(upstream_socket) {
            return Turn {
                oracle: self.clone(),
                token: None,
            };
        }
        book.incriminate(conn);
        if !book.lease_per_request {
            book.check_account(conn, account);
            book.check_token(conn, account);
            book.check_sessions(conn, account);
        }
        book.check_service(conn, account);
        let upstream_socket = upstream_socket
            .try_clone()
            .expect("duplicate an upstream's socket");
        book.in_service.insert(
            account.token.clone(),
            InService {
                conn,
                upstream_socket,
            },
        );
        Turn {
            oracle: self.clone(),
            token: Some(account.token.clone()),
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
        book.faults.iter().cloned().chain(open).collect()
    }

    /// The user whose token `conn` was seen with.
    pub(crate) fn account_of(&self, conn: ConnId) -> Option<String> {
        self.book()
            .conns
            .get(&conn)
            .and_then(|conn| conn.account.clone())
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().expect("no thread panics with the book open")
    }
}

// === impl Book ===

impl Book {
    /// True if the connection ended, whoever ended it: what still arrives of it says nothing.
    fn is_over(&self, conn: ConnId) -> bool {
        let Some(conn) = self.conns.get(&conn) else {
            return true;
        };
        conn.left || conn.socket.as_ref().is_some_and(is_hung_up)
    }

    /// `conn` was over when it seemed to share something.
    fn clear(&mut self, conn: ConnId) {
        let suspicions = &mut self.suspicions;
        suspicions.retain(|suspicion| !suspicion.others.contains(&conn));
    }

    /// `conn` was not over at any time up to now.
    fn incriminate(&mut self, conn: ConnId) {
        for suspicion in &mut self.suspicions {
            suspicion.others.retain(|&other| other != conn);
        }
        let proven = self
            .suspicions
            .extract_if(.., |suspicion| suspicion.others.is_empty());
        let proven: Vec<_> = proven.map(|suspicion| suspicion.what).collect();
        self.faults.extend(proven);
    }

    fn check_account(&mut self, conn: ConnId, account: &Account) {
        let seen = self
            .conns
            .entry(conn)
            .or_default()
            .account
            .get_or_insert_with(|| account.user.clone());
        if *seen != account.user {
            let fault = format!(
                "connection {conn} began as {seen} and went on as {}",
                account.user
            );
            self.faults.push(fault);
        }
    }

    fn check_token(&mut self, conn: ConnId, account: &Account) {
        let before = self.holder_of_token.insert(account.token.clone(), conn);
        if let Some(other) = before.filter(|&other| other != conn && !self.is_over(other)) {
            self.suspicions.push(Suspicion {
                others: vec![other],
                what: format!(
                    "connections {other} and {conn} hold one token of {}",
                    account.user
                ),
            });
        }
    }

    fn check_sessions(&mut self, conn: ConnId, account: &Account) {
        let mut holders = self
            .holders_of_user
            .remove(&account.user)
            .unwrap_or_default();
        holders.retain(|&holder| holder != conn && !self.is_over(holder));
        let others = holders.clone();
        holders.push(conn);
        if holders.len() > account.sessions {
            let Account { user, sessions, .. } = account;
            let what = format!("connections {holders:?} share {sessions} sessions of {user}");
            self.suspicions.push(Suspicion { others, what });
        }
        self.holders_of_user.insert(account.user.clone(), holders);
    }

    /// Whatever the lease spans, two requests with one token must not be in service at once.
    fn check_service(&mut self, conn: ConnId, account: &Account) {
        let Some(other) = self.in_service.get(&account.token) else {
            return;
        };
        if !self.is_over(other.conn) && !is_hung_up(&other.upstream_socket) {
            let fault = format!(
                "connection {conn} is served with a token of {} while {} is",
                account.user, other.conn
            );
            self.faults.push(fault);
        }
    }
}

// === impl Turn ===

impl Turn {
    /// The upstream is about to send the last of its answer: from then on tpp may lend the token to another.
    pub(crate) fn end(&mut self) {
        if let Some(token) = self.token.take() {
            self.oracle.book().in_service.remove(&token);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.end();
    }
}

/// True if the peer of `socket` shut its side, reset it or died, even if bytes it sent before are still unread.
fn is_hung_up(socket: &TcpStream) -> bool {
    let hang_up = EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR;
    let look = || -> nix::Result<usize> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(socket.as_fd(), EpollEvent::new(hang_up, 0))?;
        epoll.wait(&mut [EpollEvent::empty()], EpollTimeout::ZERO)
    };
    look().expect("ask for a socket's state") > 0
}
