//! A bucket of permits that fills by time: how often something may be done.

/// Permits, kept as the time by which the bucket will be full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Bucket {
    full_at: u64,
}

impl Bucket {
    /// Takes a permit if there is one: one comes each `every` ns, `most` are kept.
    pub(crate) fn take(&mut self, now: u64, every: u64, most: u64) -> bool {
        let full_at = self.full_at.max(now) + every;
        let fits = full_at <= now + every * most;
        if fits {
            self.full_at = full_at;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_followed_by_a_rate() {
        let mut bucket = Bucket::default();
        let taken = |bucket: &mut Bucket, now| (0..10).filter(|_| bucket.take(now, 10, 4)).count();
        assert_eq!(taken(&mut bucket, 100), 4);
        assert_eq!(taken(&mut bucket, 105), 0);
        assert_eq!(taken(&mut bucket, 120), 2);
        assert_eq!(taken(&mut bucket, 1000), 4);
    }
}
