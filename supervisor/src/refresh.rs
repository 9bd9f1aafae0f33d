//! Keeps the slots stocked: runs the logins that the [schedule](crate::schedule) names and installs what they bring.

mod assignment;
mod book;
mod book_shares;
mod clock;
mod farewell;
mod places;
mod refresher;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{mpsc, oneshot};
use tpp::{
    config::{Credential, Pool, Upstream},
    plan::Place,
    shared::Tenure,
};

use crate::{
    provider::{self, Provider, SetupError, Spread},
    schedule::Rules,
};

pub(crate) use book::Book;
pub(crate) use book_shares::PlaceOf;
pub(crate) use clock::now;
pub(crate) use refresher::{Refresher, ShareEvent, ShareOrder};

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
        places: Vec<Place>,
        answer: oneshot::Sender<Result<(), String>>,
    },
    /// End the sessions of all tokens: tpp stops. Answered when that is done, or has taken too long.
    LogOut { answer: oneshot::Sender<()> },
    /// Draw and lend nothing any more, and end each session when nobody uses it: the pool is gone. Answered when the slots are no
    /// longer touched.
    Leave { answer: oneshot::Sender<()> },
    /// What is this host's of accounts that it shares with others.
    Share(ShareOrder),
    /// Draw tokens here alone; those drawn elsewhere are out of use when this is answered.
    Relocate {
        places: Vec<Place>,
        answer: oneshot::Sender<()>,
    },
}

/// What a configuration means for logins, prepared so that nothing of it can fail any more.
#[derive(Debug)]
pub(crate) struct Setup {
    provider: Arc<dyn Provider>,
    rules: Rules,
    accounts: Vec<Credential>,
    /// Its accounts are shared with other hosts: a login begins with more than this left of its slot's time.
    shared: Option<Duration>,
}

impl Setup {
    /// The same, of accounts that are shared with other hosts.
    pub(crate) fn shared(self, shared: Option<Duration>) -> Self {
        Self { shared, ..self }
    }

    /// For the accounts of `pool`, which log in at the `first` of its backends, or at one of the `others` by their addresses.
    ///
    /// # Errors
    /// If logins cannot be prepared: bad roots, say.
    pub(crate) fn of(pool: &Pool, first: &Server, others: &[Server]) -> Result<Self, SetupError> {
        let provider = |server: &Server| provider::of_pool(pool, &server.upstream);
        let one = provider(first)?;
        let is_at_backend = one.manner().is_at_backend();
        let mut all = Spread::over(one, &first.addresses);
        for other in others.iter().filter(|_| is_at_backend) {
            all.add(provider(other)?, &other.addresses);
        }
        Ok(Self {
            provider: all.into_provider(),
            rules: Rules::from(&pool.token),
            accounts: pool.credentials.clone(),
            shared: None,
        })
    }
}

/// One server where tokens are drawn, and its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) upstream: Upstream,
    pub(crate) addresses: Vec<SocketAddr>,
}

/// What others may ask of the refresher.
#[derive(Debug, Clone)]
pub(crate) struct RefreshHandle {
    ledger: Arc<Mutex<Book>>,
    orders: mpsc::UnboundedSender<Order>,
}

impl RefreshHandle {
    /// The book.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Book> {
        // A panic under this lock leaves numbers for people at worst.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has what becomes of shared slots told from now on. Returns those that are this host's already, once nothing is left of the others;
    /// unless it `keeps` what it has, none is its own. `None`: the pool is gone.
    pub(crate) async fn begin_sharing(
        &self,
        events: mpsc::UnboundedSender<ShareEvent>,
        keeps: bool,
    ) -> Option<Vec<(PlaceOf, Tenure)>> {
        let (answer, answered) = oneshot::channel();
        self.share(ShareOrder::Begin {
            events,
            keeps,
            answer,
        });
        answered.await.ok()
    }

    /// Says what is this host's.
    pub(crate) fn share(&self, order: ShareOrder) {
        // Without a refresher nothing is lent.
        let _ = self.orders.send(Order::Share(order));
    }

    /// Logs in anew; returns how many slots that concerns.
    pub(crate) async fn renew(&self, user: Option<String>) -> usize {
        let (answer, answered) = oneshot::channel();
        // Without a refresher nothing is renewed.
        let _ = self.orders.send(Order::Renew { user, answer });
        answered.await.unwrap_or(0)
    }

    /// Puts other accounts and rules in force. Tokens drawn elsewhere than at `places` are out of use when it returns,
    /// and none will be installed any more.
    pub(crate) async fn reconfigure(&self, setup: Setup, places: Vec<Place>) -> Result<(), String> {
        let (answer, answered) = oneshot::channel();
        let setup = Box::new(setup);
        // A refresher that has ended drops the answer.
        let _ = self.orders.send(Order::Reconfigure {
            setup,
            places,
            answer,
        });
        answered
            .await
            .unwrap_or_else(|_| Err("tpp is stopping".to_owned()))
    }

    /// Ends the sessions of all tokens where the server has such a thing, within a few seconds. No token is drawn any more.
    pub(crate) async fn log_out(&self) {
        let (answer, answered) = oneshot::channel();
        let _ = self.orders.send(Order::LogOut { answer });
        // Without a refresher there is nobody who could.
        let _ = answered.await;
    }

    /// Lends nothing any more when it returns, and nothing is done to the slots from then on. The sessions are ended one by one, when
    /// nobody uses them: the refresher's task goes on until then.
    pub(crate) async fn leave(&self) {
        let (answer, answered) = oneshot::channel();
        let _ = self.orders.send(Order::Leave { answer });
        // Without a refresher nobody touches them.
        let _ = answered.await;
    }

    /// Draws tokens at `places` alone from now on; those drawn elsewhere are out of use when it returns.
    pub(crate) async fn relocate(&self, places: Vec<Place>) {
        let (answer, answered) = oneshot::channel();
        let _ = self.orders.send(Order::Relocate { places, answer });
        // Without a refresher no token is drawn.
        let _ = answered.await;
    }
}

#[cfg(test)]
mod tests;
