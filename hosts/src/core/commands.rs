//! What an operator may ask for.
use super::Core;
use super::pending::Kind;
use super::store::Store;
use crate::event::Command;
use crate::order::{Denied, Order, Reason};
use crate::records::{Generation, Incarnation};
use crate::status::Phase;
use crate::view::View;

impl Core {
    /// Carries an operator's wish out, as far as it can be begun; what comes of it is in the journal and the status.
    ///
    /// # Errors
    /// Why it cannot be begun.
    pub fn command(&mut self, command: Command, now: u64) -> Result<Vec<Order>, Denied> {
        let mut orders = Vec::new();
        match command {
            Command::Give { count, to } => self.give_as_asked(&to, count, now, &mut orders)?,
            Command::Release { name } => self.release(&name, now, &mut orders)?,
            Command::Stay => self.stay(&mut orders)?,
            Command::Adopt => self.adopt()?,
        }
        self.act(now, &mut orders);
        Ok(orders)
    }

    fn give_as_asked(
        &mut self,
        to: &str,
        count: u32,
        now: u64,
        orders: &mut Vec<Order>,
    ) -> Result<(), Denied> {
        self.is_other_host(to)?;
        if !self.in_standing(now) {
            return Err(Denied::NotIn("it has had no answer from etcd lately"));
        }
        if !self.standing(now).peers.iter().any(|peer| peer.name == to) {
            return Err(Denied::TakesNone(to.to_owned()));
        }
        self.seek(to, Reason::Asked, count, now, orders);
        Ok(())
    }

    fn release(&mut self, name: &str, now: u64, orders: &mut Vec<Order>) -> Result<(), Denied> {
        self.is_other_host(name)?;
        let Some(record) = self.view.generation(name).cloned() else {
            return Err(Denied::NoSuchHost(name.to_owned()));
        };
        let silent = now >= self.silent_since(name) + self.takeover;
        if !silent && !record.inc.is_none() && !self.is_fenced(name, &record) {
            return Err(Denied::Alive(name.to_owned()));
        }
        let record = Generation {
            inc: Incarnation::none(),
            generation: record.generation + 1,
            ..record
        };
        self.replace(
            name,
            record,
            Kind::Quiet {
                host: name.to_owned(),
                over: true,
            },
            orders,
        );
        Ok(())
    }

    fn is_other_host(&self, name: &str) -> Result<(), Denied> {
        match name {
            _ if name == self.settings.name => Err(Denied::Myself(name.to_owned())),
            _ if !self.view.generations.contains_key(name) => {
                Err(Denied::NoSuchHost(name.to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// Ends a leave. What is still held here is lent on; who has left begins another life.
    fn stay(&mut self, orders: &mut Vec<Order>) -> Result<(), Denied> {
        if !self.leaving || self.end.is_some_and(|end| end != Phase::Left) {
            return Err(Denied::NotLeaving);
        }
        self.leaving = false;
        if self.end.take().is_some() {
            // Nothing was listened to since.
            self.pending.clear();
            self.locks.clear();
            (self.store.listed, self.store.watching) = (false, false);
        } else {
            // A leave may be on its way: it is conditioned on the record that is written anew.
            self.renewed &= self.me.is_none() || !self.rules.bar_leaves;
            self.recall_leaving(orders);
        }
        Ok(())
    }

    /// Forgets the store that it knew, and begins anew, as another life, in the one that is there.
    fn adopt(&mut self) -> Result<(), Denied> {
        if !self.store.other {
            return Err(Denied::NothingToAdopt);
        }
        self.locks.clear();
        self.pending.clear();
        self.me = None;
        self.store = Store::default();
        self.view = View::default();
        self.intents.clear();
        self.unclaimed.clear();
        self.waits = None;
        self.lives += 1;
        self.renewed = true;
        Ok(())
    }
}
