//! Runs the logins that are due, installs what they bring, and acts on what the workers say of tokens.
//!
//! This is the loop, and what several of its duties need; each duty has a file of its own.

mod adoption;
mod leaving;
mod logins;
mod orders;
mod reports;
mod shares;
mod sharing;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, watch},
    task::{self, JoinSet},
};
use tpp::{
    clock::boot_millis,
    config::Credential,
    lending::Stock,
    plan::Place,
    pool::SlotIndex,
    shared::{Hopeless, PoolLogins},
};
use tracing::warn;

pub(crate) use self::shares::{ShareEvent, ShareOrder};
use self::{
    logins::Done,
    reports::rung,
    shares::{LOOK, Shares, logged_out},
};
use super::{
    Order, RefreshHandle, Setup,
    assignment::{key, sessions},
    book::Book,
    clock,
    farewell::Farewells,
    places::Places,
};
use crate::{
    provider::{Manner, Provider},
    schedule::Login,
};

/// How often all slots are looked at for tokens that were refused. Workers name those slots, so that it finds none but
/// after a worker died just then.
const FULL_LOOK: Duration = Duration::from_secs(30);

/// Owns the accounts; the only one who logs in.
pub(crate) struct Refresher {
    stock: Arc<Stock>,
    provider: Arc<dyn Provider>,
    places: Places,
    handle: RefreshHandle,
    orders: mpsc::UnboundedReceiver<Order>,
    bell: watch::Receiver<()>,
    logins: JoinSet<Done>,
    farewells: Farewells,
    /// Which login each task is, and since when.
    under_way: HashMap<task::Id, (Login, Instant)>,
    next_full_look: Instant,
    /// Where the accounts are shared with other hosts.
    shares: Option<Shares>,
    ready_said: bool,
}

impl Refresher {
    /// A refresher for the accounts of `setup`, with sessions at `places`; `bell` changes whenever a worker rang.
    ///
    /// # Errors
    /// If a predecessor's pool has no room for them.
    pub(crate) fn new(
        setup: Setup,
        places: Vec<Place>,
        stock: Arc<Stock>,
        bell: watch::Receiver<()>,
    ) -> anyhow::Result<Self> {
        let Setup {
            provider,
            rules,
            accounts,
            shared,
        } = setup;
        let (sender, orders) = mpsc::unbounded_channel();
        let mut refresher = Self {
            stock,
            provider,
            places: Places::new(places),
            handle: RefreshHandle {
                ledger: Arc::new(Mutex::new(Book::new(rules))),
                orders: sender,
            },
            orders,
            bell,
            logins: JoinSet::new(),
            farewells: Farewells::default(),
            under_way: HashMap::new(),
            // Reports that came while no supervisor was there.
            next_full_look: clock::now(),
            shares: shared.map(Shares::new),
            ready_said: false,
        };
        refresher.heed_manner();
        refresher.tally(|logins| logins.begin(boot_millis()));
        refresher.note_what_is_here();
        refresher.adopt(&accounts);
        // Before more are taken: those that turn out to be empty are good for others.
        refresher.wipe_retired();
        refresher
            .check_room(&accounts)
            .map_err(anyhow::Error::msg)?;
        refresher.assign(accounts);
        Ok(refresher)
    }

    /// Has the schedule and the workers go by what kind of tokens the provider has.
    fn heed_manner(&self) {
        let manner = self.provider.manner();
        self.stock.set_has_keys(manner == Manner::Key);
        self.handle
            .ledger()
            .schedule
            .set_sharing(manner.is_shared());
    }

    /// Counts something of the pool, if it is counted.
    fn tally(&self, count: impl FnOnce(&PoolLogins)) {
        if let Some(logins) = self.stock.logins() {
            count(logins);
        }
    }

    fn check_room(&self, accounts: &[Credential]) -> Result<(), String> {
        let (room, wanted) = (self.stock.room(), sessions(accounts));
        if self.handle.ledger().has_room(accounts, room) {
            Ok(())
        } else {
            Err(format!(
                "{wanted} sessions do not fit beside those still in use: the pool has room for {room}"
            ))
        }
    }

    pub(crate) fn handle(&self) -> RefreshHandle {
        self.handle.clone()
    }

    /// Runs as long as the supervisor does.
    pub(crate) async fn run(mut self) {
        loop {
            if clock::now() >= self.next_full_look {
                self.next_full_look = clock::now() + FULL_LOOK;
                self.look_at_all();
            }
            self.wipe_retired();
            self.look_at_leaving();
            let plan = self.handle.ledger().schedule.plan(clock::now());
            plan.ended.into_iter().for_each(|slot| self.ended(slot));
            plan.start.into_iter().for_each(|login| self.start(login));
            self.share_out();
            self.farewells.look(&self.stock);
            self.weigh_hope();
            let mut next_look = plan.next_look.min(self.next_full_look);
            if self.farewells.are_waited_for() {
                next_look = next_look.min(self.farewells.next_look());
            }
            if self.awaits_holders() {
                next_look = next_look.min(clock::now() + LOOK);
            }
            tokio::select! {
                Some(done) = self.logins.join_next_with_id() => {
                    self.done(done);
                    // All that have ended meanwhile: a plan looks at every slot, so one for each would be dear.
                    while let Some(done) = self.logins.try_join_next_with_id() {
                        self.done(done);
                    }
                }
                at = logged_out(&mut self.shares) => self.note_logged_out(at),
                // Most rings are not for us.
                () = rung(&mut self.bell, &self.stock) => {
                    self.look_at_reported();
                }
                Some(order) = self.orders.recv() => match order {
                    Order::LogOut { answer } => {
                        self.log_out_all().await;
                        // Whoever asked may have gone.
                        let _ = answer.send(());
                        return;
                    }
                    Order::Leave { answer } => {
                        self.leave();
                        let _ = answer.send(());
                        return self.see_off().await;
                    }
                    order => self.obey(order),
                },
                () = clock::sleep_until(next_look) => {}
            }
        }
    }

    /// Wipes the tokens of slots that are nobody's, as soon as their leases have ended.
    fn wipe_retired(&mut self) {
        let is_idle = |slot: &usize| self.stock.is_idle(SlotIndex::new(*slot));
        let leaving: Vec<_> = {
            let book = self.handle.ledger();
            book.retired.iter().copied().filter(is_idle).collect()
        };
        for slot in leaving {
            self.part_from(slot, None);
        }
        let empty = self
            .handle
            .ledger()
            .reclaim_retired(|slot| self.stock.wipe(SlotIndex::new(slot)));
        empty.into_iter().for_each(|slot| self.note_reclaimed(slot));
    }

    /// Lends the token of `slot` no more.
    fn take_out_of_use(&self, slot: u32) {
        self.handle.ledger().withhold(slot as usize);
        self.stock.take_out_of_use(SlotIndex::new(slot as usize));
    }

    /// The time of a slot's token is up, and there is no other yet.
    fn ended(&self, slot: u32) {
        warn!(
            slot,
            "token at its end, and not renewed: the slot is out of use"
        );
        self.take_out_of_use(slot);
    }

    /// Gives each account its slots. One that has fewer sessions than before loses slots at once if they are free,
    /// otherwise when their leases end.
    fn assign(&mut self, accounts: Vec<Credential>) {
        let mut book = self.handle.ledger();
        let plan = book.assign(accounts, clock::now());
        self.stock.set_slots_used(book.slots());
        for (slot, account) in book.assigned() {
            self.stock
                .assign(SlotIndex::new(slot), key(&account.username));
        }
        for slot in plan.retired {
            book.withhold(slot);
            self.stock.take_out_of_use(SlotIndex::new(slot));
        }
        drop(book);
        self.ready_said = false;
    }

    /// No login for the slot comes soon: its holder is told, and its token, if the upstream turned it down, is lent to
    /// nobody else. One that is merely due for renewal is still good.
    fn put_off(&self, slot: u32) {
        let index = SlotIndex::new(slot as usize);
        if self.stock.is_suspect(index) && !self.stock.is_vouched(index) {
            self.take_out_of_use(slot);
        }
        self.stock.put_off(index);
    }

    /// Whether anybody need wait for a token: not if every account is refused, or every key rests, and none is left to be lent.
    fn weigh_hope(&self) {
        let refused = self.handle.ledger().schedule.all_refused();
        let spared = self.handle.ledger().schedule.all_spared();
        let why = match (refused, spared) {
            (Some(accounts), _) => Some(Hopeless::Refused(accounts as u64)),
            (None, Some(until)) => Some(Hopeless::Spared(clock::to_boot_millis(until))),
            (None, None) => None,
        };
        let why = why.filter(|_| self.stock.pool().census().usable == 0);
        if why.is_some() && self.stock.hopeless() != why {
            warn!(
                ?why,
                "no token is left, and none comes soon: nobody waits for one"
            );
        }
        self.stock.set_hopeless(why);
    }
}

#[cfg(test)]
mod tests;
