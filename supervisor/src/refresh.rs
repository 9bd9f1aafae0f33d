//! Keeps the slots stocked: runs the logins that the [schedule](crate::schedule) names and installs what they bring.

mod accounts;
mod backends;
mod ledger;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{JoinError, JoinSet},
};
use tpp::{
    config::{Config, Credential},
    lending::{Legacy, Stock},
    plan::Backend,
    pool::{Origin, SlotIndex},
};
use tracing::{debug, error, info, warn};

use zeroize::Zeroizing;

use crate::{
    login::{self, LoginClient, LoginError, SetupError, Token},
    schedule::{Failure, Login, Rules, Suspicion},
};

use accounts::{Accounts, key, sessions};
use backends::Backends;
pub(crate) use ledger::Ledger;
use ledger::number;

/// A login that has ended.
type Ended = (Login, Origin, Result<Token, LoginError>);

/// What the refresher can be told.
#[derive(Debug)]
enum Order {
    /// Log in anew: one user's slots, or all. Answered with the number of slots.
    Renew {
        user: Option<String>,
        answer: oneshot::Sender<usize>,
    },
    /// Put other accounts and rules in force.
    Reconfigure {
        setup: Box<Setup>,
        backends: Vec<Backend>,
        answer: oneshot::Sender<Result<(), String>>,
    },
    /// Draw tokens here alone; those drawn elsewhere are out of use when this is answered.
    Relocate {
        backends: Vec<Backend>,
        answer: oneshot::Sender<()>,
    },
}

/// What a configuration means for logins, prepared so that nothing of it can fail any more.
#[derive(Debug)]
pub(crate) struct Setup {
    client: LoginClient,
    rules: Rules,
    accounts: Vec<Credential>,
}

impl Setup {
    /// # Errors
    /// If logins cannot be prepared: bad roots, say.
    pub(crate) fn of(config: &Config) -> Result<Self, SetupError> {
        Ok(Self {
            client: LoginClient::new(&config.upstream, &config.token)?,
            rules: Rules::from(&config.token),
            accounts: config.credentials.clone(),
        })
    }
}

/// What others may ask of the refresher.
#[derive(Debug, Clone)]
pub(crate) struct RefreshHandle {
    ledger: Arc<Mutex<Ledger>>,
    orders: mpsc::UnboundedSender<Order>,
}

impl RefreshHandle {
    /// The books.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // A panic under this lock leaves numbers for people at worst.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs in anew; returns how many slots that concerns.
    pub(crate) async fn renew(&self, user: Option<String>) -> usize {
        let (answer, answered) = oneshot::channel();
        // Without a refresher nothing is renewed.
        let _ = self.orders.send(Order::Renew { user, answer });
        answered.await.unwrap_or(0)
    }

    /// Puts other accounts and rules in force. Tokens drawn elsewhere than at `backends` are out of use when it returns,
    /// and none will be installed any more.
    pub(crate) async fn reconfigure(
        &self,
        setup: Setup,
        backends: Vec<Backend>,
    ) -> Result<(), String> {
        let (answer, answered) = oneshot::channel();
        let setup = Box::new(setup);
        // A refresher that has ended drops the answer.
        let _ = self.orders.send(Order::Reconfigure {
            setup,
            backends,
            answer,
        });
        answered
            .await
            .unwrap_or_else(|_| Err("tpp is stopping".to_owned()))
    }

    /// Draws tokens at `backends` alone from now on; those drawn elsewhere are out of use when it returns.
    pub(crate) async fn relocate(&self, backends: Vec<Backend>) {
        let (answer, answered) = oneshot::channel();
        let _ = self.orders.send(Order::Relocate { backends, answer });
        // Without a refresher no token is drawn.
        let _ = answered.await;
    }
}

/// Owns the accounts; the only one who logs in.
pub(crate) struct Refresher {
    stock: Arc<Stock>,
    client: Arc<LoginClient>,
    backends: Backends,
    accounts: Accounts,
    handle: RefreshHandle,
    orders: mpsc::UnboundedReceiver<Order>,
    bell: watch::Receiver<()>,
    logins: JoinSet<Ended>,
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
            client,
            rules,
            accounts,
        } = setup;
        let (sender, orders) = mpsc::unbounded_channel();
        let mut refresher = Self {
            stock,
            client: Arc::new(client),
            backends: Backends::new(backends),
            accounts: Accounts::default(),
            handle: RefreshHandle {
                ledger: Arc::new(Mutex::new(Ledger::new(rules))),
                orders: sender,
            },
            orders,
            bell,
            logins: JoinSet::new(),
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
        if self.accounts.has_room(accounts, room) {
            Ok(())
        } else {
            Err(format!(
                "{wanted} sessions do not fit beside those still in use: the pool has room for {room}"
            ))
        }
    }

    /// Takes over what a predecessor left in the slots, if there was one.
    fn adopt(&mut self, accounts: &[Credential]) {
        let now = Instant::now();
        let legacies: Vec<_> = (0..self.stock.region().slots_used())
            .map(|slot| self.legacy(SlotIndex::new(slot)))
            .collect();
        self.accounts = Accounts::adopted(accounts, &legacies);
        let mut ledger = self.handle.ledger();
        for (slot, legacy) in legacies.iter().enumerate() {
            ledger.leave_out(slot);
            if let Some(account) = self.accounts.owner(slot) {
                let user = account.username.as_str();
                if legacy.is_usable {
                    let fingerprint = self.fingerprint(SlotIndex::new(slot));
                    let since = now.checked_sub(legacy.age).unwrap_or(now);
                    ledger.adopt(slot, user, legacy.version, fingerprint, since);
                } else {
                    ledger.assign(slot, user, now);
                }
            }
        }
        for slot in self.accounts.retired() {
            self.stock.take_out_of_use(SlotIndex::new(*slot));
        }
        ledger.schedule.doubt_passwords(now);
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
        login::fingerprint(&bytes)
    }

    pub(crate) fn handle(&self) -> RefreshHandle {
        self.handle.clone()
    }

    /// Runs as long as the supervisor does.
    pub(crate) async fn run(mut self) {
        // Reports that came while no supervisor was there.
        self.look_for_suspects();
        loop {
            self.wipe_retired();
            let plan = self.handle.ledger().schedule.plan(Instant::now());
            plan.start.into_iter().for_each(|login| self.start(login));
            tokio::select! {
                Some(ended) = self.logins.join_next() => {
                    self.ended(ended);
                    // All that have ended meanwhile: a plan looks at every slot, so one for each would be dear.
                    while let Some(ended) = self.logins.try_join_next() {
                        self.ended(ended);
                    }
                }
                Ok(()) = self.bell.changed() => self.look_for_suspects(),
                Some(order) = self.orders.recv() => self.obey(order),
                () = tokio::time::sleep_until(plan.next_look.into()) => {}
            }
        }
    }

    /// Wipes the tokens of slots that are nobody's, as soon as their leases have ended.
    fn wipe_retired(&mut self) {
        self.accounts
            .reclaim_retired(|slot| self.stock.wipe(SlotIndex::new(slot)));
    }

    fn start(&mut self, login: Login) {
        let client = Arc::clone(&self.client);
        let credential = self.accounts.of(login.slot as usize);
        debug!(slot = login.slot, user = credential.username, "logging in");
        let choice = self.backends.choice(login.slot);
        self.logins.spawn(async move {
            let Some(backend) = choice.await else {
                let unresolved = client.unresolved();
                return (login, Origin::NONE, Err(unresolved));
            };
            let result = client.login_at(&credential, backend.address).await;
            (login, backend.origin, result)
        });
    }

    fn ended(&mut self, ended: Result<Ended, JoinError>) {
        match ended {
            Ok((login, origin, Ok(token))) => {
                self.backends.note(origin, true);
                self.logged_in(login, &token, origin);
            }
            Ok((login, origin, Err(reason))) => {
                self.backends.note(origin, !reason.is_unreachable());
                self.failed(login, &reason);
            }
            // To a server that is in force no more.
            Err(source) if source.is_cancelled() => {}
            // The slot stays "under way" and is lost until a restart: it must not happen, and be seen if it does.
            Err(source) => error!(error = %source, "a login ended without a result"),
        }
    }

    fn logged_in(&mut self, login: Login, token: &Token, origin: Origin) {
        if !self.handle.ledger().schedule.expects(&login) {
            return;
        }
        if !self.backends.have(origin) {
            let reason = "the upstream has moved meanwhile".to_owned();
            return self.note_failure(login, Failure::Trouble, reason);
        }
        let slot = login.slot;
        match self
            .stock
            .install(SlotIndex::new(slot as usize), token.expose(), origin)
        {
            Ok(version) => {
                debug!(
                    slot,
                    version,
                    fingerprint = token.fingerprint(),
                    "token installed"
                );
                self.stock.region().supervisors().logins_succeeded.add(1);
                self.handle
                    .ledger()
                    .logged_in(login, version, token.fingerprint(), Instant::now());
                self.say_ready();
            }
            // The region was made for the longest token that the configuration then allowed.
            Err(too_long) => self.note_failure(login, Failure::Trouble, too_long.to_string()),
        }
    }

    fn failed(&mut self, login: Login, reason: &LoginError) {
        let failure = if reason.is_refusal() {
            Failure::Refused
        } else {
            Failure::Trouble
        };
        self.note_failure(login, failure, format!("{:#}", anyhow::anyhow!("{reason}")));
    }

    fn note_failure(&mut self, login: Login, failure: Failure, reason: String) {
        // The slot may have been given to another account meanwhile.
        if !self.handle.ledger().schedule.expects(&login) {
            return;
        }
        let slot = login.slot;
        let index = SlotIndex::new(slot as usize);
        let account = self.accounts.of(slot as usize);
        let user = account.username.as_str();
        match failure {
            Failure::Refused => warn!(slot, user, reason, "login refused: the slot is out of use"),
            Failure::Trouble => warn!(slot, user, reason, "login failed: it will be tried again"),
        }
        // A token that the upstream turned down, or whose account it did, is lent to nobody else. One that is
        // merely due for renewal is still good.
        if failure == Failure::Refused || self.stock.is_suspect(index) {
            self.stock.take_out_of_use(index);
        }
        let counters = self.stock.region().supervisors();
        match failure {
            Failure::Refused => counters.logins_refused.add(1),
            Failure::Trouble => counters.logins_failed.add(1),
        }
        self.handle
            .ledger()
            .failed(login, failure, reason, Instant::now());
        // Last: a connection that waits for this login's result looks at once.
        self.stock.login_failed(index);
    }

    fn look_for_suspects(&mut self) {
        let now = Instant::now();
        for (index, account) in self.accounts.assigned() {
            let slot = SlotIndex::new(index);
            if !self.stock.is_suspect(slot) {
                continue;
            }
            let version = self.stock.region().token(slot).version();
            let suspicion = self
                .handle
                .ledger()
                .schedule
                .suspect(number(index), version, now);
            if matches!(suspicion, Suspicion::Due | Suspicion::Delayed) {
                info!(
                    slot = index,
                    user = account.username,
                    "token refused by the upstream: logging in anew"
                );
            }
        }
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

    fn renew(&mut self, user: Option<&str>) -> usize {
        let now = Instant::now();
        let mut ledger = self.handle.ledger();
        let slots = self
            .accounts
            .assigned()
            .filter(|(_, account)| user.is_none_or(|user| user == account.username));
        let renewed = slots
            .filter(|(slot, _)| ledger.schedule.renew(number(*slot), now))
            .count();
        info!(slots = renewed, user, "logging in anew as ordered");
        renewed
    }

    /// Draws tokens at `backends` alone, and puts those out of use that were drawn elsewhere.
    fn relocate(&mut self, backends: Vec<Backend>) {
        let now = Instant::now();
        let moved_away = self.backends.replace(backends);
        if moved_away {
            // What they bring is the old server's; what it said of passwords means nothing to this one.
            self.logins.abort_all();
        }
        let mut ledger = self.handle.ledger();
        for (index, account) in self.accounts.assigned() {
            let slot = SlotIndex::new(index);
            let (_, origin) = self.stock.read_token(slot, &mut Zeroizing::default());
            let is_foreign = origin != Origin::NONE && !self.backends.have(origin);
            if is_foreign {
                self.stock.take_out_of_use(slot);
            }
            if is_foreign || moved_away {
                // As if it were new: a login under way for it counts no more.
                ledger.assign(index, &account.username, now);
            }
        }
        if moved_away {
            ledger.schedule.doubt_passwords(now);
            self.ready_said = false;
        }
    }

    fn reconfigure(&mut self, setup: Setup, backends: Vec<Backend>) -> Result<(), String> {
        let Setup {
            client,
            rules,
            accounts,
        } = setup;
        self.wipe_retired();
        self.check_room(&accounts)?;
        self.client = Arc::new(client);
        self.handle.ledger().schedule.set_rules(rules);
        self.relocate(backends);
        self.assign(accounts);
        Ok(())
    }

    /// Gives each account its slots. One that has fewer sessions than before loses slots at once if they are free,
    /// otherwise when their leases end.
    fn assign(&mut self, accounts: Vec<Credential>) {
        let now = Instant::now();
        let plan = self.accounts.assign(accounts);
        self.stock.region().set_slots_used(self.accounts.slots());
        for (slot, account) in self.accounts.assigned() {
            self.stock
                .assign(SlotIndex::new(slot), key(&account.username));
        }
        let mut ledger = self.handle.ledger();
        for slot in plan.retired {
            self.stock.take_out_of_use(SlotIndex::new(slot));
            ledger.retire(slot);
        }
        for user in plan.new_passwords {
            ledger.schedule.password_changed(&user, now);
        }
        for (slot, user) in plan.added {
            ledger.assign(slot, &user, now);
        }
        self.ready_said = false;
    }

    fn say_ready(&mut self) {
        let usable = self.stock.pool().census().usable;
        if usable == 1 && !self.ready_said {
            info!("first token in: serving");
        }
        if usable == self.handle.ledger().configured() && !self.ready_said {
            self.ready_said = true;
            info!(tokens = usable, "all tokens in");
        }
    }
}

#[cfg(test)]
mod tests;
