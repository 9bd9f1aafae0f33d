//! Who listens to events: so many at once, who share what they are told.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Who may listen at once: each takes a part of the supervisor's thread.
pub(super) const MOST_LISTENERS: usize = 32;
/// How old a picture may be that is told.
const FRESH: Duration = Duration::from_millis(900);

/// Those who listen, and what they were told last.
#[derive(Debug)]
pub(super) struct Listeners {
    places: Arc<Semaphore>,
    last: Mutex<Option<(Instant, Bytes)>>,
}

impl Default for Listeners {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(MOST_LISTENERS)),
            last: Mutex::default(),
        }
    }
}

impl Listeners {
    /// A place for one more, as long as it is kept; `None`: there are enough.
    pub(super) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// The event of now: the last one, if that is fresh, else what `look` makes.
    pub(super) fn told(&self, look: impl FnOnce() -> Bytes) -> Bytes {
        let now = Instant::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, event)) = &*last
            && now.saturating_duration_since(*at) < FRESH
        {
            return event.clone();
        }
        let event = look();
        *last = Some((now, event.clone()));
        event
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_who_listen_share_a_picture() {
        let listeners = Listeners::default();
        let told = |text: &'static str| listeners.told(|| Bytes::from(text));
        assert_eq!(told("first"), "first");
        assert_eq!(told("second"), "first");
        *listeners.last.lock().unwrap() = None;
        assert_eq!(told("third"), "third");
    }
}
