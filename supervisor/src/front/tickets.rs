//! Keys of session tickets: when there is a new one, and how long old ones open what they sealed.

use anyhow::anyhow;
use rustls::crypto::ring;
use tpp::front::{TICKET_KEY, TICKET_NAME, TicketKey};
use zeroize::Zeroizing;

/// How long a key seals, seconds.
const TERM: u64 = 6 * 3600;
/// How many there are: a ticket is good for two terms at least.
const KEPT: usize = 3;

/// Whether it is time for another one.
pub(super) fn is_due(keys: &[TicketKey], now: u64) -> bool {
    keys.first().is_none_or(|key| {
        // A clock that was set back makes no key last for ever.
        now.abs_diff(key.made_at) >= TERM
    })
}

/// Makes another one if it is time, and lets go of those that are too old.
///
/// # Errors
/// If the system has no randomness.
pub(super) fn renew(keys: &mut Vec<TicketKey>, now: u64) -> anyhow::Result<()> {
    if is_due(keys, now) {
        let random = ring::default_provider().secure_random;
        let mut name = [0; TICKET_NAME];
        let mut secret = Zeroizing::new([0; TICKET_KEY]);
        for bytes in [&mut name[..], &mut secret[..]] {
            random
                .fill(bytes)
                .map_err(|_| anyhow!("the system gives no random bytes"))?;
        }
        keys.insert(0, TicketKey::new(name, secret, now));
    }
    keys.truncate(KEPT);
    let most = TERM * KEPT as u64;
    keys.retain(|key| now.abs_diff(key.made_at) < most);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_seals_for_a_term_and_opens_for_two_more() {
        let mut keys = Vec::new();
        let begin = 1_000_000;
        renew(&mut keys, begin).unwrap();
        renew(&mut keys, begin + TERM - 1).unwrap();
        assert_eq!(keys.len(), 1);
        let first = keys[0].name;
        for term in 1..=2 {
            assert!(is_due(&keys, begin + term * TERM));
            renew(&mut keys, begin + term * TERM).unwrap();
            assert_ne!(keys[0].name, first);
            assert!(keys.iter().any(|key| key.name == first));
        }
        renew(&mut keys, begin + 3 * TERM).unwrap();
        assert!(!keys.iter().any(|key| key.name == first));
        assert_eq!(keys.len(), 3);
    }

    #[test]
    fn what_was_not_used_for_a_day_opens_nothing() {
        let mut keys = Vec::new();
        renew(&mut keys, 1_000_000).unwrap();
        renew(&mut keys, 1_000_000 + 24 * 3600).unwrap();
        assert_eq!(keys.len(), 1);
        assert_eq!(keys[0].made_at, 1_000_000 + 24 * 3600);
    }
}
