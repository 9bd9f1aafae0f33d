//! Keeps the slots stocked: runs the logins that the [schedule](crate::schedule) names and installs what they bring.

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
    pool::{SlotIndex, Stock},
};
use tracing::{debug, error, info, warn};

use crate::{
    login::{LoginClient, LoginError, Token},
    schedule::{Failure, Login, Suspicion},
};

pub(crate) use ledger::Ledger;

/// A login that has ended.
type Ended = (Login, Result<Token, LoginError>);

/// An order to log in anew: one user's slots, or all. Answered with the number of slots.
#[derive(Debug)]
pub(crate) struct Renew {
    pub(crate) user: Option<String>,
    pub(crate) answer: oneshot::Sender<usize>,
}

/// What others may ask of the refresher.
#[derive(Debug, Clone)]
pub(crate) struct RefreshHandle {
    ledger: Arc<Mutex<Ledger>>,
    orders: mpsc::UnboundedSender<Renew>,
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
        let _ = self.orders.send(Renew { user, answer });
        answered.await.unwrap_or(0)
    }
}

/// Owns the accounts; the only one who logs in.
pub(crate) struct Refresher {
    stock: Arc<Stock>,
    client: Arc<LoginClient>,
    /// Whose each slot is.
    credentials: Vec<Arc<Credential>>,
    handle: RefreshHandle,
    orders: mpsc::UnboundedReceiver<Renew>,
    bell: watch::Receiver<()>,
    logins: JoinSet<Ended>,
    ready_said: bool,
}

impl Refresher {
    /// A refresher for the accounts of `config`; `bell` changes whenever a worker rang.
    ///
    /// # Errors
    /// If logins cannot be prepared: bad roots, say.
    pub(crate) fn new(
        config: &Config,
        stock: Arc<Stock>,
        bell: watch::Receiver<()>,
    ) -> anyhow::Result<Self> {
        let accounts = config.credentials.iter().cloned().map(Arc::new);
        let credentials: Vec<_> = accounts
            .flat_map(|account| std::iter::repeat_n(Arc::clone(&account), account.sessions))
            .collect();
        let users = credentials
            .iter()
            .map(|credential| credential.username.as_str());
        let ledger = Ledger::new(&config.token, users, Instant::now());
        let (sender, orders) = mpsc::unbounded_channel();
        Ok(Self {
            stock,
            client: Arc::new(LoginClient::new(&config.upstream, &config.token)?),
            credentials,
            handle: RefreshHandle {
                ledger: Arc::new(Mutex::new(ledger)),
                orders: sender,
            },
            orders,
            bell,
            logins: JoinSet::new(),
            ready_said: false,
        })
    }

    pub(crate) fn handle(&self) -> RefreshHandle {
        self.handle.clone()
    }

    /// Runs as long as the supervisor does.
    pub(crate) async fn run(mut self) {
        loop {
            let plan = self.handle.ledger().schedule.plan(Instant::now());
            plan.start.into_iter().for_each(|login| self.start(login));
            tokio::select! {
                Some(ended) = self.logins.join_next() => self.ended(ended),
                Ok(()) = self.bell.changed() => self.look_for_suspects(),
                Some(order) = self.orders.recv() => self.renew(order),
                () = tokio::time::sleep_until(plan.next_look.into()) => {}
            }
        }
    }

    fn start(&mut self, login: Login) {
        let client = Arc::clone(&self.client);
        let credential = Arc::clone(&self.credentials[login.slot as usize]);
        debug!(slot = login.slot, user = credential.username, "logging in");
        self.logins.spawn(async move {
            let result = client.login(&credential).await;
            (login, result)
        });
    }

    fn ended(&mut self, ended: Result<Ended, JoinError>) {
        match ended {
            Ok((login, Ok(token))) => self.logged_in(login, &token),
            Ok((login, Err(reason))) => self.failed(login, &reason),
            // The slot stays "under way" and is lost until a restart: it must not happen, and be seen if it does.
            Err(source) => error!(error = %source, "a login ended without a result"),
        }
    }

    fn logged_in(&mut self, login: Login, token: &Token) {
        if !self.handle.ledger().schedule.expects(&login) {
            return;
        }
        let slot = login.slot;
        match self
            .stock
            .install(SlotIndex::new(slot as usize), token.expose())
        {
            Ok(version) => {
                debug!(
                    slot,
                    version,
                    fingerprint = token.fingerprint(),
                    "token installed"
                );
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
        let slot = login.slot;
        let index = SlotIndex::new(slot as usize);
        let user = self.credentials[slot as usize].username.as_str();
        match failure {
            Failure::Refused => warn!(slot, user, reason, "login refused: the slot is out of use"),
            Failure::Trouble => warn!(slot, user, reason, "login failed: it will be tried again"),
        }
        // A token that the upstream turned down, or whose account it did, is lent to nobody else. One that is
        // merely due for renewal is still good.
        if failure == Failure::Refused || self.stock.is_suspect(index) {
            self.stock.take_out_of_use(index);
        }
        if !self
            .handle
            .ledger()
            .failed(login, failure, reason, Instant::now())
        {
            return;
        }
        // Last: a connection that waits for this login's result looks at once.
        self.stock.login_failed(index);
    }

    fn look_for_suspects(&mut self) {
        let now = Instant::now();
        for index in 0..self.credentials.len() {
            let slot = SlotIndex::new(index);
            if !self.stock.is_suspect(slot) {
                continue;
            }
            let version = self.stock.region().token(slot).version();
            let number = u32::try_from(index).expect("slots are counted in 14 bits");
            let suspicion = self.handle.ledger().schedule.suspect(number, version, now);
            if matches!(suspicion, Suspicion::Due | Suspicion::Delayed) {
                info!(
                    slot = index,
                    user = self.credentials[index].username,
                    "token refused by the upstream: logging in anew"
                );
            }
        }
    }

    fn renew(&mut self, order: Renew) {
        let now = Instant::now();
        let mut renewed = 0;
        let mut ledger = self.handle.ledger();
        for (slot, credential) in (0..).zip(&self.credentials) {
            if order
                .user
                .as_ref()
                .is_none_or(|user| *user == credential.username)
            {
                renewed += usize::from(ledger.schedule.renew(slot, now));
            }
        }
        drop(ledger);
        info!(
            slots = renewed,
            user = order.user,
            "logging in anew as ordered"
        );
        // Whoever asked may have gone.
        let _ = order.answer.send(renewed);
    }

    fn say_ready(&mut self) {
        let usable = self.stock.pool().census().usable;
        if usable == 1 && !self.ready_said {
            info!("first token in: serving");
        }
        if usable == self.credentials.len() as u64 && !self.ready_said {
            self.ready_said = true;
            info!(tokens = usable, "all tokens in");
        }
    }
}
