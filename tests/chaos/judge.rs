//! Which failures the faults explain, and which nothing explains.
//!
//! A well-behaved client may see, and only then:
//!
//! | it sees | because |
//! |---|---|
//! | its connection ends | the worker that held this very connection was killed, by us or because we made it hang |
//! | the same, having ended its own side | tpp moved: its token was no good there, and who stands in line so has left it |
//! | an answer breaks off | the same, or the upstream was cut while the answer was on its way |
//! | 502 | the upstream was cut, or refused connections, while the request was under way |
//! | 401 | no login could be had while the request was under way, or its account had been removed and could not log in |
//!
//! | two requests at work with one token | the worker that held either was killed: nobody knows of what it had asked for |
//!
//! Nothing explains another status, a wrong body, a refused connection, or no answer at all. A supervisor's death or
//! stop, a reload, a restart and an upgrade explain nothing, but for the logins that wait for a supervisor.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    time::{Duration, Instant},
};

use crate::common::upstream::{ConnId, Oracle, oracle::Overlap};

/// After this a worker without a heartbeat is killed.
pub(crate) const WORKER_TIMEOUT: Duration = Duration::from_secs(6);

/// What a client did not get.
#[derive(Debug)]
pub(crate) enum What {
    /// The connection ended where an answer was due.
    Ended(String),
    /// The same where the client had ended its side.
    LeftAlone(String),
    /// It ended, or nonsense came, after the answer's head.
    BrokeOff(String),
    /// An answer other than 200.
    Status(u16, String),
    /// Anything that may never be.
    Wrong(String),
}

/// One client's failure.
#[derive(Debug)]
pub(crate) struct Complaint {
    pub(crate) conn: ConnId,
    pub(crate) port: u16,
    pub(crate) connected: Instant,
    pub(crate) asked: Instant,
    pub(crate) ended: Instant,
    pub(crate) what: What,
}

/// A time with an open end until it is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) from: Instant,
    pub(crate) until: Option<Instant>,
}

/// A worker that was stopped, and the connections it held then, by the clients' ports.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) pid: u32,
    /// Before it was stopped, and after its connections were read.
    pub(crate) since: Instant,
    pub(crate) read: Instant,
    pub(crate) ports: HashSet<u16>,
}

#[derive(Debug)]
struct Blow {
    held: Held,
    deadly: bool,
    /// When it went on.
    until: Option<Instant>,
}

/// What we did, for comparison with what the clients say.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    blows: Vec<Blow>,
    upstream: Vec<Span>,
    logins: Vec<Span>,
    /// Since when tpp may have moved to another upstream.
    moved: Option<Instant>,
    /// Accounts that were removed, and when.
    removed: HashMap<String, Instant>,
    /// Failures by what explains them.
    explained: BTreeMap<&'static str, u64>,
}

impl Span {
    pub(crate) fn beginning_now() -> Self {
        Self {
            from: Instant::now(),
            until: None,
        }
    }

    fn overlaps(&self, from: Instant, until: Instant) -> bool {
        self.from <= until && self.until.is_none_or(|end| from <= end)
    }
}

impl Blow {
    fn lasted(&self) -> Span {
        Span {
            from: self.held.since,
            until: self.until,
        }
    }
}

impl Judge {
    /// A worker has been stopped for good, or is about to be killed.
    pub(crate) fn note_death(&mut self, held: Held) {
        self.note_blow(held, true);
    }

    /// A worker has been stopped and will go on.
    pub(crate) fn note_stop(&mut self, held: Held) {
        self.note_blow(held, false);
    }

    fn note_blow(&mut self, held: Held, deadly: bool) {
        let until = None;
        self.blows.push(Blow {
            held,
            deadly,
            until,
        });
    }

    /// Whether a worker that was to be stopped for a short while has stood for so long, because we were late, that its
    /// supervisor may have killed it. It counts as dead then.
    pub(crate) fn may_pass_for_dead(&mut self, pid: u32) -> bool {
        let mut standing = self.standing(pid);
        standing.any(|blow| {
            blow.deadly |= blow.held.since.elapsed() > WORKER_TIMEOUT / 2;
            blow.deadly
        })
    }

    /// A worker that was stopped goes on.
    pub(crate) fn goes_on(&mut self, pid: u32) {
        self.standing(pid)
            .for_each(|blow| blow.until = Some(Instant::now()));
    }

    fn standing(&mut self, pid: u32) -> impl Iterator<Item = &mut Blow> {
        let blows = self.blows.iter_mut();
        blows.filter(move |blow| blow.held.pid == pid && blow.until.is_none())
    }

    /// The upstream was out of order through `span`.
    pub(crate) fn note_upstream(&mut self, span: Span) {
        self.upstream.push(span);
    }

    /// Not every slot could have a good token through `span`.
    pub(crate) fn note_logins(&mut self, span: Span) {
        self.logins.push(span);
    }

    /// tpp is told to move to another upstream; it has done so before all is quiet again.
    pub(crate) fn note_move(&mut self) {
        self.moved.get_or_insert_with(Instant::now);
    }

    pub(crate) fn note_removed(&mut self, user: &str) {
        self.removed.insert(user.to_owned(), Instant::now());
    }

    /// Whether the connection stood still with its worker, or ended with it, at some time in between.
    pub(crate) fn was_struck(&self, port: u16, from: Instant, until: Instant) -> bool {
        self.blows
            .iter()
            .any(|blow| blow.held.ports.contains(&port) && blow.lasted().overlaps(from, until))
    }

    /// Goes through the complaints and returns those that nothing explains. What was done before is forgotten.
    pub(crate) fn judge(&mut self, complaints: Vec<Complaint>, oracle: &Oracle) -> Vec<String> {
        let mut unexplained = Vec::new();
        for complaint in complaints {
            match self.explain(&complaint, oracle) {
                Some(cause) => *self.explained.entry(cause).or_default() += 1,
                None => unexplained.push(complaint.to_string()),
            }
        }
        unexplained
    }

    /// Goes through the requests that were at work at once with one token, and returns those that nothing explains.
    pub(crate) fn judge_overlaps(&mut self, overlaps: Vec<Overlap>) -> Vec<String> {
        let mut unexplained = Vec::new();
        for Overlap { at, ports, what } in overlaps {
            let held = |blow: &Blow| ports.iter().any(|port| blow.held.ports.contains(port));
            let mut blows = self.blows.iter();
            if blows.any(|blow| blow.deadly && held(blow) && blow.held.since <= at) {
                *self.explained.entry("worker killed at work").or_default() += 1;
            } else {
                unexplained.push(what);
            }
        }
        unexplained
    }

    /// Nothing that was done so far can explain what comes.
    pub(crate) fn forget(&mut self) {
        self.blows.clear();
        self.upstream.clear();
        self.logins.clear();
        self.moved = None;
    }

    /// How many failures each cause explained.
    pub(crate) fn explained(&self) -> &BTreeMap<&'static str, u64> {
        &self.explained
    }

    fn explain(&self, complaint: &Complaint, oracle: &Oracle) -> Option<&'static str> {
        let Complaint { asked, ended, .. } = *complaint;
        let during = |spans: &[Span]| spans.iter().any(|span| span.overlaps(asked, ended));
        match &complaint.what {
            What::Ended(_) | What::LeftAlone(_) | What::BrokeOff(_)
                if self.died_with_its_worker(complaint) =>
            {
                Some("worker killed")
            }
            What::LeftAlone(_) if self.moved.is_some_and(|moved| moved <= ended) => {
                Some("in line after a move")
            }
            What::BrokeOff(_) if during(&self.upstream) => Some("upstream cut"),
            What::Status(502, _) if during(&self.upstream) => Some("upstream away"),
            What::Status(401, _) if during(&self.logins) => Some("no login"),
            What::Status(401, _) if self.was_removed(complaint, oracle) => Some("account removed"),
            _ => None,
        }
    }

    fn died_with_its_worker(&self, complaint: &Complaint) -> bool {
        let is_it = |blow: &Blow| {
            blow.deadly
                && blow.held.ports.contains(&complaint.port)
                && complaint.connected <= blow.held.read
                && complaint.ended >= blow.held.since
        };
        self.blows.iter().any(is_it)
    }

    fn was_removed(&self, complaint: &Complaint, oracle: &Oracle) -> bool {
        let user = oracle.account_of(complaint.conn);
        let removed = user.and_then(|user| self.removed.get(&user).copied());
        removed.is_some_and(|removed| removed <= complaint.ended)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(how) | Self::LeftAlone(how) => {
                write!(f, "it ended without an answer: {how}")
            }
            Self::BrokeOff(how) => write!(f, "the answer broke off: {how}"),
            Self::Status(status, text) => write!(f, "status {status}: {text:.200}"),
            Self::Wrong(what) => f.write_str(what),
        }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            conn,
            port,
            connected,
            asked,
            ended,
            what,
        } = self;
        write!(
            f,
            "connection {conn} (port {port}), open for {:?}, asked {:?} before: {what}",
            ended.duration_since(*connected),
            ended.duration_since(*asked)
        )
    }
}
