//! Where tokens are drawn: logins are spread over the upstream's addresses, and keep away from one that was not reached
//! lately.

use std::{
    collections::{HashMap, HashSet},
    future::Future,
    time::{Duration, Instant},
};

use tokio::{sync::watch, time::timeout};
use tpp::{plan::Place, pool::Origin};

/// How long an address that was not reached is kept away from, as long as there are others.
const DEAD_FOR: Duration = Duration::from_secs(30);
/// How long a login waits for the upstream's name to resolve.
const RESOLVE_PATIENCE: Duration = Duration::from_secs(3);

/// The upstream's addresses, as logins met them.
#[derive(Debug)]
pub(super) struct Places {
    list: watch::Sender<Vec<Place>>,
    /// Those that were not reached, with the time until which they are kept away from.
    dead: HashMap<Origin, Instant>,
}

impl Places {
    pub(super) fn new(list: Vec<Place>) -> Self {
        Self {
            list: watch::Sender::new(list),
            dead: HashMap::new(),
        }
    }

    /// Whether tokens of `origin` may be drawn and used.
    pub(super) fn have(&self, origin: Origin) -> bool {
        self.list.borrow().iter().any(|one| one.origin == origin)
    }

    /// The same, as long as no address is known: that of a predecessor's token may be among them.
    pub(super) fn may_have(&self, origin: Origin) -> bool {
        self.list.borrow().is_empty() || self.have(origin)
    }

    /// Puts others in force. Whether none of those that were is left: it is another server.
    pub(super) fn replace(&mut self, list: Vec<Place>) -> bool {
        self.dead
            .retain(|origin, _| list.iter().any(|one| one.origin == *origin));
        let had_some = !self.list.borrow().is_empty();
        let keeps_one = list.iter().any(|one| self.have(one.origin));
        self.list.send_replace(list);
        had_some && !keeps_one
    }

    /// Where `slot` belongs now, if that is at none of `before`: whoever joins gets its share.
    pub(super) fn newcomer_for(&self, slot: u32, before: &HashSet<Origin>) -> Option<Origin> {
        let place = self.pick(slot, Instant::now())?;
        (!before.is_empty() && !before.contains(&place.origin)).then_some(place.origin)
    }

    /// The origins of all.
    pub(super) fn origins(&self) -> HashSet<Origin> {
        self.list.borrow().iter().map(|one| one.origin).collect()
    }

    /// Notes whether a login for a token of `origin` reached it.
    pub(super) fn note(&mut self, origin: Origin, reached: bool) {
        if reached {
            self.dead.remove(&origin);
        } else {
            self.dead.insert(origin, Instant::now() + DEAD_FOR);
        }
    }

    /// Where the next login for `slot` goes. Resolves at once, unless no address is known yet; `None`: there is still none.
    pub(super) fn choice(&self, slot: u32) -> impl Future<Output = Option<Place>> + Send + use<> {
        let mut changes = self.list.subscribe();
        let chosen = self.pick(slot, Instant::now());
        async move {
            if chosen.is_some() {
                return chosen;
            }
            let known = changes.wait_for(|list| !list.is_empty());
            let list = timeout(RESOLVE_PATIENCE, known).await.ok()?.ok()?;
            Some(list[slot as usize % list.len()])
        }
    }

    /// Where `slot` is used whose token is good anywhere; `None`: no address is known.
    pub(super) fn place(&self, slot: u32) -> Option<Place> {
        self.pick(slot, Instant::now())
    }

    fn pick(&self, slot: u32, now: Instant) -> Option<Place> {
        let list = self.list.borrow();
        let is_dead = |one: &&Place| self.dead.get(&one.origin).is_some_and(|until| now < *until);
        let living: Vec<_> = list.iter().filter(|one| !is_dead(one)).collect();
        let from = if living.is_empty() {
            list.iter().collect()
        } else {
            living
        };
        // By its number: neighbours, which are often one account's, are spread, and a slot keeps its place.
        (!from.is_empty()).then(|| *from[slot as usize % from.len()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(ports: &[u16]) -> Vec<Place> {
        let place = |port: &u16| Place {
            address: ([127, 0, 0, 1], *port).into(),
            origin: Origin::new(u64::from(*port)),
        };
        ports.iter().map(place).collect()
    }

    fn picks(places: &Places) -> Vec<u16> {
        let now = Instant::now();
        (0..6)
            .map(|slot| places.pick(slot, now).unwrap().address.port())
            .collect()
    }

    #[test]
    fn logins_are_spread_over_the_addresses_that_live() {
        let mut all = Places::new(places(&[1, 2, 3]));
        assert_eq!(picks(&all), [1, 2, 3, 1, 2, 3]);
        all.note(Origin::new(2), false);
        assert_eq!(picks(&all), [1, 3, 1, 3, 1, 3]);
        all.note(Origin::new(1), false);
        all.note(Origin::new(3), false);
        assert_eq!(picks(&all), [1, 2, 3, 1, 2, 3], "none lives: any may");
        all.note(Origin::new(3), true);
        assert_eq!(picks(&all), [3; 6]);
    }

    #[test]
    fn one_address_left_of_several_is_still_the_same_server() {
        let mut all = Places::new(places(&[]));
        assert!(all.may_have(Origin::new(1)) && !all.have(Origin::new(1)));
        assert!(!all.replace(places(&[1, 2])), "it has but resolved");
        assert!(!all.replace(places(&[2, 3])));
        assert!(!all.may_have(Origin::new(1)));
        assert!(all.replace(places(&[4])));
    }

    #[test]
    fn whoever_joins_gets_its_share_and_nobody_else_moves() {
        let mut all = Places::new(places(&[]));
        let before = all.origins();
        all.replace(places(&[1, 2]));
        assert_eq!(all.newcomer_for(0, &before), None, "it has but resolved");
        let before = all.origins();
        all.replace(places(&[1, 2, 3]));
        let moved: Vec<_> = (0..6).map(|slot| all.newcomer_for(slot, &before)).collect();
        let third = Some(Origin::new(3));
        assert_eq!(moved, [None, None, third, None, None, third]);
    }

    #[tokio::test]
    async fn a_login_waits_for_the_first_address() {
        let mut none = Places::new(Vec::new());
        let choice = tokio::spawn(none.choice(1));
        tokio::task::yield_now().await;
        none.replace(places(&[1, 2]));
        assert_eq!(choice.await.unwrap().unwrap().address.port(), 2);
    }
}
