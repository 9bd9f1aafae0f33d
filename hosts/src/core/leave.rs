//! Leaving: when nothing is left with this host its records go.
use super::Core;
use super::pending::Kind;
use crate::engine::{Compare, Transaction, Write};
use crate::keys::Place;
use crate::order::Order;
use crate::status::Phase;

impl Core {
    /// Ends when all is given away. A host that is not in has nothing to give.
    pub(super) fn finish_leaving(&mut self, now: u64, orders: &mut Vec<Order>) {
        if !self.leaving || self.end.is_some() || !self.local.is_empty() {
            return;
        }
        let Some(me) = &self.me else {
            // A join may be under way: its answer says whether there is a record to remove.
            if !self.is_asked(|kind| matches!(kind, Kind::Join { .. })) {
                self.end = Some(Phase::Left);
                orders.push(Order::Left);
            }
            return;
        };
        let asked = self.is_asked(|kind| matches!(kind, Kind::Leave | Kind::Edits(_)));
        let has = self.view.totals().contains_key(&self.settings.name) || !self.locks.is_empty();
        if asked || has || !self.in_standing(now) || now < self.hold_until {
            return;
        }
        let generation = self.keys.of(&Place::Generation(self.settings.name.clone()));
        let beat = self.keys.of(&Place::Beat(self.settings.name.clone()));
        let transaction = Transaction {
            compares: vec![Compare {
                key: generation.clone(),
                revision: me.revision,
            }],
            writes: vec![
                Write {
                    key: generation,
                    value: None,
                },
                Write {
                    key: beat,
                    value: None,
                },
            ],
            ..Transaction::default()
        };
        self.ask(transaction, Kind::Leave, orders);
    }
}
