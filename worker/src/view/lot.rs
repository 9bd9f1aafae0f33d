//! Lots that every worker draws alike: who gets what is a function of a key, not of a memory.

use tpp::hash::{HASH_BEGIN, hash_on};

/// A number that stands for `text`.
pub(crate) fn key(text: &[u8]) -> u64 {
    hash_on(HASH_BEGIN, text)
}

/// How `key` likes the one named `salt` with a share of `weight`: who has the highest score gets it.
///
/// Weighted rendezvous hashing (Schindelhauer and Schomaker, 2005): each gets its share exactly, and where one's weight grows or one
/// comes or goes, only those keys move that it wins or loses.
pub(crate) fn score(key: u64, salt: u64, weight: f64) -> f64 {
    // 53 bits, as many as the fraction has; the half keeps it off 0, whose logarithm is none, and off 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let uniform = ((mix(key ^ mix(salt)) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    weight / -uniform.ln()
}

/// Spreads a key's bits over all of them: the finalizer of SplitMix64 (Steele, Lea and Flood, 2014).
fn mix(key: u64) -> u64 {
    let key = (key ^ (key >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let key = (key ^ (key >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    key ^ (key >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Index of the winner among `weights`.
    fn winner(key: u64, weights: &[f64]) -> usize {
        let scores = weights
            .iter()
            .zip(0_u64..)
            .map(|(weight, salt)| score(key, salt, *weight));
        let best = scores.enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
        best.unwrap().0
    }

    #[test]
    fn each_gets_its_share() {
        let mut won = [0_u32; 3];
        for n in 0..100_000_u64 {
            won[winner(key(&n.to_le_bytes()), &[10.0, 30.0, 60.0])] += 1;
        }
        for (won, share) in won.into_iter().zip([10_000, 30_000, 60_000]) {
            assert!(won.abs_diff(share) < 1_000, "{won} of {share}");
        }
    }

    #[test]
    fn a_share_that_grows_keeps_those_it_has() {
        for n in 0..10_000_u64 {
            let key = key(&n.to_le_bytes());
            if winner(key, &[90.0, 10.0]) == 1 {
                assert_eq!(winner(key, &[80.0, 20.0]), 1);
            }
        }
    }

    #[test]
    fn when_one_goes_only_its_own_move() {
        for n in 0..10_000_u64 {
            let key = key(&n.to_le_bytes());
            let before = winner(key, &[1.0, 1.0, 1.0]);
            if before != 2 {
                assert_eq!(winner(key, &[1.0, 1.0]), before);
            }
        }
    }
}
