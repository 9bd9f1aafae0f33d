//! Clients that hold on to what they have: they read no more, read or send drop by drop, or end their side.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use crate::{
    common::{client::Client, dice::Dice, load::each_at_once, message::Request},
    ledger::Ledger,
};

/// At once: fewer than there are tokens more than other clients.
const COUNT: u64 = 8;
/// Between two of their moves.
const PAUSE: Duration = Duration::from_millis(50);

/// They, and what they asked for.
pub(crate) struct Hinderers<'a> {
    to: SocketAddr,
    until: Instant,
    ledger: &'a Ledger,
    /// Requests, each over a connection of its own.
    requests: AtomicU64,
}

impl<'a> Hinderers<'a> {
    pub(crate) fn new(to: SocketAddr, time: Duration, ledger: &'a Ledger) -> Self {
        Self {
            to,
            until: Instant::now() + time,
            ledger,
            requests: AtomicU64::new(0),
        }
    }

    /// Each does one thing after another until the time is over.
    pub(crate) fn run(&self, seed: u64) {
        each_at_once((0..COUNT).collect(), |number| {
            let mut dice = Dice::new(seed.wrapping_add(10_000 + number));
            while Instant::now() < self.until {
                if let Err(what) = self.hinder(&mut dice) {
                    self.ledger.fault(what);
                }
            }
        });
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    fn hinder(&self, dice: &mut Dice) -> Result<(), String> {
        let mut client =
            Client::try_connect(self.to).map_err(|error| format!("connect: {error}"))?;
        self.ledger.enters(client.id());
        self.requests.fetch_add(1, Relaxed);
        let result = match dice.below(3) {
            0 => self.stop_reading(&mut client, dice),
            1 => drip_into(&mut client),
            _ => self.end_its_side(&mut client),
        };
        self.ledger.leaves(client.id());
        result
    }

    /// Reads the head, and of the rest nothing or next to nothing. tpp ends that when it will.
    fn stop_reading(&self, client: &mut Client, dice: &mut Dice) -> Result<(), String> {
        client.narrow();
        let bytes = client.bytes_of(&Request::get("/much"));
        let head = client
            .try_send_raw(&bytes)
            .and_then(|()| client.read_any_head());
        self.ledger.leaves(client.id());
        head.map_err(|error| format!("no answer: {error}"))?;
        let drips = dice.one_in(2);
        for _ in 0..dice.below(200) {
            thread::sleep(PAUSE);
            if drips {
                // It is over when it is over.
                drop(client.sip(100));
            }
        }
        Ok(())
    }

    fn end_its_side(&self, client: &mut Client) -> Result<(), String> {
        let bytes = client.bytes_of(&Request::get("/soak"));
        client
            .try_send_raw(&bytes)
            .map_err(|error| format!("send: {error}"))?;
        // Its connection, and with it its lease, is over with the answer, before it has read that.
        self.ledger.leaves(client.id());
        client.half_close();
        // Nothing at all is right, too: while tpp moves it stands in line, and has left it.
        match client.read_to_close() {
            nothing if nothing.is_empty() => Ok(()),
            answer if answer.starts_with(b"HTTP/1.1 200") => Ok(()),
            other => Err(format!(
                "a side that ended: {}",
                String::from_utf8_lossy(&other)
            )),
        }
    }
}

fn is_200(client: &mut Client, what: &str) -> Result<(), String> {
    match client.try_read_answer() {
        Ok(answer) if answer.status == 200 => Ok(()),
        Ok(answer) => Err(format!("{what}: {}: {}", answer.status, answer.text())),
        Err(error) => Err(format!("{what}: no answer: {error}")),
    }
}

fn drip_into(client: &mut Client) -> Result<(), String> {
    let bytes = client.bytes_of(&Request::post("/soak", vec![b'z'; 40]));
    let (start, rest) = bytes.split_at(bytes.len() - 40);
    let mut sent = client.try_send_raw(start);
    for byte in rest.chunks(1) {
        thread::sleep(PAUSE);
        sent = sent.and_then(|()| client.try_send_raw(byte));
    }
    sent.map_err(|error| format!("a body that drips: {error}"))?;
    is_200(client, "a body that drips")
}
