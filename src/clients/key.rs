//! An address as the tables know it.

use std::net::IpAddr;

/// Bits of a key.
pub(super) const KEY_BITS: u32 = 44;
/// Marks keys of IPv6 networks.
const IS_V6: u64 = 1 << (KEY_BITS - 1);

/// An address: an IPv4 address whole, or the /64 of an IPv6 address, as that is what one subscriber has, hashed to what fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    /// [`KEY_BITS`] bits.
    pub(super) bits: u64,
    /// Says where it lies in a table.
    pub(super) hash: u64,
}

impl Key {
    /// The hashes of one region have one seed, which nobody outside knows: so nobody can choose addresses that meet.
    pub(super) fn of(address: IpAddr, seed: u64) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let bits = u64::from(address.to_bits());
                let hash = universal(bits, seed, 0);
                Self { bits, hash }
            }
            IpAddr::V6(address) => {
                let network = (address.to_bits() >> 64) as u64;
                Self {
                    bits: IS_V6 | universal(network, seed, 1) >> (64 - (KEY_BITS - 1)),
                    hash: universal(network, seed, 2),
                }
            }
        }
    }
}

/// A strongly universal hash (Dietzfelbinger 1996): the top of `a * value + b` in twice the width, `a` and `b` from seed and `family`.
fn universal(value: u64, seed: u64, family: u64) -> u64 {
    let wide = |at: u64| {
        let at = seed.wrapping_add(family * 4 + at);
        u128::from(scramble(at)) << 64 | u128::from(scramble(at.wrapping_add(1)))
    };
    let sum = (wide(0) | 1)
        .wrapping_mul(u128::from(value))
        .wrapping_add(wide(2));
    (sum >> 64) as u64
}

/// One step of SplitMix64: numbers beside each other become ones that have nothing in common.
fn scramble(number: u64) -> u64 {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(address: &str) -> Key {
        Key::of(address.parse().unwrap(), 7)
    }

    #[test]
    fn an_ipv4_address_is_itself_however_it_is_written() {
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
        assert_ne!(key("192.0.2.1").bits, key("192.0.2.2").bits);
        assert_eq!(key("255.255.255.255").bits, 0xffff_ffff);
    }

    #[test]
    fn ipv6_addresses_of_one_network_are_one() {
        assert_eq!(key("2001:db8:0:1::1"), key("2001:db8:0:1:ffff::2"));
        assert_ne!(key("2001:db8:0:1::1").bits, key("2001:db8:0:2::1").bits);
        assert!(key("::").bits >= IS_V6, "no IPv4 address is equal to it");
        assert!(key("ffff::").bits < 1 << KEY_BITS);
    }

    #[test]
    fn the_seed_decides_where_an_address_lies() {
        let address = "192.0.2.1".parse().unwrap();
        assert_ne!(Key::of(address, 1).hash, Key::of(address, 2).hash);
    }
}
