//! The end of a pool: nothing is drawn for it any more, and each session is ended when nobody uses it.

use tpp::pool::SlotIndex;

use super::Refresher;
use crate::refresh::{Order, book::number, clock};

impl Refresher {
    /// Draws no more, and lends nothing: leases go on to their end. What is done to the slots is done when this returns.
    pub(super) fn leave(&mut self) {
        self.logins.abort_all();
        let slots = self.handle.ledger().slots();
        for slot in 0..slots {
            self.take_out_of_use(number(slot));
        }
        self.part_from_all();
    }

    /// Sees to it that every session ends when nobody uses it any more.
    fn part_from_all(&mut self) {
        let slots = self.handle.ledger().slots();
        for slot in 0..slots {
            let drawn = self.handle.ledger().take_drawn(slot);
            let token = self.token_in(SlotIndex::new(slot));
            if let Some((drawn, token)) = drawn.zip(token) {
                self.bid_farewell(slot, &drawn, token);
            }
        }
    }

    /// Ends all sessions at once: tpp stops.
    pub(super) async fn log_out_all(&mut self) {
        self.logins.abort_all();
        self.part_from_all();
        self.farewells.end().await;
    }

    /// Runs until all sessions are ended of a pool that is [left](Self::leave).
    pub(super) async fn see_off(mut self) {
        loop {
            self.farewells.look(&self.stock);
            if self.farewells.are_said() {
                return;
            }
            let next_look = self.farewells.next_look();
            tokio::select! {
                () = self.farewells.said() => {}
                Some(order) = self.orders.recv() => {
                    // Whoever wants something else of a pool that is gone finds nobody.
                    if let Order::LogOut { answer } = order {
                        self.farewells.end().await;
                        let _ = answer.send(());
                        return;
                    }
                }
                () = clock::sleep_until(next_look) => {}
            }
        }
    }
}
