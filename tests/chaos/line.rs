//! Order as it can be seen from outside, in the midst of faults.
//!
//! Nobody outside knows when a connection took its place in line: between its first byte and its place lie the
//! system's backlog, the worker that accepts it, and the processor's time. And a worker that was stopped keeps its
//! waiters' places while the line passes it by. So what can be claimed of any two connections is less than the exact
//! order (which is checked when all is quiet): whoever comes a long while after another has asked is not served a long
//! while before it, unless the other's worker was struck meanwhile. A waiter that is forgotten breaks this as soon as
//! others are served.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::{
    common::upstream::{ConnId, Seen},
    judge::Judge,
};

/// A long while: more than a loaded machine makes of an instant.
const LONG: Duration = Duration::from_secs(3);

/// A connection's way to its first slot.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) conn: ConnId,
    pub(crate) port: u16,
    /// Before it connected.
    pub(crate) connected: Instant,
    /// Before it sent its first request.
    pub(crate) asked: Instant,
    /// When it was answered; it has had its slot since before that.
    pub(crate) served: Instant,
}

/// All connections since the line was last looked at.
#[derive(Debug, Default)]
pub(crate) struct Line(Vec<Place>);

impl Line {
    pub(crate) fn note(&mut self, place: Place) {
        self.0.push(place);
    }

    /// Looks at who was served before whom, and begins anew. Returns what is not right.
    pub(crate) fn check(&mut self, seen: &[Seen], judge: &Judge) -> Vec<String> {
        let mut places = std::mem::take(&mut self.0);
        let mut reached: HashMap<ConnId, Instant> = HashMap::new();
        for seen in seen {
            reached.entry(seen.conn).or_insert(seen.at);
        }
        for place in &mut places {
            // Whichever comes first proves the slot.
            let reached = reached.get(&place.conn);
            place.served = reached.map_or(place.served, |&at| at.min(place.served));
        }
        let waited_long = |place: &&Place| place.served > place.asked + 2 * LONG;
        let overtaken = places.iter().filter(waited_long).filter_map(|waiter| {
            let newcomer = places.iter().find(|newcomer| {
                newcomer.connected > waiter.asked + LONG && newcomer.served + LONG < waiter.served
            })?;
            let is_explained = judge.was_struck(waiter.port, waiter.asked, waiter.served);
            (!is_explained).then(|| overtaking(waiter, newcomer))
        });
        overtaken.collect()
    }
}

fn overtaking(waiter: &Place, newcomer: &Place) -> String {
    format!(
        "connection {} asked {:?} before connection {} came, and was served {:?} after it",
        waiter.conn,
        newcomer.connected.duration_since(waiter.asked),
        newcomer.conn,
        waiter.served.duration_since(newcomer.served)
    )
}
