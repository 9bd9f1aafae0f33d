//! Slots whose accounts other hosts share: which of them this host has, others decide ([`ShareOrder`]). One that it has not has no
//! token, no login, and no holder.

mod floating;
mod wiping;

use std::{collections::BTreeMap, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};
use tpp::{clock::boot_millis, lending::Legacy, pool::SlotIndex, shared::Tenure};
use tracing::{error, warn};

use super::Refresher;
use crate::refresh::{book::number, book_shares::PlaceOf, clock};

/// How often a slot is looked at whose holder is awaited.
pub(super) const LOOK: Duration = Duration::from_millis(20);
/// How long a login for which there is too little time is put off.
pub(super) const PUT_OFF: Duration = Duration::from_millis(500);

/// What is to become of a slot.
#[derive(Debug)]
pub(crate) enum ShareOrder {
    /// Tell all that happens from now on. Answered with those that are this host's, as soon as nothing of the others is left.
    Begin {
        events: mpsc::UnboundedSender<ShareEvent>,
        /// What is this host's by some right stays so.
        keeps: bool,
        answer: oneshot::Sender<Vec<(PlaceOf, Tenure)>>,
    },
    /// It is this host's, by that right. No login before then, milliseconds of the boot clock.
    Lend {
        at: PlaceOf,
        tenure: Tenure,
        not_before: u64,
    },
    /// It is lent no more until nobody holds it, and then by the right that ends soonest. `ticket` names the answer.
    Float { at: PlaceOf, ticket: u64 },
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
    /// It is a floating one, whoever looks.
    Floats(PlaceOf, u64),
    /// It has a token, and is lent.
    Lent(PlaceOf),
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
    /// Slots that are this host's by some right stay so when it begins.
    keeps: bool,
    /// Places that were withdrawn, with the slots that they are or were: one is held still, or logging in.
    leaving: BTreeMap<PlaceOf, Vec<usize>>,
    /// Those of which nothing may be left.
    wiping: BTreeMap<PlaceOf, Vec<usize>>,
    /// Those that are to be floating ones, with the answers' names.
    floating: BTreeMap<PlaceOf, u64>,
    /// Log-outs of wiped places, and of logins that came too late.
    log_outs: JoinSet<Option<PlaceOf>>,
}

impl Shares {
    pub(super) fn new(margin: Duration) -> Self {
        Self {
            margin: u64::try_from(margin.as_millis()).unwrap_or(u64::MAX),
            events: None,
            begins: None,
            keeps: true,
            leaving: BTreeMap::new(),
            wiping: BTreeMap::new(),
            floating: BTreeMap::new(),
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
pub(super) async fn logged_out(shares: &mut Option<Shares>) -> Option<PlaceOf> {
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
            ShareOrder::Begin {
                events,
                keeps,
                answer,
            } => {
                shares.events = Some(events);
                shares.begins = Some(answer);
                shares.keeps = keeps;
                if !keeps {
                    let own: Vec<_> = {
                        let book = self.handle.ledger();
                        book.assigned().map(|(slot, _)| slot).collect()
                    };
                    self.hold_back(&own);
                }
            }
            ShareOrder::Lend {
                at,
                tenure,
                not_before,
            } => {
                shares.floating.remove(&at);
                self.take(&at, tenure, not_before);
            }
            ShareOrder::Float { at, ticket } => {
                // Told of at the next look, before anything is waited for.
                shares.floating.insert(at, ticket);
            }
            ShareOrder::Withdraw { at, at_once } => {
                shares.floating.remove(&at);
                self.withdraw(at, at_once);
            }
            ShareOrder::Wipe { at } => {
                shares.floating.remove(&at);
                self.wipe_place(at);
            }
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

    /// The slot is this host's from now on, or by another right than before.
    fn take(&mut self, at: &PlaceOf, tenure: Tenure, not_before: u64) {
        if let Some(shares) = &mut self.shares {
            shares.leaving.remove(at);
            shares.wiping.remove(at);
        }
        let Some(slot) = self.handle.ledger().slot_at(at) else {
            // Whoever lends it asks for it back as soon as it knows the accounts that there are.
            return warn!(
                user = at.user,
                place = at.place,
                "no such place of the account"
            );
        };
        let index = SlotIndex::new(slot);
        let is_here_still = self.stock.tenure(index).is_some();
        if !self.stock.set_tenure(index, Some(tenure)) {
            return error!(slot, "a slot that is not this host's is held");
        }
        if !self.handle.ledger().is_away(slot) {
            return;
        }
        if !is_here_still || !self.lend_again(slot) {
            let at = clock::from_boot_millis(not_before.max(boot_millis()));
            self.handle.ledger().come(slot, at);
        }
    }

    /// Lends the token that is in a withdrawn slot still. False: it is none that may be lent.
    fn lend_again(&mut self, slot: usize) -> bool {
        let index = SlotIndex::new(slot);
        let legacy = self.stock.legacy(index);
        let is_good = legacy.version != 0
            && self.stock.spared_until(index).is_none()
            && !self.stock.is_spent(index)
            && !self.stock.is_suspect(index)
            && self.places.may_have(legacy.origin);
        if !is_good {
            return false;
        }
        match self.stock.copy(index, index, legacy.origin) {
            Ok(version) => {
                let legacy = Legacy { version, ..legacy };
                self.handle.ledger().come_back(slot, &legacy, clock::now());
                true
            }
            Err(error) => {
                // It fits where it stands already.
                error!(slot, %error, "a token does not fit into its pool");
                false
            }
        }
    }

    /// Lends none of those slots. Those that were their account's once lend nothing already.
    fn hold_back(&mut self, slots: &[usize]) {
        for slot in slots {
            if self.handle.ledger().owner(*slot).is_some() {
                self.handle.ledger().go_away(*slot);
                self.take_out_of_use(number(*slot));
            }
        }
    }

    fn withdraw(&mut self, at: PlaceOf, at_once: bool) {
        let slots = self.handle.ledger().slots_of(&at);
        self.hold_back(&slots);
        if at_once {
            for slot in &slots {
                self.stock.end_lease(SlotIndex::new(*slot));
            }
        }
        if let Some(shares) = &mut self.shares {
            // Told of at the next look, before anything is waited for.
            shares.leaving.insert(at, slots);
        }
    }

    /// Whether a login for `slot` would come too late for its tenure's time.
    pub(super) fn is_too_late(&self, slot: u32) -> bool {
        let Some(shares) = &self.shares else {
            return false;
        };
        let index = SlotIndex::new(slot as usize);
        let Some(tenure) = self.stock.tenure(index) else {
            return false;
        };
        let until = self.stock.terms().tenure(tenure).read().lend_until;
        until.saturating_sub(boot_millis()) <= shares.margin
    }

    /// Tells of places that nobody holds any more, wipes those that are to be, and begins when nothing is left of those that are not this
    /// host's.
    pub(super) fn look_at_leaving(&mut self) {
        self.look_at_floating();
        let Some(shares) = &mut self.shares else {
            return;
        };
        let leaving = std::mem::take(&mut shares.leaving);
        let wiping = std::mem::take(&mut shares.wiping);
        for (at, slots) in leaving {
            if self.is_idle(&at, &slots) {
                self.say(ShareEvent::Idle(at));
            } else if let Some(shares) = &mut self.shares {
                shares.leaving.insert(at, slots);
            }
        }
        for (at, slots) in wiping {
            if !self.wipe_if_idle(&at, &slots)
                && let Some(shares) = &mut self.shares
            {
                shares.wiping.insert(at, slots);
            }
        }
        if self.shares.as_ref().is_some_and(|one| one.begins.is_some()) && self.is_clean() {
            self.begin_sharing();
        }
    }

    /// Whether nobody holds what is or was that place, and no login for it is under way.
    fn is_idle(&self, at: &PlaceOf, slots: &[usize]) -> bool {
        slots
            .iter()
            .all(|slot| !self.handle.ledger().was(*slot, at) || self.is_at_rest(*slot))
    }

    /// Nobody holds it, and no login for it is under way.
    fn is_at_rest(&self, slot: usize) -> bool {
        let logs_in = self
            .under_way
            .values()
            .any(|(login, _)| login.slot as usize == slot);
        !logs_in && self.stock.is_idle(SlotIndex::new(slot))
    }

    /// Whether something is waited for that nobody tells of.
    pub(super) fn awaits_holders(&self) -> bool {
        self.shares.as_ref().is_some_and(|one| {
            let is_waited_for = !one.leaving.is_empty() || !one.wiping.is_empty();
            is_waited_for || !one.floating.is_empty() || one.begins.is_some()
        })
    }

    pub(super) fn tell_lent(&self, slot: u32) {
        if self.shares.is_some() {
            let at = self.handle.ledger().place_of(slot as usize);
            self.say(ShareEvent::Lent(at));
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
