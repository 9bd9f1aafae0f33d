//! What the judge has seen, and what it makes of it.

use std::{collections::HashMap, net::TcpStream, os::fd::AsFd, time::Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::{Account, ConnId, Overlap};

#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) conns: HashMap<ConnId, Conn>,
    pub(super) holder_of_token: HashMap<String, ConnId>,
    pub(super) holders_of_user: HashMap<(usize, String), Vec<ConnId>>,
    /// By token.
    pub(super) in_service: HashMap<String, Vec<InService>>,
    pub(super) turns: u64,
    pub(super) moves: u64,
    pub(super) lease_per_request: bool,
    pub(super) watches_service: bool,
    pub(super) overlaps: Vec<Overlap>,
    pub(super) suspicions: Vec<Suspicion>,
    pub(super) faults: Vec<String>,
}

/// More connections share something than may, unless one of `others` was over unbeknownst to us.
#[derive(Debug)]
pub(super) struct Suspicion {
    pub(super) others: Vec<ConnId>,
    pub(super) what: String,
}

/// Whose token a connection was seen with, at which upstream, and after how many moves.
#[derive(Debug)]
pub(super) struct Holding {
    pub(super) user: String,
    origin: usize,
    moves: u64,
}

#[derive(Debug, Default)]
pub(super) struct Conn {
    pub(super) socket: Option<TcpStream>,
    pub(super) port: u16,
    pub(super) left: bool,
    pub(super) account: Option<Holding>,
    pub(super) requests: u64,
}

#[derive(Debug)]
pub(super) struct InService {
    pub(super) turn: u64,
    conn: ConnId,
    upstream_socket: TcpStream,
    /// The request is in to its last byte: without that, there is nothing to do for it.
    is_whole: bool,
}

impl Book {
    /// True if the connection ended, whoever ended it: what still arrives of it says nothing.
    pub(super) fn is_over(&self, conn: ConnId) -> bool {
        let Some(conn) = self.conns.get(&conn) else {
            return true;
        };
        conn.left || conn.socket.as_ref().is_some_and(is_hung_up)
    }

    /// `conn` was over when it seemed to share something.
    pub(super) fn clear(&mut self, conn: ConnId) {
        let suspicions = &mut self.suspicions;
        suspicions.retain(|suspicion| !suspicion.others.contains(&conn));
    }

    /// `conn` was not over at any time up to now.
    pub(super) fn incriminate(&mut self, conn: ConnId) {
        for suspicion in &mut self.suspicions {
            suspicion.others.retain(|&other| other != conn);
        }
        let proven = self
            .suspicions
            .extract_if(.., |suspicion| suspicion.others.is_empty());
        let proven: Vec<_> = proven.map(|suspicion| suspicion.what).collect();
        self.faults.extend(proven);
    }

    pub(super) fn check_account(&mut self, conn: ConnId, account: &Account) {
        let now = Holding {
            user: account.user.clone(),
            origin: account.origin,
            moves: self.moves,
        };
        let holding = &mut self.conns.entry(conn).or_default().account;
        let Some(before) = holding else {
            *holding = Some(now);
            return;
        };
        if before.user == now.user {
            return;
        }
        // Tokens do not move with tpp: whoever held one holds another at the other upstream, or back at the first one.
        if before.origin != now.origin || before.moves < now.moves {
            *holding = Some(now);
            return;
        }
        let (before, now) = (&before.user, now.user);
        let fault = format!("connection {conn} began as {before} and went on as {now}");
        self.faults.push(fault);
    }

    pub(super) fn check_token(&mut self, conn: ConnId, account: &Account) {
        if account.is_shared {
            // How many may have it at once, `check_sessions` sees.
            return;
        }
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

    pub(super) fn check_sessions(&mut self, conn: ConnId, account: &Account) {
        let key = (account.origin, account.user.clone());
        let mut holders = self.holders_of_user.remove(&key).unwrap_or_default();
        holders.retain(|&holder| holder != conn && !self.is_over(holder));
        let others = holders.clone();
        holders.push(conn);
        if holders.len() > account.sessions {
            let Account { user, sessions, .. } = account;
            let what = format!("connections {holders:?} share {sessions} sessions of {user}");
            self.suspicions.push(Suspicion { others, what });
        }
        self.holders_of_user.insert(key, holders);
    }

    /// Whatever the lease spans, two requests with one token must not be in service at once.
    pub(super) fn check_service(&mut self, conn: ConnId, account: &Account) {
        let others = self.in_service.get(&account.token);
        let mut at_work = others
            .into_iter()
            .flatten()
            .filter(|other| !self.is_over(other.conn) && !is_hung_up(&other.upstream_socket));
        let places = if account.is_shared {
            account.sessions
        } else {
            1
        };
        if let Some(other) = at_work.nth(places - 1) {
            let fault = format!(
                "connection {conn} is served with a token of {} while {} is",
                account.user, other.conn
            );
            self.faults.push(fault);
        }
    }

    pub(super) fn begin_service(
        &mut self,
        conn: ConnId,
        account: &Account,
        upstream: &TcpStream,
    ) -> u64 {
        self.turns += 1;
        let upstream_socket = upstream
            .try_clone()
            .expect("duplicate an upstream's socket");
        let service = InService {
            turn: self.turns,
            conn,
            upstream_socket,
            is_whole: false,
        };
        let of_token = self.in_service.entry(account.token.clone());
        of_token.or_default().push(service);
        self.turns
    }

    /// The request of `turn` is in to its end: what else is at work under its token?
    pub(super) fn check_overlap(&mut self, token: &str, turn: u64) {
        let Some(services) = self.in_service.get_mut(token) else {
            return;
        };
        let Some(this) = services.iter_mut().find(|service| service.turn == turn) else {
            return;
        };
        this.is_whole = true;
        let conn = this.conn;
        let port_of = |conn| self.conns.get(&conn).map_or(0, |conn: &Conn| conn.port);
        let others = services
            .iter()
            .filter(|other| other.is_whole && other.turn != turn);
        let overlaps = others.map(|other| Overlap {
            at: Instant::now(),
            ports: [port_of(other.conn), port_of(conn)],
            what: format!(
                "a request of connection {conn} is at work while one of connection {} is, with the same token",
                other.conn
            ),
        });
        self.overlaps.extend(overlaps);
    }
}

/// True if the peer of `socket` shut its side, reset it or died, even if bytes it sent before are still unread.
pub(super) fn is_hung_up(socket: &TcpStream) -> bool {
    let hang_up = EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR;
    let look = || -> nix::Result<usize> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(socket.as_fd(), EpollEvent::new(hang_up, 0))?;
        epoll.wait(&mut [EpollEvent::empty()], EpollTimeout::ZERO)
    };
    look().expect("ask for a socket's state") > 0
}
