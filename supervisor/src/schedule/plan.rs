//! What is due now: who may log in, who comes first, and when to look again.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    time::{Duration, Instant},
};

use super::{
    Login, Schedule,
    account::Gate,
    slot::{Rank, Slot, UnderWay},
};

/// So close in time that sleeping in between is not worth it.
const SHORTEST_NAP: Duration = Duration::from_millis(10);

/// What is due now, and when to ask again.
#[derive(Debug)]
pub struct Plan {
    /// Logins to start, the most urgent first. Each is under way from this moment, until it is reported
    /// by [`Schedule::succeeded`] or [`Schedule::failed`].
    pub start: Vec<Login>,
    /// Slots whose token has come to its end since the last plan, and has no successor yet.
    pub ended: Vec<u32>,
    /// Ask again then at the latest, or as soon as a login has ended or a slot was reported. Always later
    /// than `now`.
    pub next_look: Instant,
}

impl Schedule {
    /// Takes what is due and marks it as under way. Each slot is looked at once, and those of a user of which one is started once
    /// more, however many are started.
    pub fn plan(&mut self, now: Instant) -> Plan {
        let Look {
            ended,
            mut room,
            mut coming,
            first,
        } = self.look(now);
        let mut start = Vec::new();
        let mut rest = HashMap::new();
        let mut turns: BinaryHeap<_> = (first.into_iter().enumerate())
            .filter_map(|(account, first)| Some(Reverse(self.turn(account, first?))))
            .collect();
        while let Some(Reverse(turn)) = turns.pop()
            && room.has(turn.first.rank)
        {
            room.take(turn.first.rank);
            let queue = rest
                .entry(turn.account)
                .or_insert_with(|| self.due_of(turn.account, room.all, now));
            start.push(self.start(turn.first, now));
            queue.pop();
            // The gate may have closed behind it.
            match (queue.last(), self.accounts[turn.account].gate()) {
                (None, _) | (_, Gate::Shut) => {}
                (Some(_), Gate::From(at)) if at > now => {
                    coming = Some(coming.map_or(at, |coming: Instant| coming.min(at)));
                }
                (Some(next), _) => turns.push(Reverse(self.turn(turn.account, *next))),
            }
        }
        let latest = now + self.rules.longest_nap();
        Plan {
            start,
            ended,
            next_look: coming
                .map_or(latest, |at| at.min(latest))
                .max(now + SHORTEST_NAP),
        }
    }

    /// Looks at each slot once.
    fn look(&mut self, now: Instant) -> Look {
        let places = self.rules.login_concurrency.max(1);
        let mut look = Look {
            ended: Vec::new(),
            room: Room {
                all: places,
                retries: self.rules.retry_places(),
            },
            coming: None,
            first: vec![None; self.accounts.len()],
        };
        for (number, slot) in &mut self.slots {
            if slot.comes_to_its_end(now) {
                look.ended.push(*number);
            }
        }
        for (number, slot) in &self.slots {
            if let Some(login) = &slot.under_way {
                look.room.leave(login.retry);
            }
            let due = self.due_at(*number, slot);
            match due.filter(|at| *at <= now) {
                Some(at) => {
                    let due = self.due(*number, slot, at);
                    let first = &mut look.first[slot.account];
                    *first = Some(first.map_or(due, |first: Due| first.min(due)));
                }
                // What is due and not started waits for a place, and a look is taken when one is given back.
                None => look.comes(due, now),
            }
            look.comes(slot.ends_at(), now);
        }
        look
    }

    fn due(&self, number: u32, slot: &Slot, at: Instant) -> Due {
        let rank = slot.rank(&self.accounts[slot.account]);
        Due { rank, at, number }
    }

    fn turn(&self, account: usize, first: Due) -> Turn {
        Turn {
            is_retry: first.rank == Rank::Retry,
            under_way: self.accounts[account].under_way,
            first,
            account,
        }
    }

    /// The slots of a user that are due, no more than may be started: the first comes last, so that it can be taken from there.
    fn due_of(&self, account: usize, room: usize, now: Instant) -> Vec<Due> {
        let due = self.accounts[account].slots.iter().filter_map(|number| {
            let slot = self.slots.get(number)?;
            let at = self.due_at(*number, slot)?;
            (at <= now).then(|| self.due(*number, slot, at))
        });
        let mut due: Vec<_> = due.collect();
        // One that is started already, those there is room for, and one that waits.
        let most = room.saturating_add(2);
        if due.len() > most {
            due.select_nth_unstable(most);
            due.truncate(most);
        }
        due.sort_unstable_by_key(|due| Reverse(*due));
        due
    }

    fn start(&mut self, Due { rank, number, .. }: Due, now: Instant) -> Login {
        self.tickets += 1;
        let slot = self
            .slots
            .get_mut(&number)
            .expect("planned from the slots there are");
        let account = &mut self.accounts[slot.account];
        account.start(now);
        slot.under_way = Some(UnderWay {
            ticket: self.tickets,
            since: now,
            retry: rank == Rank::Retry,
            password: account.password,
        });
        Login {
            slot: number,
            ticket: self.tickets,
        }
    }
}

/// What one look at all slots has shown.
struct Look {
    /// Slots whose token has come to its end, each once.
    ended: Vec<u32>,
    room: Room,
    /// When something will be due that is not yet.
    coming: Option<Instant>,
    /// Of each user the slot to start first.
    first: Vec<Option<Due>>,
}

impl Look {
    fn comes(&mut self, at: Option<Instant>, now: Instant) {
        let at = at.filter(|at| *at > now);
        self.coming = self.coming.into_iter().chain(at).min();
    }
}

/// A slot that may log in now; those of one user in the order in which they are started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    rank: Rank,
    at: Instant,
    number: u32,
}

/// A user's turn. First chances come before retries; then the user with the fewest logins under way, so that one whose logins hang does
/// not take all places; then by rank and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    is_retry: bool,
    under_way: u32,
    first: Due,
    account: usize,
}

/// Places left for logins; a retry needs one of the few that retries may have.
struct Room {
    all: usize,
    retries: usize,
}

impl Room {
    /// One is under way.
    fn leave(&mut self, is_retry: bool) {
        self.all = self.all.saturating_sub(1);
        self.retries = self.retries.saturating_sub(usize::from(is_retry));
    }

    fn has(&self, rank: Rank) -> bool {
        self.all > 0 && (rank != Rank::Retry || self.retries > 0)
    }

    fn take(&mut self, rank: Rank) {
        self.all -= 1;
        self.retries -= usize::from(rank == Rank::Retry);
    }
}
