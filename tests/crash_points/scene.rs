//! A small pool with one live worker, and what must hold in it after another process has died.

use std::{
    any::Any,
    collections::HashSet,
    fs::File,
    os::{fd::AsFd, unix::fs::FileExt},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tpp::lending::{Desk, Lease, Stock, Waiting};
use tpp::pool::{Epoch, SeatIndex, SlotState};
use tpp::roster::SeatState;

use crate::{
    rows::{Verdict, judge_limit, judge_rows},
    worker_process::stocked,
};

/// Slots of a scene.
pub(crate) const SLOTS: usize = 3;
const SEATS: usize = 4;

macro_rules! must {
    ($holds:expr, $($what:tt)+) => {
        if !$holds {
            return Err(format!($($what)+));
        }
    };
}

/// A region, a worker that lives through it all, and the seat of a process that will not.
pub(crate) struct Scene {
    pub(crate) stock: Stock,
    /// The live worker, its leases and its waiters in their order.
    pub(crate) witness: Arc<Desk>,
    pub(crate) held: Vec<Lease>,
    pub(crate) line: Vec<Waiting>,
    /// The seat of the one who dies.
    pub(crate) subject: (SeatIndex, Epoch),
    /// What belongs to a death that is acted. It ends with the scene, when there is nothing left to disturb.
    pub(crate) ghosts: Vec<Box<dyn Any>>,
    /// What the witness has of a concurrency limit.
    pub(crate) permits: Vec<Box<dyn Any>>,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let stock = stocked(SLOTS, SEATS);
        let witness = hire(&stock);
        let subject = stock.fill_seat(0).expect("a vacant seat");
        Self {
            stock,
            witness,
            held: Vec::new(),
            line: Vec::new(),
            subject,
            ghosts: Vec::new(),
            permits: Vec::new(),
        }
    }

    /// The witness leases `count` slots.
    pub(crate) fn hold(&mut self, count: usize) {
        let leases = (0..count).map(|_| self.witness.try_lease().expect("a free slot"));
        self.held.extend(leases);
    }

    /// `count` more wait in the witness.
    pub(crate) fn wait(&mut self, count: usize) {
        let waiting = (0..count).map(|_| self.witness.join());
        self.line.extend(waiting);
    }

    /// The witness gives one slot back.
    pub(crate) fn give_back(&mut self) {
        drop(self.held.pop().expect("it holds one"));
    }

    /// All of the region's bytes as they are now.
    pub(crate) fn image(&self) -> Vec<u8> {
        let region = self.stock.region().as_fd().try_clone_to_owned();
        let file = File::from(region.expect("a descriptor"));
        let length = file.metadata().expect("a memory file").len();
        let mut image = vec![0; usize::try_from(length).expect("a small region")];
        file.read_exact_at(&mut image, 0).expect("all of it");
        image
    }

    /// A desk of this process at the subject's seat, for a death that is acted.
    pub(crate) fn acted_subject(&self) -> Arc<Desk> {
        let bells = self.stock.bells().try_clone().expect("bells");
        let (seat, epoch) = self.subject;
        let desk = Desk::new(Arc::clone(self.stock.region()), bells, seat, epoch);
        desk.set_ready();
        desk
    }

    /// After the subject's death and its reclaim: all that must hold, up to the last lease.
    pub(crate) fn judge(mut self) -> Verdict {
        let permits = std::mem::take(&mut self.permits);
        judge_limit(&self.stock, &self.witness, permits)?;
        self.nothing_is_left_of_the_dead()?;
        judge_rows(&self.stock, &self.witness)?;
        self.the_line_is_served()?;
        while !self.held.is_empty() {
            self.held.remove(0);
            self.the_line_is_served()?;
        }
        must!(self.line.is_empty(), "{} stranded in line", self.line.len());
        self.a_successor_can_use_every_slot()
    }

    fn nothing_is_left_of_the_dead(&self) -> Verdict {
        let (seat, _) = self.subject;
        let pool = self.stock.pool();
        let state = pool.seats[seat.get()].word().state;
        must!(state == SeatState::Vacant, "the seat is {state:?}");
        must!(pool.lines[seat.get()].waiting() == 0, "the dead still wait");
        for index in 0..SLOTS {
            let state = pool.slot_state(index);
            let of_the_dead = [
                SlotState::Leased(seat),
                SlotState::Offered(seat),
                SlotState::Retiring(seat),
            ];
            must!(
                !of_the_dead.contains(&state),
                "slot {index} is {state:?} after the reclaim"
            );
        }
        for other in self.stock.pools().iter().skip(1) {
            let (pool, id) = (other.pool(), other.pool_id());
            let census = pool.census();
            must!(
                (census.in_use, census.waiting, pool.leases_of(seat)) == (0, 0, 0),
                "pool {id}: {census:?} after the reclaim"
            );
            let free = census.available == census.usable && census.usable > 0;
            must!(free, "pool {id}: {census:?}, a permit is lost");
        }
        Ok(())
    }

    /// The witness answers its bell if it was rung, and takes what fell to it.
    fn take_what_was_granted(&mut self) -> Verdict {
        if rang(&self.witness) {
            self.witness.answer_bell();
        }
        let mut waits = false;
        for mut waiting in std::mem::take(&mut self.line) {
            match look(&mut waiting) {
                Some(_) if waits => return Err("one in line was overtaken".to_owned()),
                Some(lease) => self.held.push(lease),
                None => {
                    waits = true;
                    self.line.push(waiting);
                }
            }
        }
        let slots: HashSet<_> = self.held.iter().map(Lease::slot).collect();
        must!(slots.len() == self.held.len(), "a slot has two holders");
        Ok(())
    }

    /// Nobody waits while a slot is free, and the counts are exact.
    fn the_line_is_served(&mut self) -> Verdict {
        self.take_what_was_granted()?;
        let census = self.stock.pool().census();
        let expected = (
            SLOTS as u64,
            self.held.len() as u64,
            self.line.len() as u64,
            0,
        );
        must!(
            (
                census.usable,
                census.in_use,
                census.waiting,
                census.retiring
            ) == expected,
            "{census:?}, but {} held and {} waiting",
            self.held.len(),
            self.line.len()
        );
        must!(
            census.available == 0 || self.line.is_empty(),
            "{} wait although {} are free",
            self.line.len(),
            census.available
        );
        Ok(())
    }

    /// While the subject stands still, passed by: it keeps no one else from any slot but those it has leased.
    pub(crate) fn judge_while_it_stands(&mut self) -> Verdict {
        let (seat, _) = self.subject;
        self.take_what_was_granted()?;
        loop {
            let pool = self.stock.pool();
            let leased = usize::try_from(pool.leases_of(seat)).expect("a few");
            let census = pool.census();
            must!(
                census.in_use == (self.held.len() + leased) as u64,
                "{census:?}, but {} held and {leased} leased by the one that stands",
                self.held.len()
            );
            must!(
                census.available == 0 || self.line.is_empty(),
                "{} wait for a process that stands, although {} are free",
                self.line.len(),
                census.available
            );
            if self.held.is_empty() || self.line.is_empty() {
                return Ok(());
            }
            self.held.remove(0);
            self.take_what_was_granted()?;
        }
    }

    /// Every free slot has its bit, and the seat's part of the line works for the next who sits there.
    fn a_successor_can_use_every_slot(&mut self) -> Verdict {
        let (seat, epoch) = self.stock.fill_seat(0).expect("a vacant seat");
        must!(seat == self.subject.0, "seat {seat} was filled instead");
        self.subject = (seat, epoch);
        let successor = self.acted_subject();
        let mut leases: Vec<_> = std::iter::from_fn(|| successor.try_lease()).collect();
        must!(
            leases.len() == SLOTS,
            "{} leased by a successor",
            leases.len()
        );
        let mut its_own = successor.join();
        self.wait(1);
        leases.truncate(SLOTS - 2);
        let lease = look(&mut its_own);
        must!(lease.is_some(), "the successor's waiter was not served");
        self.take_what_was_granted()?;
        must!(self.line.is_empty(), "the witness's waiter was not served");
        drop((lease, leases));
        self.held.clear();
        let census = self.stock.pool().census();
        must!(
            (census.available, census.in_use, census.waiting) == (SLOTS as u64, 0, 0),
            "{census:?} in the end"
        );
        Ok(())
    }
}

fn hire(stock: &Stock) -> Arc<Desk> {
    let (seat, epoch) = stock.fill_seat(0).expect("a vacant seat");
    let bells = stock.bells().try_clone().expect("bells");
    let desk = Desk::new(Arc::clone(stock.region()), bells, seat, epoch);
    desk.set_ready();
    desk
}

fn rang(desk: &Desk) -> bool {
    let mut bell = [PollFd::new(desk.bell(), PollFlags::POLLIN)];
    poll(&mut bell, PollTimeout::ZERO).expect("a bell") == 1
}

/// The lease, if it has been granted and taken up.
pub(crate) fn look(waiting: &mut Waiting) -> Option<Lease> {
    match pin!(waiting).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(lease) => Some(lease),
        Poll::Pending => None,
    }
}
