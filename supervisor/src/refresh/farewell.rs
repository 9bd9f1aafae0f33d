//! Log-outs: what becomes of tokens that nobody uses any more, where the server has sessions to be ended.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{task::JoinSet, time::timeout};
use tpp::{
    config::Credential,
    lending::Stock,
    pool::{Holder, SlotIndex},
};
use tracing::{debug, warn};

use super::clock;
use crate::provider::{Provider, Token};

/// How long one who held a token when it was replaced may go on with a request that it carries.
const LONGEST_REQUEST: Duration = Duration::from_secs(600);
/// How often it is looked at who holds what still.
const LOOK: Duration = Duration::from_secs(1);
/// How long all log-outs of a stop may take.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// Most that are remembered; beyond, the sessions are left to their own end.
const MOST: usize = 4096;

/// Tokens to be logged out.
#[derive(Debug, Default)]
pub(super) struct Farewells {
    waiting: Vec<Farewell>,
    under_way: JoinSet<()>,
}

#[derive(Debug)]
struct Farewell {
    provider: Arc<dyn Provider>,
    account: Arc<Credential>,
    token: Token,
    /// Who may still use it: slots, as they were held.
    holders: Vec<(SlotIndex, Holder)>,
    /// Then at the latest.
    until: Instant,
}

impl Farewells {
    /// Logs `token` out when those have let go of it who hold `slots` now.
    pub(super) fn add(
        &mut self,
        provider: &Arc<dyn Provider>,
        account: &Arc<Credential>,
        token: Token,
        slots: &[SlotIndex],
        stock: &Stock,
    ) {
        let is_known = self.waiting.iter().any(|one| one.token == token);
        if provider.log_out(account, &token).is_none() || is_known || self.waiting.len() >= MOST {
            return;
        }
        let holders = slots.iter().map(|slot| (*slot, holder(stock, *slot)));
        self.waiting.push(Farewell {
            provider: Arc::clone(provider),
            account: Arc::clone(account),
            token,
            holders: holders
                .filter(|(_, holder)| *holder != Holder::Free)
                .collect(),
            until: clock::now() + LONGEST_REQUEST,
        });
    }

    /// Begins with those that are due.
    pub(super) fn look(&mut self, stock: &Stock) {
        while self.under_way.try_join_next().is_some() {}
        let now = clock::now();
        let is_due = |one: &mut Farewell| {
            one.holders
                .retain(|(slot, holder_then)| holder(stock, *slot) == *holder_then);
            one.holders.is_empty() || one.until <= now
        };
        for one in self.waiting.extract_if(.., is_due) {
            self.under_way.spawn(one.say());
        }
    }

    /// Whether anybody is waited for.
    pub(super) fn are_waited_for(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// When to look again, if anybody is.
    pub(super) fn next_look(&self) -> Instant {
        clock::now() + LOOK
    }

    /// Whether there is nothing left to be done.
    pub(super) fn are_said(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_empty()
    }

    /// Waits for the end of one that is under way; without one, for ever.
    pub(super) async fn said(&mut self) {
        if self.under_way.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    /// Logs all out at once, and waits for that, but not for long.
    pub(super) async fn end(&mut self) {
        for one in self.waiting.drain(..) {
            self.under_way.spawn(one.say());
        }
        let all = async { while self.under_way.join_next().await.is_some() {} };
        if timeout(STOP_LIMIT, all).await.is_err() {
            let left = self.under_way.len();
            warn!(
                left,
                "not all sessions are logged out: they end by themselves"
            );
        }
    }
}

impl Farewell {
    async fn say(self) {
        let user = self.account.username.as_str();
        let fingerprint = self.token.fingerprint();
        let Some(leaving) = self.provider.log_out(&self.account, &self.token) else {
            return;
        };
        match leaving.await {
            Ok(()) => debug!(user, fingerprint, "session logged out"),
            Err(error) => warn!(
                user,
                fingerprint,
                reason = %error,
                "session not logged out: it ends by itself"
            ),
        }
    }
}

fn holder(stock: &Stock, slot: SlotIndex) -> Holder {
    stock.pool().slots[slot.get()].word().holder
}
