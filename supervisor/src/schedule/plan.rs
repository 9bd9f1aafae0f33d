//! What is due now: who may log in, who comes first, and when to look again.

use std::time::{Duration, Instant};

use super::{
    Login, Schedule,
    slot::{Rank, UnderWay},
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
    /// Takes what is due and marks it as under way.
    pub fn plan(&mut self, now: Instant) -> Plan {
        let ended = self.take_ended(now);
        let mut room = self.room();
        let mut start = Vec::new();
        while let Some((rank, number)) = self.most_urgent(&room, now) {
            room.take(rank);
            start.push(self.start(number, rank, now));
        }
        Plan {
            start,
            ended,
            next_look: self.next_look(now),
        }
    }

    /// Slots whose token has come to its end, each once.
    fn take_ended(&mut self, now: Instant) -> Vec<u32> {
        let slots = self.slots.iter_mut();
        slots
            .filter_map(|(number, slot)| slot.comes_to_its_end(now).then_some(*number))
            .collect()
    }

    /// The next to start. First chances come before retries; then the user with the fewest logins under
    /// way, so that one whose logins hang does not take all places; then by rank and time.
    fn most_urgent(&self, room: &Room, now: Instant) -> Option<(Rank, u32)> {
        let due = self.slots.iter().filter_map(|(number, slot)| {
            let at = self.due_at(*number, slot).filter(|at| *at <= now)?;
            let account = &self.accounts[slot.account];
            let rank = slot.rank(account);
            room.has(rank)
                .then_some((rank == Rank::Retry, account.under_way, rank, at, *number))
        });
        due.min().map(|(_, _, rank, _, number)| (rank, number))
    }

    fn room(&self) -> Room {
        let under_way = self
            .slots
            .values()
            .filter_map(|slot| slot.under_way.as_ref());
        let (all, retries) = under_way.fold((0, 0), |(all, retries), login| {
            (all + 1, retries + usize::from(login.retry))
        });
        let places = self.rules.login_concurrency.max(1);
        Room {
            all: places.saturating_sub(all),
            retries: self.rules.retry_places().saturating_sub(retries),
        }
    }

    fn start(&mut self, number: u32, rank: Rank, now: Instant) -> Login {
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

    fn next_look(&self, now: Instant) -> Instant {
        // What is due and not started waits for a place, and a look is taken when one is given back.
        let coming = self
            .slots
            .iter()
            .flat_map(|(number, slot)| [self.due_at(*number, slot), slot.ends_at()])
            .flatten()
            .filter(|at| *at > now)
            .min();
        let latest = now + self.rules.longest_nap();
        coming
            .map_or(latest, |at| at.min(latest))
            .max(now + SHORTEST_NAP)
    }
}

/// Places left for logins; a retry needs one of the few that retries may have.
struct Room {
    all: usize,
    retries: usize,
}

impl Room {
    fn has(&self, rank: Rank) -> bool {
        self.all > 0 && (rank != Rank::Retry || self.retries > 0)
    }

    fn take(&mut self, rank: Rank) {
        self.all -= 1;
        self.retries -= usize::from(rank == Rank::Retry);
    }
}
