//! One connection of a client that behaves, and its complaints.

use std::{
    io, thread,
    time::{Duration, Instant},
};

use crate::{
    common::{
        client::Client,
        dice::Dice,
        message::{Answer, Request},
    },
    crowd::Crowd,
    judge::{Complaint, What},
    line::Place,
};

/// A client, and when it came.
pub(crate) struct Visit<'a, 'b> {
    pub(crate) client: Client,
    crowd: &'a Crowd<'b>,
    connected: Instant,
    has_been_answered: bool,
    has_ended_its_side: bool,
}

/// The visit is over: an answer said so, or it failed and has been complained of.
#[derive(Debug)]
pub(crate) struct Over;

impl<'a, 'b> Visit<'a, 'b> {
    /// A new connection. That there is none is never right.
    pub(crate) fn begin(crowd: &'a Crowd<'b>) -> Option<Self> {
        let connected = Instant::now();
        match Client::try_connect_watched(crowd.address, &crowd.oracle) {
            Ok(client) => {
                crowd.note_connection();
                Some(Self {
                    client,
                    crowd,
                    connected,
                    has_been_answered: false,
                    has_ended_its_side: false,
                })
            }
            Err(error) => {
                crowd.complain(Complaint {
                    conn: 0,
                    port: 0,
                    connected,
                    asked: connected,
                    ended: Instant::now(),
                    what: What::Wrong(format!("no connection: {error}")),
                });
                thread::sleep(Duration::from_millis(20));
                None
            }
        }
    }

    /// Asks, and checks the answer.
    pub(crate) fn ask(
        &mut self,
        request: &Request,
        is_right: impl FnOnce(&Answer) -> bool,
    ) -> Result<(), Over> {
        let asked = Instant::now();
        let answer = self.client.try_ask(request);
        self.take(asked, answer, is_right)
    }

    /// The next of the answers to what was sent at `asked`.
    pub(crate) fn read(
        &mut self,
        asked: Instant,
        is_right: impl FnOnce(&Answer) -> bool,
    ) -> Result<(), Over> {
        let answer = self.client.try_read_answer();
        self.take(asked, answer, is_right)
    }

    fn take(
        &mut self,
        asked: Instant,
        answer: io::Result<Answer>,
        is_right: impl FnOnce(&Answer) -> bool,
    ) -> Result<(), Over> {
        let what = match answer {
            Ok(answer) => {
                self.note_place(asked);
                if answer.status != 200 {
                    What::Status(answer.status, answer.text())
                } else if !is_right(&answer) {
                    let (length, text) = (answer.body.len(), answer.text());
                    What::Wrong(format!("a wrong body of {length} bytes: {text:.80}"))
                } else {
                    self.crowd.note_served();
                    return if answer.closes() { Err(Over) } else { Ok(()) };
                }
            }
            Err(error) => self.failure(&error),
        };
        self.complain(asked, what);
        Err(Over)
    }

    /// The client sends nothing more.
    pub(crate) fn end_its_side(&mut self) {
        self.has_ended_its_side = true;
        self.client.half_close();
    }

    fn failure(&self, error: &io::Error) -> What {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
        let is_end = matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof);
        match (is_end, self.client.is_within_an_answer()) {
            (true, false) if self.has_ended_its_side => What::LeftAlone(error.to_string()),
            (true, false) => What::Ended(error.to_string()),
            (true, true) => What::BrokeOff(error.to_string()),
            // Silence for as long as patience lasts, too.
            (false, _) => What::Wrong(error.to_string()),
        }
    }

    pub(crate) fn complain(&self, asked: Instant, what: What) {
        self.crowd.complain(Complaint {
            conn: self.client.id(),
            port: self.client.port(),
            connected: self.connected,
            asked,
            ended: Instant::now(),
            what,
        });
    }

    /// With its first answer a connection has held a slot.
    fn note_place(&mut self, asked: Instant) {
        if !std::mem::replace(&mut self.has_been_answered, true) {
            self.crowd.note_place(Place {
                conn: self.client.id(),
                port: self.client.port(),
                connected: self.connected,
                asked,
                served: Instant::now(),
            });
        }
    }
}

/// Does nothing for up to so many milliseconds.
pub(crate) fn pause(dice: &mut Dice, most_ms: usize) {
    thread::sleep(Duration::from_millis(dice.below(most_ms + 1) as u64));
}

/// The upstream names who asked.
pub(crate) fn is_about(answer: &Answer, conn: u64, seq: usize) -> bool {
    let who: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    who["conn"] == conn && who["seq"] == seq
}

/// A new connection whose failures are its client's own doing.
pub(crate) fn unwatched(crowd: &Crowd) -> Option<Client> {
    Visit::begin(crowd).map(|visit| visit.client)
}
