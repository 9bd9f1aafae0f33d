//! The part of a stock that is the region's, whatever the pool: what is published, who works here, what the dead held, which
//! pools there are.

use std::{collections::HashSet, io};

use zeroize::Zeroizing;

use crate::{
    clock::monotonic_millis,
    ids::{Epoch, Origin, PoolId, SeatIndex, SlotIndex},
    pool::{Bells, Holder, Pool, Reclaimed, pass_by, reclaim},
    region::{PoolGeometry, PoolParts, RegionError},
    roster::{Seat, SeatState, SeatWord},
    shared::Totals,
};

use super::stock::Stock;

impl Stock {
    /// Says that the plan of `generation` is in force: every worker has it, or will find it in its channel.
    pub fn put_plan_in_force(&self, generation: u64) {
        self.region.set_plan_generation(generation);
    }

    /// A generation newer than that of any plan there was, be it in force or not.
    #[must_use]
    pub fn next_plan_generation(&self) -> u64 {
        let shown = self.region.seats().iter().map(Seat::plan);
        // A predecessor may have died between sending one and putting it in force.
        1 + shown.fold(self.region.plan_generation(), u64::max)
    }

    /// Seats of workers that are ready, respond, and do not act on the plan of `generation` yet, or a later one.
    #[must_use]
    pub fn seats_behind(&self, generation: u64) -> Vec<usize> {
        let seats = self.region.seats().iter().enumerate();
        let behind = seats.filter(|(_, seat)| {
            let word = seat.word();
            word.state == SeatState::Ready && !word.stalled && seat.plan() < generation
        });
        behind.map(|(index, _)| index).collect()
    }

    /// Whether there is none of those.
    #[must_use]
    pub fn is_plan_reached(&self, generation: u64) -> bool {
        self.seats_behind(generation).is_empty()
    }

    pub(super) fn ring_all(&self) {
        for (index, seat) in self.region.seats().iter().enumerate() {
            if seat.word().is_filled() {
                self.bells.ring(SeatIndex::new(index));
            }
        }
    }

    /// Fills a vacant seat for a worker about to be started, of which `launch` is the fingerprint
    /// ([`crate::roster::Seat::launch`]); `None`: all are taken.
    #[must_use]
    pub fn fill_seat(&self, launch: u64) -> Option<(SeatIndex, Epoch)> {
        let pool = self.pool();
        let index = pool
            .seats
            .iter()
            .position(|seat| seat.word().state == SeatState::Vacant)?;
        let seat = &pool.seats[index];
        let epoch = seat.word().epoch.next();
        // A beat to begin with: time until the first one of its own counts from here.
        let now = monotonic_millis();
        let _ = seat.beat(now);
        seat.note_launch(launch, now);
        seat.set_word(SeatWord {
            state: SeatState::Starting,
            stalled: false,
            epoch,
            pid: 0,
        });
        Some((SeatIndex::new(index), epoch))
    }

    /// Notes the process that sits there.
    pub fn set_pid(&self, seat: SeatIndex, pid: u32) {
        self.pool().seats[seat.get()].update_word(|word| Some(SeatWord { pid, ..word }));
    }

    /// Milliseconds since the worker's last heartbeat.
    #[must_use]
    pub fn heartbeat_age(&self, seat: SeatIndex) -> u64 {
        monotonic_millis().saturating_sub(self.pool().seats[seat.get()].heartbeat())
    }

    /// Takes back all that the worker of `seat` held, in every pool, and vacates the seat. Its process must have ended.
    pub fn reclaim(&self, seat: SeatIndex) -> Reclaimed {
        // First: once the seat is vacant nobody would do it any more, should this process die in between.
        self.region.wipe_clients(seat);
        self.settle_rows(seat);
        let pools = self.region.pools();
        let reclaimed = reclaim(&self.views(&pools), seat, &*self.bells);
        self.region.counters(seat).settle(reclaimed.leases);
        pools.iter().for_each(|parts| self.tell_of_spent(parts));
        reclaimed
    }

    /// The dead tell nobody that they left a spent token.
    fn tell_of_spent(&self, parts: &PoolParts) {
        let (pool, suspects) = (self.region.pool_at(parts), self.region.suspects_at(parts));
        if self.region.tokens_at(parts).is_empty() {
            return;
        }
        let slots = pool.slots.iter().enumerate();
        let mut spent = slots.filter(|(_, slot)| slot.is_spent()).peekable();
        if spent.peek().is_some() {
            spent.for_each(|(index, _)| suspects.push(SlotIndex::new(index)));
            self.bells.ring_supervisor();
        }
    }

    /// Lets every line pass a worker by whose heartbeat stands still.
    pub fn pass_by(&self, seat: SeatIndex) {
        let pools = self.region.pools();
        pass_by(&self.views(&pools), seat, &*self.bells);
    }

    fn views(&self, pools: &[PoolParts]) -> Vec<Pool<'_>> {
        pools
            .iter()
            .map(|parts| self.region.pool_at(parts))
            .collect()
    }

    /// Adds a pool, with no slot configured yet. `key` is any number to find it by, for a supervisor that takes over.
    ///
    /// # Errors
    /// If its size is out of bounds, or the region has no room for it.
    pub fn add_pool(&self, key: u64, geometry: PoolGeometry) -> Result<Self, RegionError> {
        Ok(self.at(self.region.add_pool(key, geometry)?))
    }

    /// Adds a concurrency limit: at most `permits` at once, ready to be lent.
    ///
    /// # Errors
    /// As [`Self::add_pool`].
    pub fn add_limit(&self, key: u64, permits: usize) -> Result<Self, RegionError> {
        let limit = self.add_pool(key, PoolGeometry::of_permits(permits))?;
        limit.set_permits(permits);
        Ok(limit)
    }

    /// Takes a pool away, once every worker goes by plan `generation`, the first one without it. False: one does not yet.
    ///
    /// # Errors
    /// If its memory cannot be given back.
    pub fn remove_pool(&self, pool: PoolId, generation: u64) -> io::Result<bool> {
        let seats = self.region.seats();
        let is_behind =
            |seat: &Seat| seat.word().state != SeatState::Vacant && seat.plan() < generation;
        if seats.iter().any(is_behind) {
            return Ok(false);
        }
        self.region.remove_pool(pool).map(|()| true)
    }

    /// Leases of its pool whose tokens are of one of `origins`.
    #[must_use]
    pub fn leases_of_origins(&self, origins: &HashSet<Origin>) -> u64 {
        if origins.is_empty() {
            return 0;
        }
        let pool = self.pool();
        let mut token = Zeroizing::default();
        let leases = (0..self.slots_used()).map(SlotIndex::new).filter(|slot| {
            let is_leased = matches!(pool.slots[slot.get()].word().holder, Holder::Leased { .. });
            is_leased && origins.contains(&self.read_token(*slot, &mut token).1)
        });
        leases.count() as u64
    }

    /// All pools, the default one first.
    #[must_use]
    pub fn pools(&self) -> Vec<Self> {
        let pools = self.region.pools().into_iter();
        pools.map(|parts| self.at(parts)).collect()
    }

    pub(super) fn summon_all(&self) {
        for seat in self.region.seats() {
            seat.summon();
        }
        self.ring_all();
    }

    /// What all workers, past ones included, have done.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for index in 0..self.pool().seats.len() {
            totals.add(self.region.counters(SeatIndex::new(index)));
        }
        totals
    }
}
