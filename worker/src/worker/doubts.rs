//! Which tokens may be stale, though nobody has tried them.

use parking_lot::Mutex;
use tpp::pool::Origin;

/// Places remembered at once: an upstream has few addresses.
const MOST: usize = 64;

/// At which places tokens were found to be stale, and which are no younger than those. Asked before long uploads alone.
#[derive(Debug, Default)]
pub(crate) struct Doubts(Mutex<Vec<Doubt>>);

#[derive(Debug)]
struct Doubt {
    origin: Origin,
    /// Tokens drawn before may be stale, by the clock of their drawing.
    before: u64,
}

impl Doubts {
    /// Of two tokens drawn at `origin` the earlier one was refused and the later one, drawn because of that, was not. What
    /// is known already explains it if the earlier one was in doubt.
    pub(crate) fn note(&self, origin: Origin, earlier: u64, later: u64) {
        if self.hold(origin, earlier) {
            return;
        }
        let mut doubts = self.0.lock();
        doubts.retain(|doubt| doubt.origin != origin);
        if doubts.len() == MOST {
            doubts.remove(0);
        }
        doubts.push(Doubt {
            origin,
            before: later,
        });
    }

    /// Whether a token drawn at `origin` and at `drawn_at` may be stale.
    pub(crate) fn hold(&self, origin: Origin, drawn_at: u64) -> bool {
        let doubts = self.0.lock();
        let mut doubts = doubts.iter();
        doubts.any(|doubt| doubt.origin == origin && drawn_at < doubt.before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Origin = Origin::new(1);
    const THERE: Origin = Origin::new(2);

    #[test]
    fn tokens_of_the_same_place_that_are_no_younger_are_in_doubt() {
        let doubts = Doubts::default();
        assert!(!doubts.hold(HERE, 10));
        doubts.note(HERE, 10, 50);
        assert!(doubts.hold(HERE, 49));
        assert!(!doubts.hold(HERE, 50));
        assert!(!doubts.hold(THERE, 10));
    }

    #[test]
    fn what_is_known_already_casts_no_doubt_on_tokens_drawn_since() {
        let doubts = Doubts::default();
        doubts.note(HERE, 10, 50);
        // Another one of that time is found out later.
        doubts.note(HERE, 20, 90);
        assert!(!doubts.hold(HERE, 60));
        // One that was drawn since tells of another restart.
        doubts.note(HERE, 60, 100);
        assert!(doubts.hold(HERE, 99));
    }

    #[test]
    fn no_more_places_are_remembered_than_there_is_room_for() {
        let doubts = Doubts::default();
        for place in 0..2 * MOST as u64 {
            doubts.note(Origin::new(1000 + place), 1, 2);
        }
        assert_eq!(doubts.0.lock().len(), MOST);
        assert!(doubts.hold(Origin::new(1000 + 2 * MOST as u64 - 1), 1));
    }
}
