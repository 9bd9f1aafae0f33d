//! Answers to transactions.
use super::Core;
use super::pending::{Kind, Pending};
use crate::engine::{Header, Item, Outcome, Ticket, Transaction, Write};
use crate::order::{Note, Order};

impl Core {
    /// Sends a transaction.
    pub(super) fn ask(&mut self, transaction: Transaction, kind: Kind, orders: &mut Vec<Order>) {
        let floor = self.store.revision;
        let pending = |transaction: &Transaction| Pending {
            kind,
            floor,
            compares: transaction.compares.clone(),
            writes: transaction.writes.clone(),
        };
        self.send(transaction, pending, orders);
    }

    /// Whether something of this kind is under way.
    pub(super) fn is_asked(&self, kind: impl Fn(&Kind) -> bool) -> bool {
        self.pending.values().any(|pending| kind(&pending.kind))
    }

    pub(super) fn answered(
        &mut self,
        ticket: Ticket,
        outcome: Outcome,
        now: u64,
        orders: &mut Vec<Order>,
    ) {
        let Some(Pending {
            kind,
            floor,
            compares,
            writes,
        }) = self.pending.remove(&ticket)
        else {
            return;
        };
        let trusted = match &outcome {
            Outcome::Succeeded(header) | Outcome::Failed(header, _) => {
                self.heard(*header, floor, orders)
            }
            Outcome::Ambiguous => true,
        };
        match outcome {
            Outcome::Succeeded(header) if trusted => {
                self.committed(kind, header, &writes, now, orders)
            }
            Outcome::Failed(_, items) if trusted => {
                if self.went_back(&compares, &items, orders) {
                    return self.unknown(kind, now);
                }
                let newer = items
                    .iter()
                    .filter(|item| self.take_item(item, now, orders))
                    .count();
                if newer == 0 {
                    // It would fail again.
                    self.hold(now);
                }
                self.failed(kind);
            }
            // What another store did is to this one as if nobody knew.
            _ => self.unknown(kind, now),
        }
    }

    fn committed(
        &mut self,
        kind: Kind,
        header: Header,
        writes: &[Write],
        now: u64,
        orders: &mut Vec<Order>,
    ) {
        for Write { key, value } in writes {
            let item = Item {
                key: key.clone(),
                value: value.clone(),
                revision: header.revision,
            };
            self.take_item(&item, now, orders);
        }
        match kind {
            Kind::Join {
                inc,
                generation,
                sent,
            } => self.joined(inc, generation, header.revision, sent, now, orders),
            Kind::Beat { generation, sent } => self.beaten(generation, sent, now, orders),
            Kind::Fence(host) => self.fenced(host, orders),
            Kind::Raise(format) => Self::note(orders, Note::Raised(format)),
            Kind::Quiet { host, over } => self.seen_quiet(host, over, orders),
            Kind::Edits(edits) => self.edited(edits, now, orders),
            // What they wrote is in the view, and what follows is done by who looks at it.
            Kind::List | Kind::Meta | Kind::Renew | Kind::Forget(_) | Kind::Leave => {}
        }
    }

    fn failed(&mut self, kind: Kind) {
        if let Kind::Edits(edits) = kind {
            self.not_edited(&edits);
        }
    }

    fn unknown(&mut self, kind: Kind, now: u64) {
        match kind {
            Kind::Beat { sent, .. } => self.beat_again(sent, now),
            Kind::Edits(edits) => {
                self.maybe_edited(edits);
                self.hold(now);
            }
            _ => self.hold(now),
        }
    }
}
