//! The waiting line: strict order of arrival over all workers, with nothing to repair when a worker dies.
//!
//! One counter hands out tickets. Each worker keeps its own waiters in order in its own memory and shows
//! the first of them in its seat's window, a ring of words that only it fills and clears. The line is
//! the merge of all windows by ticket: whoever has a slot to give looks at the first waiter of each seat,
//! takes the lowest ticket, and turns that place from waiting to granted by one exchange. So a place has one owner,
//! no index is shared, no process can leave the line in a state that others have to finish, and a dead worker's
//! part vanishes by clearing its window. A worker may keep any number of waiters: the window's size, the pool's own, bounds
//! only how many grants a worker can be behind.
//!
//! A ticket is drawn before its place is shown. Between the two the waiter has not joined yet; once shown, it
//! stands before all higher tickets.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::atomic::Ordering::{Acquire, Relaxed, Release},
};

use crate::{
    ids::{SeatIndex, SlotIndex, Ticket},
    sync::AtomicU64,
};

use super::{Pool, seat_line::SeatLine, slot::Claim, word::Place};

/// The first waiter of a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Front {
    /// Stands in the window, at this place of it.
    Shown(Ticket, usize),
    /// Waits behind a window that has room only when its worker clears it. That worker has a grant to collect and will
    /// serve the line after it.
    Hidden(Ticket),
}

impl Front {
    pub(crate) fn ticket(self) -> Ticket {
        match self {
            Self::Shown(ticket, _) | Self::Hidden(ticket) => ticket,
        }
    }
}

/// Everyone's view of one seat's part of the line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window<'a> {
    line: &'a SeatLine,
    places: &'a [AtomicU64],
}

impl<'a> Window<'a> {
    pub(crate) fn new(line: &'a SeatLine, places: &'a [AtomicU64]) -> Self {
        Self { line, places }
    }

    fn place(self, sequence: u64) -> &'a AtomicU64 {
        &self.places[sequence as usize % self.places.len()]
    }

    /// The first who waits here.
    pub(crate) fn front(self) -> Option<Front> {
        loop {
            // Acquire, pairs with Release in `LineKeeper::clear_front`.
            let first = self.line.window_first.load(Acquire);
            let found = self.scan(first);
            // Relaxed: if a place we read had been cleared, our Acquire read of it made the raised `window_first`,
            // stored before, visible. Unchanged, it proves that all places from `first` to the one found
            // were what they seemed: none had been cleared and filled again.
            if self.line.window_first.load(Relaxed) == first {
                return found;
            }
        }
    }

    fn scan(self, first: u64) -> Option<Front> {
        // Before the places: one who moves up from behind in between is then seen twice rather than not at all, and a
        // stale number only makes us step back for one whose worker serves the line after it lowered the number.
        // Acquire, pairs with Release in `update_behind_window`: who sees it lowered sees the places shown.
        let behind = self.line.behind_window.load(Acquire);
        for sequence in (0..self.places.len() as u64).map(|at| first.wrapping_add(at)) {
            // Acquire, pairs with the Release stores that fill and clear a place.
            match Place::unpack(self.place(sequence).load(Acquire)) {
                Place::Waiting(ticket) => {
                    return Some(Front::Shown(ticket, sequence as usize % self.places.len()));
                }
                Place::Granted(..) | Place::Gone(_) => {}
                Place::Empty => break,
            }
        }
        behind
            .checked_sub(1)
            .map(|ticket| Front::Hidden(Ticket::new(ticket)))
    }

    /// Grants `slot` to the one at `at`. If not, says what stands there.
    pub(crate) fn grant(self, at: usize, ticket: Ticket, slot: SlotIndex) -> Result<(), Place> {
        let (from, to) = (
            Place::Waiting(ticket).pack(),
            Place::Granted(ticket, slot).pack(),
        );
        // Release: the offer made on the slot's word comes first; who sees the grant sees the offer. No Acquire, on
        // failure neither: all we look at afterwards is the slot's word, and of that we have seen the offer.
        self.places[at]
            .compare_exchange(from, to, Release, Relaxed)
            .map(|_| ())
            .map_err(Place::unpack)
    }

    /// Undoes a grant whose offer is gone: the place waits again, in its old order. Only its worker may: nobody else
    /// knows that it has not been granted anew meanwhile.
    fn ungrant(self, sequence: u64, ticket: Ticket, slot: SlotIndex) {
        let (from, to) = (
            Place::Granted(ticket, slot).pack(),
            Place::Waiting(ticket).pack(),
        );
        // Relaxed: the fence in `Pool::dispatch`, which the worker calls next, orders it against a freed slot; a
        // read-modify-write passes on what filling the place released. It fails only if we are taken for dead and our
        // window was cleared, and then there is nothing to undo.
        let _ = self
            .place(sequence)
            .compare_exchange(from, to, Relaxed, Relaxed);
    }

    /// Where `ticket` stands and as what, if it is shown.
    pub(crate) fn find(self, ticket: Ticket) -> Option<(usize, Place)> {
        // Relaxed: a sweep acts by exchanges on the place and the slot's word, and comes again.
        self.places.iter().map(|place| Place::unpack(place.load(Relaxed))).enumerate().find(|(_, place)| {
            matches!(place, Place::Waiting(t) | Place::Granted(t, _) | Place::Gone(t) if *t == ticket)
        })
    }

    /// Empties the window of a seat whose process has ended. Can be cut off and done again.
    pub(crate) fn clear(self) {
        for place in self.places {
            // Relaxed peek spares untouched pages: a place is filled by the one who died. The swap: a grant made by
            // a live process just now either comes before, and is overwritten, or fails. Acquire: of one overwritten we
            // must see the offer, to free its slot next.
            if place.load(Relaxed) != 0 {
                place.swap(0, Acquire);
            }
        }
        self.line.clear();
    }
}

/// A slot that was granted and taken up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) struct Collected {
    pub(crate) ticket: Ticket,
    pub(crate) slot: SlotIndex,
    pub(crate) claim: Claim,
}

/// The worker's own half of its part of the line. One a process; its owner guards it.
#[derive(Debug)]
pub(crate) struct LineKeeper {
    seat: SeatIndex,
    /// Tickets in the window from its first place on; `None` once served or gone.
    shown: VecDeque<Option<Ticket>>,
    /// Sequence number of `shown[0]`.
    first: u64,
    /// Those behind the window.
    hidden: BTreeSet<Ticket>,
    /// Who waits: shown and not `None`, and hidden.
    waiting: u64,
}

impl LineKeeper {
    /// For a worker in which nobody waits; it goes on where its window was left.
    pub(crate) fn new(seat: SeatIndex, line: &SeatLine) -> Self {
        Self {
            seat,
            shown: VecDeque::new(),
            // Relaxed: only its worker writes it; the supervisor, which made it clean, has spoken to that worker since.
            first: line.window_first.load(Relaxed),
            hidden: BTreeSet::new(),
            waiting: 0,
        }
    }

    /// Joins the line. The caller serves the line afterwards ([`Pool::dispatch`]) and collects.
    pub(crate) fn join(&mut self, pool: &Pool<'_>) -> Ticket {
        // Relaxed: only the numbers' order among themselves matters, and a read-modify-write gives that.
        let ticket = Ticket::new(pool.tickets.fetch_add(1, Relaxed));
        self.hidden.insert(ticket);
        self.set_waiting(pool, self.waiting + 1);
        pool.line_seats.set(self.seat);
        self.show_hidden(pool);
        ticket
    }

    /// Leaves the line. A slot granted meanwhile is given back. True says that the line must be served.
    #[must_use]
    pub(crate) fn leave(&mut self, pool: &Pool<'_>, ticket: Ticket) -> bool {
        if self.hidden.remove(&ticket) {
            self.update_behind_window(pool);
            self.left(pool);
            // Someone with a slot to give may have stepped back for the one who leaves here ([`Front::Hidden`]).
            return true;
        }
        let Some(index) = self.shown.iter().position(|shown| *shown == Some(ticket)) else {
            return false;
        };
        let window = pool.window(self.seat);
        let place = window.place(self.first + index as u64);
        let gone = Place::Gone(ticket).pack();
        // Acquire, pairs with Release in `grant`: we either leave before any grant, or read the grant and see its offer.
        let before = Place::unpack(place.swap(gone, Acquire));
        self.shown[index] = None;
        self.left(pool);
        // A slot offered but not granted yet is withdrawn by whoever offered it: its grant now fails.
        let given_back = match before {
            Place::Granted(_, slot) => pool.withdraw(slot, self.seat, ticket),
            _ => false,
        };
        let shown_more = self.clear_front(pool);
        given_back || shown_more
    }

    /// Takes up what was granted. `number` names the next lease. True says that the line must be served:
    /// new places are shown, or a grant turned out void.
    #[must_use]
    pub(crate) fn collect(
        &mut self,
        pool: &Pool<'_>,
        mut next_claim: impl FnMut() -> Claim,
        collected: &mut Vec<Collected>,
    ) -> bool {
        let window = pool.window(self.seat);
        let mut serve = false;
        for (index, shown) in self.shown.iter_mut().enumerate() {
            let Some(ticket) = *shown else { continue };
            let sequence = self.first + index as u64;
            // Acquire, pairs with Release in `grant`.
            let Place::Granted(_, slot) = Place::unpack(window.place(sequence).load(Acquire))
            else {
                continue;
            };
            let claim = next_claim();
            let granted = pool.slots.get(slot.get());
            if granted.is_some_and(|granted| granted.accept(ticket, claim)) {
                // Relaxed: the exchange on the slot is what others go by; a granted place is ours alone.
                window
                    .place(sequence)
                    .store(Place::Gone(ticket).pack(), Relaxed);
                *shown = None;
                self.waiting -= 1;
                collected.push(Collected {
                    ticket,
                    slot,
                    claim,
                });
            } else {
                // Withdrawn as we were slow, or the token is no longer fit: wait on, at the same place.
                pool.withdraw(slot, self.seat, ticket);
                window.ungrant(sequence, ticket, slot);
                serve = true;
            }
        }
        if !collected.is_empty() {
            self.set_waiting(pool, self.waiting);
        }
        self.clear_front(pool) || serve
    }

    /// Those who wait.
    #[cfg_attr(tpp_loom, allow(dead_code, reason = "the models have no desk"))]
    pub(crate) fn first_waiting(&self) -> Option<Ticket> {
        self.shown
            .iter()
            .flatten()
            .next()
            .or_else(|| self.hidden.first())
            .copied()
    }

    fn left(&mut self, pool: &Pool<'_>) {
        self.set_waiting(pool, self.waiting - 1);
    }

    fn set_waiting(&mut self, pool: &Pool<'_>, waiting: u64) {
        self.waiting = waiting;
        // Relaxed: a number for people; nobody else writes it.
        pool.lines[self.seat.get()].waiting.store(waiting, Relaxed);
        if waiting == 0 {
            pool.line_seats.clear(self.seat);
        }
    }

    /// Clears served places from the front of the window and fills it up from behind. True if it showed any.
    fn clear_front(&mut self, pool: &Pool<'_>) -> bool {
        let window = pool.window(self.seat);
        while let Some(None) = self.shown.front() {
            let place = window.place(self.first);
            self.first += 1;
            // Release, both: who reads the cleared place (Acquire) sees the raised number; who reads the number sees
            // all that happened to the places before it.
            window.line.window_first.store(self.first, Release);
            place.store(Place::Empty.pack(), Release);
            self.shown.pop_front();
        }
        self.show_hidden(pool)
    }

    fn show_hidden(&mut self, pool: &Pool<'_>) -> bool {
        let window = pool.window(self.seat);
        let mut showed = false;
        while self.shown.len() < window.places.len()
            && let Some(ticket) = self.hidden.pop_first()
        {
            let sequence = self.first + self.shown.len() as u64;
            // Release: who sees the place sees the cleared ones before it. Place first, number behind the window
            // afterwards: a reader in between finds the place.
            window
                .place(sequence)
                .store(Place::Waiting(ticket).pack(), Release);
            self.shown.push_back(Some(ticket));
            showed = true;
        }
        self.update_behind_window(pool);
        showed
    }

    fn update_behind_window(&self, pool: &Pool<'_>) {
        let behind = self.hidden.first().map_or(0, |ticket| ticket.get() + 1);
        let word = &pool.lines[self.seat.get()].behind_window;
        // Relaxed peek: we are the only writer; the common value is 0 and stays 0. Release: see `Window::scan`.
        if word.load(Relaxed) != behind {
            word.store(behind, Release);
        }
    }
}
