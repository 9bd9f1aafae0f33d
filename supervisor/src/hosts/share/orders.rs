//! What the core orders, carried out in its order: deadlines and what a successor must know go into the region at once, what is about slots to
//! the pool's refresher, the rest to etcd.

use std::time::Duration;

use tokio::time::timeout;
use tpp::{clock::boot_nanos, shared::Tenure};
use tpp_hosts::{
    Class, Event, Memory, Order, Session,
    engine::{Outcome, Ticket, Transaction},
};
use tracing::{error, warn};

use super::{
    super::{
        engine::Engine,
        local::{MILLI, Refused, deadlines_of, tenure_of},
        words,
    },
    Asked, Gone, Share,
};
use crate::refresh::ShareOrder;

impl Share {
    /// To be called with each step's orders before the next step.
    pub(super) fn carry_out(&mut self, orders: Vec<Order>) {
        orders.into_iter().for_each(|order| self.obey(order));
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::List { ticket, within } => self.list(ticket, Duration::from_nanos(within)),
            Order::Watch { from } => {
                self.news = Some(self.common.engine.watch(&self.root, from));
            }
            Order::Send {
                ticket,
                transaction,
                within,
            } => self.send(ticket, transaction, Duration::from_nanos(within)),
            Order::Lend {
                session,
                class,
                not_before,
            } => self.lend(session, class, not_before),
            Order::Float { session, ticket } => self.running.refresher.share(ShareOrder::Float {
                at: self.names.place(session),
                ticket,
            }),
            Order::Withdraw { session, at_once } => self.withdraw(session, at_once),
            Order::Wipe { session } => self.running.refresher.share(ShareOrder::Wipe {
                at: self.names.place(session),
            }),
            // The place in the region may be another pool's.
            Order::Deadlines(_) | Order::Remember(_) if self.gone == Gone::Empty => {}
            Order::Deadlines(deadlines) => {
                let stock = &self.running.stock;
                stock.set_deadlines(Tenure::Floating, deadlines_of(deadlines.floating));
                stock.set_deadlines(Tenure::Home, deadlines_of(deadlines.home));
            }
            Order::Remember(memory) => self.remember(&memory),
            Order::Ready(is_ready) => self.is_ready = is_ready,
            Order::Refuse(refusal) => self.refuse(refusal.to_string()),
            Order::Left => {
                self.is_over = true;
                self.say_left();
            }
            Order::Note(note) => words::say(&self.pool, &note, &self.names),
        }
    }

    fn lend(&mut self, session: Session, class: Class, not_before: u64) {
        self.coming.insert(session, boot_nanos().max(not_before));
        self.running.refresher.share(ShareOrder::Lend {
            at: self.names.place(session),
            tenure: tenure_of(class),
            // Rounded up: not before.
            not_before: not_before.div_ceil(MILLI),
        });
    }

    fn withdraw(&mut self, session: Session, at_once: bool) {
        self.coming.remove(&session);
        self.running.refresher.share(ShareOrder::Withdraw {
            at: self.names.place(session),
            at_once,
        });
    }

    fn refuse(&mut self, why: String) {
        let pool = self.pool.clone();
        error!(pool, why, "this host must not take part");
        self.is_over = true;
        let refused = Some(Refused { pool, why });
        self.common.refused.send_replace(refused);
    }

    fn send(&mut self, ticket: Ticket, transaction: Transaction, within: Duration) {
        let asked = self.common.engine.txn(transaction, within);
        let task = self.answers.spawn(async move {
            let outcome = timeout(within, asked).await;
            Event::Answer(ticket, outcome.unwrap_or(Outcome::Ambiguous))
        });
        self.asked.insert(task.id(), Asked::Send(ticket));
    }

    fn list(&mut self, ticket: Ticket, within: Duration) {
        let asked = self.common.engine.range(&self.root, within);
        let (pool, told) = (self.pool.clone(), self.why_unread.clone());
        let task = self.answers.spawn(async move {
            let why = match timeout(within, asked).await {
                Ok(Ok((header, items))) => return Event::Listing(ticket, header, items),
                Ok(Err(why)) => why.to_string(),
                Err(late) => late.to_string(),
            };
            // Said once: it is tried again and again.
            if told.send_if_modified(|told| told.insert(why.clone())) {
                warn!(pool, why, "etcd cannot be read");
            }
            Event::Unlisted(ticket)
        });
        self.asked.insert(task.id(), Asked::List(ticket));
    }

    /// Keeps it for the next supervisor, before anything else is done.
    fn remember(&self, memory: &Memory) {
        let region = self.running.stock.region();
        let place = region.host_memory(self.running.stock.pool_id());
        let text = serde_json::to_vec(memory).unwrap_or_default();
        if place.is_none_or(|place| place.publish(&text).is_err()) {
            error!(
                pool = self.pool,
                "a successor of this supervisor will begin anew"
            );
        }
    }
}
