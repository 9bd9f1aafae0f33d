//! Listing and watching, and the guard against a store that is not the one this host knew.
use super::Core;
use super::pending::{Kind, Pending};
use crate::deadlines::answer_within;
use crate::engine::{Compare, Header, Item, Ticket};
use crate::keys::Place;
use crate::order::{Note, Order};

/// Which store it is, and how much of it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Store {
    /// etcd's `cluster_id`.
    pub(crate) cluster: Option<u64>,
    /// The highest revision that an answer had.
    pub(crate) revision: i64,
    /// An answer came from another store, or from one that had gone back.
    pub(crate) other: bool,
    /// All keys were read once.
    pub(crate) listed: bool,
    /// Changes are told.
    pub(crate) watching: bool,
    /// When to list again.
    list_at: u64,
}

impl Store {
    pub(crate) fn known(cluster: u64, revision: i64) -> Self {
        Self {
            cluster: Some(cluster),
            revision,
            ..Self::default()
        }
    }
}

impl Core {
    /// An answer came: whether it is from the store that this host knows, at no earlier state than when the question left
    /// (`floor`). A store that is restored from a backup knows less than was promised by it: nothing of it is believed.
    pub(super) fn heard(&mut self, header: Header, floor: i64, orders: &mut Vec<Order>) -> bool {
        if header.revision < floor {
            let Header { revision, .. } = header;
            self.is_other(
                format!("it is at revision {revision}, and was at {floor} before"),
                orders,
            );
        }
        let same = self.is_same(header.cluster, orders);
        if same {
            self.store.revision = self.store.revision.max(header.revision);
        }
        same
    }

    /// Whether this is the cluster that this host knows.
    fn is_same(&mut self, cluster: u64, orders: &mut Vec<Order>) -> bool {
        let known = *self.store.cluster.get_or_insert(cluster);
        if known != cluster {
            self.is_other(
                format!("it is cluster {cluster:x}, and was {known:x}"),
                orders,
            );
        }
        !self.store.other
    }

    fn is_other(&mut self, what: String, orders: &mut Vec<Order>) {
        if !self.store.other {
            self.store.other = true;
            Self::note(orders, Note::OtherStore(what));
        }
    }

    /// Whether a key is at an earlier revision than it was: the store was restored, and others have written in it since.
    pub(super) fn went_back(
        &mut self,
        known: &[Compare],
        items: &[Item],
        orders: &mut Vec<Order>,
    ) -> bool {
        let earlier = |item: &&Item| {
            let before = known
                .iter()
                .any(|it| it.key == item.key && item.revision < it.revision);
            item.value.is_some() && before
        };
        if let Some(item) = items.iter().find(earlier) {
            self.is_other(
                format!(
                    "{} is at revision {}, and was at a later one",
                    item.key, item.revision
                ),
                orders,
            );
        }
        self.store.other
    }

    /// Lists when nothing is known, when the watch is lost, and once in a while: a watch is a hint.
    pub(super) fn look_at_store(&mut self, now: u64, orders: &mut Vec<Order>) {
        let due = !self.store.listed || !self.store.watching || now >= self.store.list_at;
        let asked = self
            .pending
            .values()
            .any(|pending| matches!(pending.kind, Kind::List));
        if self.store.other || !self.renewed || asked || !due || now < self.hold_until {
            return;
        }
        let ticket = self.ticket();
        self.pending
            .insert(ticket, Pending::new(Kind::List, self.store.revision));
        // A list of ten thousand accounts is more than one answer.
        orders.push(Order::List {
            ticket,
            within: answer_within(self.takeover) * 5,
        });
    }

    pub(super) fn listed(
        &mut self,
        ticket: Ticket,
        header: Header,
        items: &[Item],
        now: u64,
        orders: &mut Vec<Order>,
    ) {
        let Some(pending) = self.pending.remove(&ticket) else {
            return;
        };
        if !self.heard(header, pending.floor, orders) {
            return;
        }
        self.view.list(&self.keys, header, items, now);
        self.store.listed = true;
        self.store.list_at = now + 4 * self.takeover;
        if !self.store.watching {
            self.store.watching = true;
            orders.push(Order::Watch {
                from: header.revision + 1,
            });
        }
        self.raise_format(header.revision, now, orders);
    }

    /// Lists again at the next opportunity.
    pub(super) fn list_soon(&mut self, now: u64) {
        self.store.list_at = now;
    }

    pub(super) fn unlisted(&mut self, ticket: Ticket, now: u64) {
        if self.pending.remove(&ticket).is_some() {
            self.hold(now);
        }
    }

    pub(super) fn changed(
        &mut self,
        header: Header,
        items: &[Item],
        now: u64,
        orders: &mut Vec<Order>,
    ) {
        // A member's watch may lag behind answers, so its revision tells nothing.
        if self.is_same(header.cluster, orders) {
            for item in items {
                self.take_item(item, now, orders);
            }
        }
    }

    /// Takes a key in. Whether it is news.
    pub(super) fn take_item(&mut self, item: &Item, now: u64, orders: &mut Vec<Order>) -> bool {
        let place = self.view.take(&self.keys, item, now);
        let unreadable = match &place {
            Some(Place::Generation(host)) => self.view.generations[host].is_unreadable(),
            Some(Place::Account(account)) => self.view.accounts[account].is_unreadable(),
            Some(Place::Beat(_) | Place::Meta) | None => false,
        };
        if unreadable {
            Self::note(orders, Note::Unreadable(item.key.clone()));
        }
        place.is_some()
    }

    /// Something went wrong on the way to etcd: wait a little before anything but a beat is sent.
    pub(super) fn hold(&mut self, now: u64) {
        self.hold_until = now + self.takeover / 30;
    }
}
