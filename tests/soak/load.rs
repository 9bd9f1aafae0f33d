//! An open loop: requests are due at fixed times, whatever became of those before.

use std::{
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    common::{client::Client, dice::Dice, load::each_at_once, message::Request},
    ledger::Ledger,
};

/// Most requests of one connection.
const LONGEST_LIFE: usize = 100;
/// One connection of so many ends by a reset, one request of so many brings a body.
const RESETS: usize = 10;
const BODIES: usize = 8;
const MOST_BODY_BYTES: usize = 8192;

/// The load, and what came of it.
pub(crate) struct Load<'a> {
    to: SocketAddr,
    interval: Duration,
    requests: u64,
    start: Instant,
    ledger: &'a Ledger,
    seed: u64,
    next: AtomicU64,
    answered: AtomicU64,
    connections: AtomicU64,
    errors: AtomicU64,
    /// Microseconds from when a request was due to its whole answer, since they were last taken.
    latencies: Mutex<Vec<u32>>,
}

impl<'a> Load<'a> {
    pub(crate) fn new(
        to: SocketAddr,
        rate: u64,
        time: Duration,
        ledger: &'a Ledger,
        seed: u64,
    ) -> Self {
        Self {
            to,
            interval: Duration::from_secs(1) / u32::try_from(rate).expect("a rate"),
            requests: rate * time.as_secs(),
            start: Instant::now(),
            ledger,
            seed,
            next: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            latencies: Mutex::default(),
        }
    }

    /// Runs `clients` at once, and `meanwhile` beside them.
    pub(crate) fn run(&self, clients: usize, meanwhile: impl FnOnce() + Send) {
        thread::scope(|scope| {
            scope.spawn(|| each_at_once((0..clients as u64).collect(), |number| self.send(number)));
            meanwhile();
        });
    }

    /// One client: whoever is free takes the next request that is due.
    fn send(&self, number: u64) {
        let mut dice = Dice::new(self.seed.wrapping_add(number));
        let mut connection: Option<(Client, usize)> = None;
        loop {
            // Relaxed: it only shares out numbers.
            let request = self.next.fetch_add(1, Relaxed);
            if request >= self.requests {
                break;
            }
            let due = self.start + self.interval * u32::try_from(request).expect("a few million");
            thread::sleep(due.saturating_duration_since(Instant::now()));
            match self.ask(&mut connection, &mut dice) {
                Ok(()) => {
                    let took = u32::try_from(due.elapsed().as_micros()).unwrap_or(u32::MAX);
                    self.latencies.lock().expect("numbers").push(took);
                    self.answered.fetch_add(1, Relaxed);
                }
                Err(what) => {
                    self.errors.fetch_add(1, Relaxed);
                    self.ledger.fault(what);
                    self.end(connection.take(), &mut dice);
                }
            }
        }
        self.end(connection, &mut dice);
    }

    fn ask(&self, connection: &mut Option<(Client, usize)>, dice: &mut Dice) -> Result<(), String> {
        if connection.as_ref().is_none_or(|(_, left)| *left == 0) {
            self.end(connection.take(), dice);
            let client =
                Client::try_connect(self.to).map_err(|error| format!("connect: {error}"))?;
            self.connections.fetch_add(1, Relaxed);
            self.ledger.enters(client.id());
            *connection = Some((client, 1 + dice.below(LONGEST_LIFE)));
        }
        let (client, left) = connection.as_mut().expect("opened above");
        *left -= 1;
        let request = if dice.one_in(BODIES) {
            Request::post("/soak", vec![b'y'; dice.below(MOST_BODY_BYTES)])
        } else {
            Request::get("/soak")
        };
        match client.try_ask(&request) {
            Ok(answer) if answer.status == 200 => {
                if answer.closes() {
                    *left = 0;
                }
                Ok(())
            }
            Ok(answer) => Err(format!("{}: {}", answer.status, answer.text())),
            Err(error) => Err(format!("no answer: {error}")),
        }
    }

    /// Ends a connection one way or the other.
    fn end(&self, connection: Option<(Client, usize)>, dice: &mut Dice) {
        let Some((client, _)) = connection else {
            return;
        };
        self.ledger.leaves(client.id());
        if dice.one_in(RESETS) {
            client.reset();
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Relaxed)
    }

    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Relaxed)
    }

    pub(crate) fn errors(&self) -> u64 {
        self.errors.load(Relaxed)
    }

    /// The latencies since the last call, in rising order.
    pub(crate) fn take_latencies(&self) -> Vec<u32> {
        let mut latencies = std::mem::take(&mut *self.latencies.lock().expect("numbers"));
        latencies.sort_unstable();
        latencies
    }
}
