//! What the refresher is told to do.

use tpp::{
    plan::Place,
    pool::{Origin, SlotIndex},
};
use tracing::info;
use zeroize::Zeroizing;

use super::Refresher;
use crate::refresh::{Order, Setup, book::number, clock};

impl Refresher {
    pub(super) fn obey(&mut self, order: Order) {
        // Whoever asked may have gone.
        match order {
            Order::Renew { user, answer } => {
                let _ = answer.send(self.renew(user.as_deref()));
            }
            Order::Reconfigure {
                setup,
                places,
                answer,
            } => {
                let _ = answer.send(self.reconfigure(*setup, places));
            }
            Order::Share(order) => self.share(order),
            // Its end is the end of it all.
            Order::LogOut { .. } | Order::Leave { .. } => {}
            Order::Relocate { places, answer } => {
                self.relocate(places);
                let _ = answer.send(());
            }
        }
    }

    /// Has tokens drawn at `places` alone: those of other servers are out of use at once, and drawn anew. A place that has joined the
    /// others gets its share: those slots log in anew there, and keep their tokens until then.
    fn relocate(&mut self, places: Vec<Place>) {
        let now = clock::now();
        let before = self.places.origins();
        let moved_away = self.places.replace(places);
        if moved_away {
            // What they bring is the old server's; what it said of passwords means nothing to this one.
            self.logins.abort_all();
        }
        let mut book = self.handle.ledger();
        let assigned: Vec<_> = book.assigned().map(|(index, _)| index).collect();
        for index in assigned {
            let slot = SlotIndex::new(index);
            let (_, origin) = self.stock.read_token(slot, &mut Zeroizing::default());
            let is_foreign = origin != Origin::NONE && !self.places.have(origin);
            if is_foreign {
                book.withhold(index);
                self.stock.take_out_of_use(slot);
            }
            if is_foreign || moved_away {
                // As if it were new: a login under way for it counts no more.
                book.begin_anew(index, now);
                self.stock.note_rest(slot, None);
            } else if self.places.newcomer_for(number(index), &before).is_some() {
                book.schedule.renew(number(index), now);
            }
        }
        if moved_away {
            book.schedule.doubt_passwords(now);
            drop(book);
            self.ready_said = false;
        }
    }

    fn renew(&mut self, user: Option<&str>) -> usize {
        let now = clock::now();
        let mut book = self.handle.ledger();
        let slots: Vec<_> = book
            .assigned()
            .filter(|(_, account)| user.is_none_or(|user| user == account.username))
            .map(|(slot, _)| number(slot))
            .collect();
        let renewed = slots.into_iter();
        let renewed = renewed
            .filter(|slot| book.schedule.renew(*slot, now))
            .count();
        info!(slots = renewed, user, "logging in anew as ordered");
        renewed
    }

    fn reconfigure(&mut self, setup: Setup, places: Vec<Place>) -> Result<(), String> {
        let Setup {
            provider,
            rules,
            accounts,
            // That is for as long as the supervisor lives.
            shared: _,
        } = setup;
        self.wipe_retired();
        self.check_room(&accounts)?;
        self.provider = provider;
        self.heed_manner();
        self.handle.ledger().schedule.set_rules(rules);
        self.relocate(places);
        self.assign(accounts);
        Ok(())
    }
}
