//! How many requests of a worker may try again at once: no more than a share of all that is under way, so that a tag that fails as a
//! whole is not asked twice as often for it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed}, // One thread writes and reads.
};

/// So many may always try again at once where any may, however little is under way (as Envoy's retry budget has it).
const ALWAYS: usize = 3;

/// Requests of this worker that try again.
#[derive(Debug, Default)]
pub(crate) struct Retries(Arc<AtomicUsize>);

/// One of them, as long as it lives.
#[derive(Debug)]
pub(crate) struct Retrying(Arc<AtomicUsize>);

impl Retries {
    /// Leave to try again, if no more than `percent` of `under_way` do; at 0 nobody does.
    pub(crate) fn begin(&self, percent: u32, under_way: usize) -> Option<Retrying> {
        let share = under_way.saturating_mul(percent as usize) / 100;
        let most = if percent == 0 { 0 } else { share.max(ALWAYS) };
        (self.0.load(Relaxed) < most).then(|| {
            self.0.fetch_add(1, Relaxed);
            Retrying(Arc::clone(&self.0))
        })
    }
}

impl Drop for Retrying {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_may_always_try_again_and_more_only_as_a_share_of_what_is_under_way() {
        let retries = Retries::default();
        let few: Vec<_> = (0..5).filter_map(|_| retries.begin(20, 1)).collect();
        assert_eq!(few.len(), 3);
        let more: Vec<_> = (0..30).filter_map(|_| retries.begin(20, 100)).collect();
        assert_eq!(few.len() + more.len(), 20);
        drop(few);
        assert!(retries.begin(0, 100).is_none(), "none is none");
        assert!(retries.begin(20, 100).is_some());
    }
}
