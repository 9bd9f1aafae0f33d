//! The one door to atomics: the machine's own, or loom's when the models run (`--cfg tpp_loom`).
//!
//! Loom's atomics are handles, not words, so they cannot lie in a mapping. The algorithms therefore take
//! slices ([`crate::pool::Pool`]) and never ask where those slices come from.

#[cfg(not(tpp_loom))]
pub(crate) use std::sync::atomic::{AtomicU64, fence};
#[cfg(tpp_loom)]
pub(crate) use {loom::sync::atomic::fence, modelled::AtomicU64};

#[cfg(tpp_loom)]
mod modelled {
    use loom::sync::atomic::Ordering;

    /// Loom's, but for one thing: loom's exchange fails on the newest value only, while the memory model lets
    /// a failing exchange be a load of any value that its ordering allows. Here it is both.
    #[derive(Debug, Default)]
    #[allow(
        unreachable_pub,
        reason = "as public as the fields that have this type"
    )]
    pub struct AtomicU64(loom::sync::atomic::AtomicU64);

    impl AtomicU64 {
        pub(crate) fn new(value: u64) -> Self {
            Self(loom::sync::atomic::AtomicU64::new(value))
        }

        pub(crate) fn load(&self, order: Ordering) -> u64 {
            self.0.load(order)
        }

        pub(crate) fn store(&self, value: u64, order: Ordering) {
            self.0.store(value, order);
        }

        pub(crate) fn swap(&self, value: u64, order: Ordering) -> u64 {
            self.0.swap(value, order)
        }

        pub(crate) fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
            self.0.fetch_add(value, order)
        }

        pub(crate) fn fetch_or(&self, bits: u64, order: Ordering) -> u64 {
            self.0.fetch_or(bits, order)
        }

        pub(crate) fn fetch_and(&self, bits: u64, order: Ordering) -> u64 {
            self.0.fetch_and(bits, order)
        }

        pub(crate) fn compare_exchange(
            &self,
            current: u64,
            new: u64,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u64, u64> {
            let seen = self.0.load(failure);
            if seen != current {
                return Err(seen);
            }
            self.0.compare_exchange(current, new, success, failure)
        }

        pub(crate) fn fetch_update(
            &self,
            success: Ordering,
            failure: Ordering,
            change: impl FnMut(u64) -> Option<u64>,
        ) -> Result<u64, u64> {
            self.0.fetch_update(success, failure, change)
        }
    }
}
