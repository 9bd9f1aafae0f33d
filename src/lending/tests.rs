//! The pool on a real region: several desks of one process stand for several workers.

mod counts;
mod holds;
mod limits;
mod line;
mod recovery;
mod rows;
mod taking_back;
mod tenures;
mod tokens;

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use crate::{
    bells::BellBoard,
    ids::{Origin, SlotIndex, Ticket},
    pool::Released,
    region::{Geometry, Region},
    roster::SeatWord,
};

use super::*;

/// Where all tokens come from.
const ORIGIN: Origin = Origin::new(7);

/// A supervisor and workers around one region of `slots` slots, all stocked.
struct Fixture {
    stock: Stock,
    desks: Vec<Arc<Desk>>,
}

impl Fixture {
    fn new(slots: usize, workers: usize) -> Self {
        let geometry = Geometry {
            slots: slots.max(64),
            seats: 4,
            token_bytes: 256,
        };
        let region = Arc::new(Region::with_room(geometry, 1 << 20).expect("a region"));
        region.set_slots_used(slots);
        let bells = BellBoard::create(geometry.seats).expect("bells");
        let stock = Stock::new(region, bells);
        let mut fixture = Self {
            stock,
            desks: Vec::new(),
        };
        for slot in 0..slots {
            fixture.install(slot, "first");
        }
        for _ in 0..workers {
            fixture.hire();
        }
        fixture
    }

    fn install(&self, slot: usize, text: &str) {
        let token = format!("{text} token of slot {slot}");
        self.stock
            .install(SlotIndex::new(slot), token.as_bytes(), ORIGIN)
            .expect("it fits");
    }

    fn hire(&mut self) -> Arc<Desk> {
        let (seat, epoch) = self.stock.fill_seat(0).expect("a vacant seat");
        let bells = self.stock.bells().try_clone().expect("bells");
        let desk = Desk::new(Arc::clone(self.stock.region()), bells, seat, epoch);
        desk.set_ready();
        self.desks.push(Arc::clone(&desk));
        desk
    }

    fn answer_all_bells(&self) {
        self.desks.iter().for_each(|desk| desk.answer_bell());
    }

    #[track_caller]
    fn assert_counts(&self, in_use: u64, available: u64, waiting: u64) {
        let census = self.stock.pool().census();
        assert_eq!(
            (census.in_use, census.available, census.waiting),
            (in_use, available, waiting)
        );
        assert_eq!(census.usable, in_use + available);
    }
}

fn poll(waiting: &mut Waiting) -> Option<Lease> {
    match pin!(waiting).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(lease) => Some(lease),
        Poll::Pending => None,
    }
}
