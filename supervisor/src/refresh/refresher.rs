//! Runs the logins that are due, installs what they bring, and acts on what the workers say of tokens.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, watch},
    task::{self, JoinError, JoinSet},
};
use tpp::{
    config::Credential,
    lending::{Legacy, Stock},
    plan::Backend,
    pool::{Origin, SlotIndex},
    shared::Rest,
};
use tracing::{debug, error, info, warn};
use zeroize::Zeroizing;

use super::{
    Order, RefreshHandle, Setup,
    assignment::{self, key, sessions},
    backends::Backends,
    book::{Book, number},
    clock,
};
use crate::{
    provider::{self, Grant, LoginError, Outcome, Provider},
    schedule::{Complaint, Failure, Login, Suspicion},
};

/// How often all slots are looked at for tokens that were refused. Workers name those slots, so that it finds none but
/// after a worker died just then.
const FULL_LOOK: Duration = Duration::from_secs(30);

/// Where a token was to be drawn, and what came of it.
type Done = (Origin, Result<Grant, LoginError>);

/// Owns the accounts; the only one who logs in.
pub(crate) struct Refresher {
    stock: Arc<Stock>,
    provider: Arc<dyn Provider>,
    backends: Backends,
    handle: RefreshHandle,
    orders: mpsc::UnboundedReceiver<Order>,
    bell: watch::Receiver<()>,
    logins: JoinSet<Done>,
    /// Which login each task is.
    under_way: HashMap<task::Id, Login>,
    next_full_look: Instant,
    ready_said: bool,
}

impl Refresher {
    /// A refresher for the accounts of `setup`, with sessions at `backends`; `bell` changes whenever a worker rang.
    ///
    /// # Errors
    /// If a predecessor's pool has no room for them.
    pub(crate) fn new(
        setup: Setup,
        backends: Vec<Backend>,
        stock: Arc<Stock>,
        bell: watch::Receiver<()>,
    ) -> anyhow::Result<Self> {
        let Setup {
            provider,
            rules,
            accounts,
        } = setup;
        let (sender, orders) = mpsc::unbounded_channel();
        let mut refresher = Self {
            stock,
            provider,
            backends: Backends::new(backends),
            handle: RefreshHandle {
                ledger: Arc::new(Mutex::new(Book::new(rules))),
                orders: sender,
            },
            orders,
            bell,
            logins: JoinSet::new(),
            under_way: HashMap::new(),
            // Reports that came while no supervisor was there.
            next_full_look: clock::now(),
            ready_said: false,
        };
        refresher.adopt(&accounts);
        // Before more are taken: those that turn out to be empty are good for others.
        refresher.wipe_retired();
        refresher
            .check_room(&accounts)
            .map_err(anyhow::Error::msg)?;
        refresher.assign(accounts);
        Ok(refresher)
    }

    fn check_room(&self, accounts: &[Credential]) -> Result<(), String> {
        let (room, wanted) = (self.stock.region().geometry().slots, sessions(accounts));
        if assignment::has_room(&self.handle.ledger(), accounts, room) {
            Ok(())
        } else {
            Err(format!(
                "{wanted} sessions do not fit beside those still in use: the pool has room for {room}"
            ))
        }
    }

    /// Takes over what a predecessor left in the slots, if there was one.
    fn adopt(&mut self, accounts: &[Credential]) {
        let now = clock::now();
        let legacies: Vec<_> = (0..self.stock.region().slots_used())
            .map(|slot| self.legacy(SlotIndex::new(slot)))
            .collect();
        let mut book = self.handle.ledger();
        book.adopt(accounts, &legacies, now, |slot| {
            self.fingerprint(SlotIndex::new(slot))
        });
        for slot in &book.retired {
            self.stock.take_out_of_use(SlotIndex::new(*slot));
        }
        for (slot, legacy) in legacies.iter().enumerate() {
            let owner = book.owner(slot).cloned();
            let rest = owner
                .as_ref()
                .and_then(|owner| assignment::rest_of(owner, legacy));
            if let Some((owner, rest)) = owner.zip(rest) {
                let until = clock::from_boot_millis(rest.until);
                book.schedule.rest(&owner.username, now, until);
            }
        }
    }

    /// What a predecessor left in `slot`. A token of another server is out of use, and as good as none.
    fn legacy(&self, slot: SlotIndex) -> Legacy {
        let legacy = self.stock.legacy(slot);
        if !legacy.is_usable || self.backends.may_have(legacy.origin) {
            return legacy;
        }
        self.stock.take_out_of_use(slot);
        Legacy {
            is_usable: false,
            ..legacy
        }
    }

    fn fingerprint(&self, slot: SlotIndex) -> String {
        let mut bytes = Zeroizing::default();
        self.stock.read_token(slot, &mut bytes);
        provider::fingerprint(&bytes)
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
            let plan = self.handle.ledger().schedule.plan(clock::now());
            plan.ended.into_iter().for_each(|slot| self.ended(slot));
            plan.start.into_iter().for_each(|login| self.start(login));
            self.weigh_hope();
            let next_look = plan.next_look.min(self.next_full_look);
            tokio::select! {
                Some(done) = self.logins.join_next_with_id() => {
                    self.done(done);
                    // All that have ended meanwhile: a plan looks at every slot, so one for each would be dear.
                    while let Some(done) = self.logins.try_join_next_with_id() {
                        self.done(done);
                    }
                }
                // Most rings are not for us.
                () = rung(&mut self.bell, &self.stock) => {
                    self.look_at_reported();
                }
                Some(order) = self.orders.recv() => self.obey(order),
                () = clock::sleep_until(next_look) => {}
            }
        }
    }

    /// Wipes the tokens of slots that are nobody's, as soon as their leases have ended.
    fn wipe_retired(&mut self) {
        self.handle
            .ledger()
            .reclaim_retired(|slot| self.stock.wipe(SlotIndex::new(slot)));
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

    fn start(&mut self, login: Login) {
        let slot = login.slot;
        let Some(account) = self.handle.ledger().owner(slot as usize).cloned() else {
            // The schedule knows no slot that is nobody's.
            return error!(slot, "a login for a slot without an account");
        };
        debug!(slot, user = account.username, "logging in");
        self.stock.login_begins(SlotIndex::new(slot as usize));
        let provider = Arc::clone(&self.provider);
        let choice = self.backends.choice(slot);
        let task = self.logins.spawn(async move {
            match choice.await {
                Some(at) => (at.origin, provider.grant(&account, at.address).await),
                None => (Origin::NONE, Err(provider.unresolved())),
            }
        });
        self.under_way.insert(task.id(), login);
    }

    fn done(&mut self, done: Result<(task::Id, Done), JoinError>) {
        let id = done.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some(login) = self.under_way.remove(&id) else {
            return;
        };
        match done {
            Ok((_, (origin, Ok(grant)))) => {
                self.backends.note(origin, true);
                self.logged_in(login, &grant, origin);
            }
            Ok((_, (origin, Err(reason)))) => {
                self.backends.note(origin, !reason.is_unreachable());
                let failure = match reason.outcome() {
                    Outcome::Busy => Failure::Busy,
                    Outcome::Trouble => Failure::Trouble,
                    Outcome::Refused => Failure::Refused,
                };
                self.failed(login, failure, reason.to_string());
            }
            // To a server that is in force no more: its slot has begun anew.
            Err(cut) if cut.is_cancelled() => {}
            // Bytes from outside reach that code: what it cannot bear must cost no slot.
            Err(broken) => {
                error!(slot = login.slot, error = %broken, "a login broke down");
                self.failed(login, Failure::Trouble, "the login broke down".to_owned());
            }
        }
    }

    fn logged_in(&mut self, login: Login, grant: &Grant, origin: Origin) {
        // The slot may have been given to another account meanwhile.
        if !self.handle.ledger().schedule.expects(&login) {
            return;
        }
        if !self.backends.have(origin) {
            let reason = "the upstream has moved meanwhile".to_owned();
            return self.failed(login, Failure::Trouble, reason);
        }
        let slot = login.slot;
        let index = SlotIndex::new(slot as usize);
        match self.stock.install(index, grant.secret.expose(), origin) {
            Ok(version) => {
                let fingerprint = grant.secret.fingerprint();
                debug!(slot, version, fingerprint, "token installed");
                self.stock.region().supervisors().logins_succeeded.add(1);
                let now = clock::now();
                self.handle.ledger().logged_in(login, version, grant, now);
                self.say_ready();
            }
            // The region was made for the longest token that the configuration then allowed.
            Err(too_long) => self.failed(login, Failure::Trouble, too_long.to_string()),
        }
    }

    fn failed(&mut self, login: Login, failure: Failure, reason: String) {
        let slot = login.slot;
        let account = {
            let book = self.handle.ledger();
            if !book.schedule.expects(&login) {
                return;
            }
            book.owner(slot as usize).cloned()
        };
        let user = account.as_ref().map_or("", |account| &account.username);
        let counters = self.stock.region().supervisors();
        match failure {
            Failure::Refused => {
                warn!(slot, user, reason, "login refused: the account rests");
                counters.logins_refused.add(1);
            }
            Failure::Busy | Failure::Trouble => {
                warn!(slot, user, reason, "login failed: it will be tried again");
                counters.logins_failed.add(1);
            }
        }
        let others = {
            let mut book = self.handle.ledger();
            book.failed(login, failure, reason, clock::now());
            let until = book.schedule.resting_until(slot);
            let rest = until.zip(account.as_ref()).map(|(until, account)| Rest {
                until: clock::to_boot_millis(until),
                tag: assignment::tag(account),
            });
            self.stock.note_rest(SlotIndex::new(slot as usize), rest);
            book.schedule.put_off_with(slot)
        };
        for slot in others.into_iter().chain([slot]) {
            self.put_off(slot);
        }
        // Last: a connection that waits for this login's result looks at once.
        self.stock.login_failed(SlotIndex::new(slot as usize));
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

    /// Looks at the slots that workers reported; returns how many.
    fn look_at_reported(&mut self) -> usize {
        let reported = self.stock.region().suspects().take();
        reported.iter().for_each(|slot| self.look_at(*slot));
        reported.len()
    }

    fn look_at_all(&mut self) {
        self.look_at_reported();
        let slots = self.handle.ledger().slots();
        (0..slots).for_each(|slot| self.look_at(SlotIndex::new(slot)));
    }

    fn look_at(&mut self, index: SlotIndex) {
        let is_spent = self.stock.is_spent(index);
        if !is_spent && !self.stock.is_suspect(index) {
            return;
        }
        let slot = number(index.get());
        let now = clock::now();
        let mut book = self.handle.ledger();
        let Some(owner) = book.owner(index.get()).cloned() else {
            return;
        };
        let user = owner.username.as_str();
        if is_spent {
            // The holder took it out of use with its lease's end.
            book.withhold(index.get());
            if book.schedule.renew_spent(slot, now) {
                debug!(slot, user, "token not to be lent again: logging in anew");
            }
            return;
        }
        let complaint = Complaint {
            version: self.stock.region().token(index).version(),
            has_served: self.stock.has_served(index),
        };
        let suspicion = book.schedule.suspect(slot, complaint, now);
        drop(book);
        match suspicion {
            Suspicion::Stale | Suspicion::Known => {}
            Suspicion::Due => info!(slot, user, "token refused by the upstream: logging in anew"),
            Suspicion::Delayed => {
                info!(
                    slot,
                    user, "token refused by the upstream: logging in later"
                );
                self.put_off(slot);
            }
            Suspicion::Cleared => self.stock.vouch(index),
        }
    }

    /// Whether anybody need wait for a token: not if every account is refused and none is left to be lent.
    fn weigh_hope(&self) {
        let refused = self.handle.ledger().schedule.all_refused();
        let hopeless = refused.filter(|_| self.stock.pool().census().usable == 0);
        let accounts = hopeless.map_or(0, |accounts| accounts as u64);
        if accounts > 0 && self.stock.hopeless() != hopeless.map(|count| count as u64) {
            warn!(
                accounts,
                "every account is refused: nobody waits for a token"
            );
        }
        self.stock.set_hopeless(accounts);
    }

    fn obey(&mut self, order: Order) {
        // Whoever asked may have gone.
        match order {
            Order::Renew { user, answer } => {
                let _ = answer.send(self.renew(user.as_deref()));
            }
            Order::Reconfigure {
                setup,
                backends,
                answer,
            } => {
                let _ = answer.send(self.reconfigure(*setup, backends));
            }
            Order::Relocate { backends, answer } => {
                self.relocate(backends);
                let _ = answer.send(());
            }
        }
    }

    /// Has tokens drawn at `backends` alone: those of other servers are out of use at once, and drawn anew.
    fn relocate(&mut self, backends: Vec<Backend>) {
        let now = clock::now();
        let moved_away = self.backends.replace(backends);
        if moved_away {
            // What they bring is the old server's; what it said of passwords means nothing to this one.
            self.logins.abort_all();
        }
        let mut book = self.handle.ledger();
        let assigned: Vec<_> = book.assigned().map(|(index, _)| index).collect();
        for index in assigned {
            let slot = SlotIndex::new(index);
            let (_, origin) = self.stock.read_token(slot, &mut Zeroizing::default());
            let is_foreign = origin != Origin::NONE && !self.backends.have(origin);
            if is_foreign {
                book.withhold(index);
                self.stock.take_out_of_use(slot);
            }
            if is_foreign || moved_away {
                // As if it were new: a login under way for it counts no more.
                book.begin_anew(index, now);
                self.stock.note_rest(slot, None);
            }
        }
        if moved_away {
            book.schedule.doubt_passwords(now);
            drop(book);
            self.ready_said = false;
        }
    }

    fn renew(&mut self, user: Option<&str>) -> usize {
        let now = clock::now();
        let mut book = self.handle.ledger();
        let slots: Vec<_> = book
            .assigned()
            .filter(|(_, account)| user.is_none_or(|user| user == account.username))
            .map(|(slot, _)| number(slot))
            .collect();
        let renewed = slots.into_iter();
        let renewed = renewed
            .filter(|slot| book.schedule.renew(*slot, now))
            .count();
        info!(slots = renewed, user, "logging in anew as ordered");
        renewed
    }

    fn reconfigure(&mut self, setup: Setup, backends: Vec<Backend>) -> Result<(), String> {
        let Setup {
            provider,
            rules,
            accounts,
        } = setup;
        self.wipe_retired();
        self.check_room(&accounts)?;
        self.provider = provider;
        self.handle.ledger().schedule.set_rules(rules);
        self.relocate(backends);
        self.assign(accounts);
        Ok(())
    }

    /// Gives each account its slots. One that has fewer sessions than before loses slots at once if they are free,
    /// otherwise when their leases end.
    fn assign(&mut self, accounts: Vec<Credential>) {
        let mut book = self.handle.ledger();
        let plan = book.assign(accounts, clock::now());
        self.stock.region().set_slots_used(book.slots());
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

    fn say_ready(&mut self) {
        if self.ready_said {
            return;
        }
        let (usable, configured) = {
            let book = self.handle.ledger();
            (book.lent(), book.configured())
        };
        if usable == 1 {
            info!("first token in: serving");
        }
        if usable == configured {
            self.ready_said = true;
            info!(tokens = usable, "all tokens in");
        }
    }
}

/// Waits for a ring of a worker that has reported a slot.
async fn rung(bell: &mut watch::Receiver<()>, stock: &Stock) {
    loop {
        if bell.changed().await.is_err() {
            // Nobody rings any more.
            std::future::pending::<()>().await;
        }
        if !stock.region().suspects().is_empty() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
