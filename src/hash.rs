//! A hash that is the same in every build and every process, which the standard library's hashers are not: FNV-1a, 64
//! bits (draft-eastlake-fnv). For fingerprints that one process leaves to another; it withstands no attacker.

/// Where [`hash_on`] begins.
pub const HASH_BEGIN: u64 = 0xcbf2_9ce4_8422_2325;

/// The hash of all bytes so far, `hash`, and of `bytes` after them.
#[must_use]
pub fn hash_on(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
