//! A stand-in for DolphinDB that does as it is told: logins that fail in every way there is, answers that
//! come late, in pieces or not at all, tokens that expire on demand; and a judge that watches the leases.
//!
//! Raw sockets and a thread a connection, because it must be able to break the protocol.

use std::{
    collections::HashMap,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::fd::AsRawFd,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use nix::sys::socket::{self, shutdown};

use super::place::Place;

mod broken;
mod gates;
mod login;
pub(crate) mod oracle;
mod request;
mod serve;
mod service;
mod tokens;

pub(crate) use gates::Gates;
pub(crate) use login::{Attempt, Login};
pub(crate) use oracle::{ConnId, Oracle};
pub(crate) use request::Seen;
pub(crate) use tokens::TOKEN_MARK;

/// A running upstream; dropped, it is gone with all its connections.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// Its address stays its own while it is down.
    place: Place,
    shared: Arc<Shared>,
    acceptor: Option<Acceptor>,
}

/// What listens, and the thread that takes its connections.
#[derive(Debug)]
struct Acceptor {
    listener: Arc<TcpListener>,
    thread: JoinHandle<()>,
}

/// What all connections of one upstream share.
#[derive(Debug, Default)]
struct Shared {
    oracle: Oracle,
    gates: Gates,
    tokens: Mutex<tokens::Register>,
    logins_under_way: gates::Gauge,
    attempts: Mutex<Vec<Attempt>>,
    scripts: Mutex<Scripts>,
    huge_bytes: AtomicUsize,
    seen: Mutex<Vec<Seen>>,
    open: Mutex<HashMap<u64, TcpStream>>,
    stopping: AtomicBool,
    /// Status for a token that is not valid, if not 401.
    refusal: AtomicU16,
    /// Users who have asked too much, and for how many seconds they are told to wait.
    used_up: Mutex<HashMap<String, u64>>,
}

/// The upstream's list of those who may use it, for a server that issues tokens in its place.
#[derive(Debug, Clone)]
pub(crate) struct Register(Arc<Shared>);

impl Register {
    /// Makes `user` known, who may use it so many times at once: each time with a token of its own, or all with one.
    pub(crate) fn add(&self, user: &str, sessions: usize, is_shared: bool) {
        self.0.tokens().add_outsider(user, sessions, is_shared);
    }

    /// Lets `user` in by this token.
    pub(crate) fn admit(&self, user: &str, token: &str) {
        self.0.tokens().admit(user, token);
    }

    /// A fresh token, which lets `user` in.
    pub(crate) fn issue(&self, user: &str) -> String {
        let token = tokens::fresh_token();
        self.admit(user, &token);
        token
    }

    /// Refuses this token from now on.
    pub(crate) fn end(&self, token: &str) {
        self.0.tokens().end(token);
    }
}

/// What each user's next login is answered with.
#[derive(Debug, Default)]
struct Scripts {
    of_user: HashMap<String, Login>,
    of_others: Option<Login>,
}

// === impl Upstream ===

impl Upstream {
    /// Starts one on a port of the system's choice.
    pub(crate) fn start() -> Self {
        Self::start_under(Oracle::default())
    }

    /// One more, under the judge of another one: a client may be served by either.
    pub(crate) fn start_under(oracle: Oracle) -> Self {
        Self::start_on(SocketAddr::from(([127, 0, 0, 1], 0)), oracle)
    }

    /// One at this address.
    pub(crate) fn start_at(address: SocketAddr) -> Self {
        Self::start_on(address, Oracle::default())
    }

    fn start_on(address: SocketAddr, oracle: Oracle) -> Self {
        let place = Place::at(address);
        let listener = TcpListener::bind(place.address).expect("bind the upstream");
        let mut upstream = Self {
            shared: Arc::new(Shared::new(oracle, place.address.port().into())),
            place,
            acceptor: None,
        };
        upstream.accept_on(listener);
        upstream
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.place.address
    }

    pub(crate) fn oracle(&self) -> &Oracle {
        &self.shared.oracle
    }

    pub(crate) fn gates(&self) -> &Gates {
        &self.shared.gates
    }

    /// Makes `user` known, with its password and how many tokens it may use at once.
    pub(crate) fn add_account(&self, user: &str, password: &str, sessions: usize) {
        self.shared.tokens().add_account(user, password, sessions);
    }

    /// The list of who may use it, to be filled by another server.
    pub(crate) fn register(&self) -> Register {
        Register(Arc::clone(&self.shared))
    }

    /// `user`'s requests are answered 429 from now on, with so many seconds to wait; `None`: no more.
    pub(crate) fn set_used_up(&self, user: &str, seconds: Option<u64>) {
        let mut used_up = self.shared.used_up.lock().expect("used_up");
        match seconds {
            Some(seconds) => used_up.insert(user.to_owned(), seconds),
            None => used_up.remove(user),
        };
    }

    /// What `user`'s logins are answered with from now on.
    pub(crate) fn script_login(&self, user: &str, login: Login) {
        self.shared
            .scripts
            .lock()
            .expect("scripts")
            .of_user
            .insert(user.to_owned(), login);
    }

    /// What the logins of all without a script of their own are answered with from now on.
    pub(crate) fn script_logins(&self, login: Login) {
        self.shared.scripts.lock().expect("scripts").of_others = Some(login);
    }

    /// The logins asked for so far, in order.
    pub(crate) fn attempts(&self) -> Vec<Attempt> {
        self.shared.attempts.lock().expect("attempts").clone()
    }

    /// How often `user` asked to log in.
    pub(crate) fn attempts_of(&self, user: &str) -> usize {
        self.attempts()
            .iter()
            .filter(|attempt| attempt.user == user)
            .count()
    }

    /// Logins under way now, and at most at any time.
    pub(crate) fn logins_under_way(&self) -> (usize, usize) {
        (
            self.shared.logins_under_way.now(),
            self.shared.logins_under_way.most(),
        )
    }

    /// How much of a [`Login::Huge`] was taken.
    pub(crate) fn huge_bytes(&self) -> usize {
        self.shared.huge_bytes.load(SeqCst)
    }

    /// Every token issued so far is refused from now on.
    pub(crate) fn expire_all(&self) {
        self.shared.tokens().expire_all();
    }

    /// Every token issued to `user` so far is refused from now on.
    pub(crate) fn expire(&self, user: &str) {
        self.shared.tokens().expire(user);
    }

    /// True if the token that `user` drew last is good.
    pub(crate) fn is_logged_in(&self, user: &str) -> bool {
        self.shared.tokens().is_logged_in(user)
    }

    /// How long ago the last token was issued that is good.
    pub(crate) fn youngest_token(&self) -> Option<Duration> {
        self.shared.tokens().youngest()
    }

    /// Every token ever issued, without its line breaks.
    pub(crate) fn tokens(&self) -> Vec<String> {
        self.shared.tokens().all()
    }

    /// The service requests that came, in order of arrival.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().expect("seen").clone()
    }

    /// The same, and they are forgotten: a long test keeps no more than it needs.
    pub(crate) fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.shared.seen.lock().expect("seen"))
    }

    /// What a token that is not valid is answered with from now on, in the place of 401.
    pub(crate) fn refuse_with(&self, status: u16) {
        self.shared.refusal.store(status, SeqCst);
    }

    /// Requests that were answered 401.
    pub(crate) fn refusals(&self) -> usize {
        self.seen().iter().filter(|seen| !seen.authorized).count()
    }

    /// No lease was shared or split, and nothing ambiguous came.
    #[track_caller]
    pub(crate) fn assert_clean(&self) {
        let faults = self.oracle().faults();
        assert!(
            faults.is_empty(),
            "{} faults:\n{}",
            faults.len(),
            faults.join("\n")
        );
    }

    /// Closes the listener and every connection: nobody is there.
    pub(crate) fn go_down(&mut self) {
        self.shared.stopping.store(true, SeqCst);
        if let Some(Acceptor { listener, thread }) = self.acceptor.take() {
            // To close it is not enough: a child that another test has just forked has the listener
            // too until its `exec`. This ends it for all, and `accept` returns.
            shutdown(listener.as_raw_fd(), socket::Shutdown::Both).expect("shut down a listener");
            thread
                .join()
                .expect("the upstream's acceptor does not panic");
        }
        self.cut_connections();
    }

    /// Comes back on the same port.
    pub(crate) fn come_up(&mut self) {
        let listener =
            TcpListener::bind(self.place.address).expect("bind the upstream's port again");
        self.accept_on(listener);
    }

    /// Closes every open connection, as a restart does.
    pub(crate) fn cut_connections(&self) {
        for socket in self.shared.open.lock().expect("open").values() {
            drop(socket.shutdown(Shutdown::Both));
        }
        self.shared.oracle.forget_service();
    }

    /// How many connections are open.
    pub(crate) fn connections(&self) -> usize {
        self.shared.open.lock().expect("open").len()
    }

    fn accept_on(&mut self, listener: TcpListener) {
        self.shared.stopping.store(false, SeqCst);
        let (listener, shared) = (Arc::new(listener), Arc::clone(&self.shared));
        let accepted = Arc::clone(&listener);
        let thread = thread::spawn(move || serve::accept(&accepted, &shared));
        self.acceptor = Some(Acceptor { listener, thread });
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.shared.gates.open_all();
        if self.acceptor.is_some() {
            self.go_down();
        }
    }
}

// === impl Shared ===

impl Shared {
    fn new(oracle: Oracle, origin: usize) -> Self {
        let shared = Self {
            oracle,
            ..Self::default()
        };
        shared.tokens().origin = origin;
        shared
    }

    fn tokens(&self) -> std::sync::MutexGuard<'_, tokens::Register> {
        self.tokens.lock().expect("tokens")
    }

    fn issue(&self, user: &str, password: &str) -> Option<tokens::Issued> {
        self.tokens().issue(user, password)
    }

    fn note_attempt(&self, user: &str) -> usize {
        let mut attempts = self.attempts.lock().expect("attempts");
        let number = attempts.len();
        attempts.push(Attempt {
            user: user.to_owned(),
            number,
        });
        number
    }

    fn script_for(&self, user: &str) -> Login {
        let scripts = self.scripts.lock().expect("scripts");
        scripts
            .of_user
            .get(user)
            .or(scripts.of_others.as_ref())
            .cloned()
            .unwrap_or(Login::Accept)
    }

    fn note_huge_bytes(&self, more: usize) {
        self.huge_bytes.fetch_add(more, SeqCst);
    }
}
