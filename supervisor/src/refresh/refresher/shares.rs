//! Slots whose accounts other hosts share: which of them this host has, others decide ([`ShareOrder`]). One that it has not has no
//! token, no login, and no holder.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::timeout,
};
use tpp::{clock::boot_millis, pool::SlotIndex, shared::Tenure};
use tracing::{debug, error, warn};

use super::Refresher;
use crate::{
    provider::Token,
    refresh::{
        assignment::key,
        book::{DrawnBy, number},
        book_shares::PlaceOf,
        clock,
    },
};

/// How long a log-out of a slot that goes to another host may take.
const LOG_OUT_LIMIT: Duration = Duration::from_secs(3);
/// How often a slot is looked at whose holder is awaited.
pub(super) const LOOK: Duration = Duration::from_millis(20);
/// How long a login for which there is too little time is put off.
const PUT_OFF: Duration = Duration::from_millis(500);

/// What is to become of a slot.
#[derive(Debug)]
pub(crate) enum ShareOrder {
    /// Tell all that happens from now on. Answered with those that are this host's, as soon as nothing of the others is left.
    Begin {
        events: mpsc::UnboundedSender<ShareEvent>,
        answer: oneshot::Sender<Vec<(PlaceOf, Tenure)>>,
    },
    /// It is this host's, by that right. No login before then, milliseconds of the boot clock.
    Lend {
        at: PlaceOf,
        tenure: Tenure,
        not_before: u64,
    },
    /// It is lent no more; at once: what is under way on it is cut off.
    Withdraw { at: PlaceOf, at_once: bool },
    /// Nothing of it may be left.
    Wipe { at: PlaceOf },
}

/// What has become of one.
#[derive(Debug)]
pub(crate) enum ShareEvent {
    /// It was withdrawn, and nobody holds it.
    Idle(PlaceOf),
    /// Nothing of it is left.
    Wiped(PlaceOf),
    /// The server refuses the account.
    Refused(String),
}

/// Of a pool whose accounts are shared.
pub(super) struct Shares {
    /// A login begins with more than this left of its tenure's time, milliseconds.
    margin: u64,
    events: Option<mpsc::UnboundedSender<ShareEvent>>,
    /// Who waits until nothing is left of slots that are not this host's.
    begins: Option<oneshot::Sender<Vec<(PlaceOf, Tenure)>>>,
    /// Slots that were withdrawn and are held still, or logging in.
    leaving: BTreeSet<usize>,
    /// Log-outs of wiped slots, and of logins that came too late.
    log_outs: JoinSet<Option<usize>>,
}

impl Shares {
    pub(super) fn new(margin: Duration) -> Self {
        Self {
            margin: u64::try_from(margin.as_millis()).unwrap_or(u64::MAX),
            events: None,
            begins: None,
            leaving: BTreeSet::new(),
            log_outs: JoinSet::new(),
        }
    }

    fn tell(&self, event: ShareEvent) {
        if let Some(events) = &self.events {
            // Whoever listened is gone when tpp stops.
            let _ = events.send(event);
        }
    }
}

/// The next log-out that has ended; without shares, or one under way, never.
pub(super) async fn logged_out(shares: &mut Option<Shares>) -> Option<usize> {
    let Some(shares) = shares else {
        return std::future::pending().await;
    };
    match shares.log_outs.join_next().await {
        // One that panicked has said so; what it was for is not told, and so not given away.
        Some(done) => done.ok().flatten(),
        None => std::future::pending().await,
    }
}

impl Refresher {
    pub(super) fn share(&mut self, order: ShareOrder) {
        let Some(shares) = &mut self.shares else {
            return error!("a pool that is not shared is told what is this host's");
        };
        match order {
            ShareOrder::Begin { events, answer } => {
                shares.events = Some(events);
                shares.begins = Some(answer);
            }
            ShareOrder::Lend {
                at,
                tenure,
                not_before,
            } => self.take(&at, tenure, not_before),
            ShareOrder::Withdraw { at, at_once } => self.withdraw(at, at_once),
            ShareOrder::Wipe { at } => self.wipe_place(at),
        }
    }

    /// Before anything is adopted: those that a predecessor had by some right are this host's.
    pub(super) fn note_what_is_here(&self) {
        if self.shares.is_some() {
            let slots = 0..self.stock.slots_used();
            let is_here = |slot: &usize| self.stock.tenure(SlotIndex::new(*slot)).is_some();
            self.handle.ledger().shared = Some(slots.filter(is_here).collect());
        }
    }

    fn slot_at(&self, at: &PlaceOf) -> Option<usize> {
        self.handle.ledger().slot_at(&at.user, at.place)
    }

    /// The slot is this host's from now on, or by another right than before.
    fn take(&mut self, at: &PlaceOf, tenure: Tenure, not_before: u64) {
        let Some(slot) = self.slot_at(at) else {
            // It is told so when it asks for it back.
            return warn!(
                user = at.user,
                place = at.place,
                "no such place of the account"
            );
        };
        let index = SlotIndex::new(slot);
        self.stock.set_tenure(index, Some(tenure));
        let was_leaving = self
            .shares
            .as_mut()
            .is_some_and(|one| one.leaving.remove(&slot));
        let mut book = self.handle.ledger();
        if !book.is_away(slot) {
            return;
        }
        let legacy = self.stock.legacy(index);
        let is_good = was_leaving
            && legacy.version != 0
            && !self.stock.is_spent(index)
            && !self.stock.is_suspect(index);
        if is_good {
            book.come_back(slot, &legacy, clock::now());
            drop(book);
            if let Err(error) = self.stock.copy(index, index, legacy.origin) {
                // It fits where it stands already.
                error!(slot, %error, "a token does not fit into its pool");
            }
        } else {
            let at = clock::from_boot_millis(not_before.max(boot_millis()));
            book.come(slot, at);
        }
    }

    fn withdraw(&mut self, at: PlaceOf, at_once: bool) {
        let Some(slot) = self.slot_at(&at) else {
            return self.say(ShareEvent::Idle(at));
        };
        let index = SlotIndex::new(slot);
        self.handle.ledger().go_away(slot);
        self.take_out_of_use(number(slot));
        if at_once {
            self.stock.end_lease(index);
        }
        if let Some(shares) = &mut self.shares {
            shares.leaving.insert(slot);
        }
    }

    fn wipe_place(&mut self, at: PlaceOf) {
        let Some(slot) = self.slot_at(&at) else {
            return self.say(ShareEvent::Wiped(at));
        };
        let farewell = self.clear(slot);
        let Some(shares) = &mut self.shares else {
            return;
        };
        shares.leaving.remove(&slot);
        match farewell {
            Some((drawn, token)) => {
                shares.log_outs.spawn(async move {
                    log_out(drawn, token).await;
                    Some(slot)
                });
            }
            None => self.say(ShareEvent::Wiped(at)),
        }
    }

    /// Takes the token out of a slot that nobody holds. Returns what is to be logged out.
    fn clear(&mut self, slot: usize) -> Option<(DrawnBy, Token)> {
        let index = SlotIndex::new(slot);
        let (drawn, owner) = {
            let mut book = self.handle.ledger();
            (book.take_drawn(slot), book.owner(slot).cloned())
        };
        let token = self.token_in(index);
        if !self.stock.wipe(index) {
            error!(slot, "a slot that is to be wiped is held");
            return None;
        }
        if let Some(owner) = owner {
            self.stock.assign(index, key(&owner.username));
        }
        // Last: a successor that finds it set finds a slot of this host's.
        self.stock.set_tenure(index, None);
        let (drawn, token) = drawn.zip(token)?;
        (!self.is_elsewhere_too(&token)).then_some((drawn, token))
    }

    /// A login brought what is not wanted any more.
    pub(super) fn throw_away(&mut self, slot: u32, token: &Token) {
        let account = self.handle.ledger().owner(slot as usize).cloned();
        let is_needed = self.is_elsewhere_too(token);
        if let (Some(shares), Some(account), false) = (&mut self.shares, account, is_needed) {
            debug!(slot, "a login that came too late is undone");
            let provider = Arc::clone(&self.provider);
            let (drawn, token) = (DrawnBy { provider, account }, token.clone());
            shares.log_outs.spawn(async move {
                log_out(drawn, token).await;
                None
            });
        }
    }

    /// Whether a login for `slot` would come too late for its tenure's time; it is put off.
    pub(super) fn puts_off_login(&self, slot: u32) -> bool {
        let Some(shares) = &self.shares else {
            return false;
        };
        let index = SlotIndex::new(slot as usize);
        let Some(tenure) = self.stock.tenure(index) else {
            return false;
        };
        let until = self.stock.terms().tenure(tenure).read().lend_until;
        let is_late = until.saturating_sub(boot_millis()) <= shares.margin;
        if is_late {
            let mut book = self.handle.ledger();
            book.begin_anew(slot as usize, clock::now() + PUT_OFF);
        }
        is_late
    }

    /// Tells of slots that nobody holds any more, and begins when nothing is left of those that are not this host's.
    pub(super) fn look_at_leaving(&mut self) {
        let Some(shares) = &self.shares else { return };
        let idle: Vec<_> = shares
            .leaving
            .iter()
            .copied()
            .filter(|slot| self.is_at_rest(*slot))
            .collect();
        for slot in idle {
            if let Some(shares) = &mut self.shares {
                shares.leaving.remove(&slot);
            }
            if let Some(at) = self.handle.ledger().place_of(slot) {
                self.say(ShareEvent::Idle(at));
            }
        }
        if self.shares.as_ref().is_some_and(|one| one.begins.is_some()) && self.is_clean() {
            self.begin_sharing();
        }
    }

    /// Nobody holds it, and no login for it is under way.
    fn is_at_rest(&self, slot: usize) -> bool {
        let logs_in = self
            .under_way
            .values()
            .any(|(login, _)| login.slot as usize == slot);
        !logs_in && self.stock.is_idle(SlotIndex::new(slot))
    }

    /// Whether nothing is left of slots that are not this host's; clears what can be.
    fn is_clean(&mut self) -> bool {
        let away = self.handle.ledger().away();
        let mut is_clean = self.handle.ledger().retired.is_empty();
        for slot in away {
            let index = SlotIndex::new(slot);
            if self.stock.tenure(index).is_some() {
                continue;
            }
            self.stock.take_out_of_use(index);
            if !self.is_at_rest(slot) {
                is_clean = false;
            } else if let (Some((drawn, token)), Some(shares)) =
                (self.clear(slot), &mut self.shares)
            {
                shares.log_outs.spawn(async move {
                    log_out(drawn, token).await;
                    None
                });
            }
        }
        is_clean
    }

    fn begin_sharing(&mut self) {
        let held: Vec<_> = {
            let book = self.handle.ledger();
            let slots = book.assigned().map(|(slot, _)| slot);
            slots
                .filter_map(|slot| {
                    let tenure = self.stock.tenure(SlotIndex::new(slot))?;
                    Some((book.place_of(slot)?, tenure))
                })
                .collect()
        };
        if let Some(answer) = self.shares.as_mut().and_then(|one| one.begins.take()) {
            // Whoever asked may have gone.
            let _ = answer.send(held);
        }
    }

    /// Whether something is waited for that nobody tells of.
    pub(super) fn awaits_holders(&self) -> bool {
        self.shares
            .as_ref()
            .is_some_and(|one| !one.leaving.is_empty() || one.begins.is_some())
    }

    /// A wiped slot's session is logged out, however that ended.
    pub(super) fn note_logged_out(&self, slot: Option<usize>) {
        let at = slot.and_then(|slot| self.handle.ledger().place_of(slot));
        if let Some(at) = at {
            self.say(ShareEvent::Wiped(at));
        }
    }

    pub(super) fn tell_refused(&self, user: &str) {
        if self.shares.is_some() {
            self.say(ShareEvent::Refused(user.to_owned()));
        }
    }

    fn say(&self, event: ShareEvent) {
        if let Some(shares) = &self.shares {
            shares.tell(event);
        }
    }
}

async fn log_out(drawn: DrawnBy, token: Token) {
    let Some(leaving) = drawn.provider.log_out(&drawn.account, &token) else {
        return;
    };
    match timeout(LOG_OUT_LIMIT, leaving).await {
        Ok(Ok(())) => debug!(
            user = drawn.account.username,
            "session logged out for another host"
        ),
        Ok(Err(error)) => warn!(
            user = drawn.account.username,
            reason = %error,
            "session not logged out: it ends by itself"
        ),
        Err(_) => warn!(
            user = drawn.account.username,
            "session not logged out in time: it ends by itself"
        ),
    }
}
