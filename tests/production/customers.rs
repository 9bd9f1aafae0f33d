//! The clients, and what they hold against tpp: any answer that is not the right one, any connection that ends
//! without an answer having said so.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Relaxed, SeqCst},
        },
    },
    thread,
    time::{Duration, Instant},
};

use crate::common::{
    client::Client,
    dice::Dice,
    journal::Journal,
    load::while_clients_work,
    message::{Answer, Request},
    patience,
    upstream::{ConnId, Oracle},
};

const KEEP_ALIVE: usize = 30;
const NEWCOMERS: usize = 6;
/// Longest time between two requests of a connection, milliseconds.
const LONGEST_GAP_MS: usize = 1000;
/// Longest time an answer is in flight, milliseconds.
const LONGEST_FLIGHT_MS: usize = 50;
const LONGEST_BODY: usize = 5 << 10;
/// Most requests of a connection that nobody ends before.
const MOST_REQUESTS: usize = 80;

/// All clients.
pub(crate) struct Customers<'a> {
    seed: u64,
    address: SocketAddr,
    oracle: Oracle,
    journal: &'a Journal,
    over: AtomicBool,
    connections: AtomicU64,
    /// Connections that an answer ended.
    told_to_close: AtomicU64,
    served: AtomicU64,
    failures: Mutex<Vec<String>>,
}

/// One client's own.
struct Customer {
    number: usize,
    dice: Mutex<Dice>,
}

impl<'a> Customers<'a> {
    pub(crate) fn new(
        seed: u64,
        address: SocketAddr,
        oracle: Oracle,
        journal: &'a Journal,
    ) -> Self {
        Self {
            seed,
            address,
            oracle,
            journal,
            over: AtomicBool::new(false),
            connections: AtomicU64::default(),
            told_to_close: AtomicU64::default(),
            served: AtomicU64::default(),
            failures: Mutex::default(),
        }
    }

    /// Lets all clients work while `meanwhile` runs, and sees them off.
    pub(crate) fn are_served_while<T>(&self, meanwhile: impl FnOnce() -> T) -> T {
        let customer = |number: usize| Customer {
            number,
            dice: Mutex::new(Dice::new(self.seed.wrapping_add(1000 + number as u64))),
        };
        let all: Vec<_> = (0..KEEP_ALIVE + NEWCOMERS).map(customer).collect();
        let work = |number: usize| {
            let customer = &all[number];
            let mut dice = customer.dice.lock().expect("one thread a client");
            if let Err(what) = self.serve(customer.number, &mut dice) {
                self.fail(&what);
                // Whatever it is, more of the same would tell no more.
                thread::sleep(Duration::from_millis(50));
            }
        };
        let (result, _) = while_clients_work(all.len(), work, || {
            let result = meanwhile();
            self.over.store(true, SeqCst);
            result
        });
        result
    }

    /// Waits until `more` requests have been served. False: one has failed.
    pub(crate) fn served_well(&self, more: u64) -> bool {
        let goal = self.served.load(Relaxed) + more;
        let deadline = Instant::now() + patience();
        while self.served.load(Relaxed) < goal {
            if !self.failures().is_empty() {
                return false;
            }
            if Instant::now() > deadline {
                self.fail("nobody is served any more");
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.failures().is_empty()
    }

    fn failures(&self) -> Vec<String> {
        self.failures
            .lock()
            .expect("no thread panics with it")
            .clone()
    }

    fn fail(&self, what: &str) {
        self.journal.note(format!("FAILED: {what}"));
        let mut failures = self.failures.lock().expect("no thread panics with it");
        failures.push(what.to_owned());
    }

    #[track_caller]
    pub(crate) fn assert_no_failure(&self) {
        let failures = self.failures();
        assert!(
            failures.is_empty(),
            "seed {}: {} failures:\n{}",
            self.seed,
            failures.len(),
            failures.join("\n")
        );
    }

    /// One connection, from its first request to its last.
    fn serve(&self, number: usize, dice: &mut Dice) -> Result<(), String> {
        let connected = Client::try_connect_watched(self.address, &self.oracle);
        let mut client = connected.map_err(|error| format!("client {number} connects: {error}"))?;
        self.connections.fetch_add(1, Relaxed);
        let requests = if number < KEEP_ALIVE {
            1 + dice.below(MOST_REQUESTS)
        } else {
            1
        };
        let who = format!("client {number}, connection {}", client.id());
        for turn in 1..=requests {
            let (request, awaited) = order(&client, turn, dice);
            let answer = client.try_ask(&request);
            let closes = check(answer, &awaited)
                .map_err(|what| format!("{who}: {what}, to its request {turn}"))?;
            self.served.fetch_add(1, Relaxed);
            if closes {
                self.told_to_close.fetch_add(1, Relaxed);
                return Ok(());
            }
            if turn == requests || self.over.load(SeqCst) {
                break;
            }
            thread::sleep(Duration::from_millis(dice.below(LONGEST_GAP_MS + 1) as u64));
            if !client.is_idle() {
                return Err(format!("{who}: closed while idle, after request {turn}"));
            }
        }
        Ok(())
    }
}

impl fmt::Display for Customers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} requests of {KEEP_ALIVE} + {NEWCOMERS} clients over {} connections, {} of them closed by an answer; \
             {} failures",
            self.served.load(Relaxed),
            self.connections.load(Relaxed),
            self.told_to_close.load(Relaxed),
            self.failures().len()
        )
    }
}

/// What must come back.
enum Awaited {
    Body(Vec<u8>),
    /// The upstream's word on who asked.
    Who {
        conn: ConnId,
        turn: usize,
    },
}

fn order(client: &Client, turn: usize, dice: &mut Dice) -> (Request, Awaited) {
    let conn = client.id();
    let flight = dice.below(LONGEST_FLIGHT_MS + 1);
    if dice.one_in(3) {
        let request = Request::get(&format!("/delay/{flight}"));
        return (request, Awaited::Who { conn, turn });
    }
    // No two requests have one body, so that an answer that went astray shows.
    let mark = format!("{conn}:{turn};");
    let length = mark.len() + dice.below(LONGEST_BODY - mark.len());
    let body: Vec<u8> = mark.bytes().cycle().take(length).collect();
    let target = format!("/echo/{flight}");
    let request = if dice.one_in(4) {
        Request::post_chunks(&target, &body.chunks(1000).collect::<Vec<_>>())
    } else {
        Request::post(&target, body.clone())
    };
    (request, Awaited::Body(body))
}

/// Whether the answer, which must be the right one, is its connection's last.
fn check(answer: io::Result<Answer>, awaited: &Awaited) -> Result<bool, String> {
    let answer = answer.map_err(|error| error.to_string())?;
    if answer.status != 200 {
        return Err(format!("{} {}", answer.head.line, answer.text()));
    }
    let is_right = match awaited {
        Awaited::Body(body) => answer.body == *body,
        Awaited::Who { conn, turn } => {
            let who = answer.json();
            who["conn"] == *conn && who["seq"] == *turn
        }
    };
    if is_right {
        Ok(answer.closes())
    } else {
        let length = answer.body.len();
        Err(format!(
            "a wrong body of {length} bytes: {:.80}",
            answer.text()
        ))
    }
}
