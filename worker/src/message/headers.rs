//! What the fields of a message head mean to a proxy.

/// Most fields a head may have.
pub(crate) const FIELD_LIMIT: usize = 128;
/// Longest head, in bytes.
pub(crate) const HEAD_LIMIT: usize = 64 * 1024;

/// The name under which tpp stands in `Via` (RFC 9110, 7.6.3).
const PSEUDONYM: &[u8] = b"tpp";

/// How many elements of a `Via` were written by a tpp.
pub(crate) fn own_hops(via: &[u8]) -> usize {
    list(via)
        .filter(|hop| hop.split(|&byte| byte == b' ').nth(1) == Some(PSEUDONYM))
        .count()
}

/// The options of all `Connection` lines of a head.
#[derive(Debug, Default)]
pub(crate) struct Options<'a> {
    pub(crate) close: bool,
    pub(crate) keep_alive: bool,
    pub(crate) upgrade: bool,
    /// Names of fields meant for the next hop only.
    nominated: Vec<&'a [u8]>,
}

impl<'a> Options<'a> {
    /// Adds the options of one line.
    pub(crate) fn add(&mut self, value: &'a [u8]) {
        // Nearly all that is ever said.
        if value.eq_ignore_ascii_case(b"keep-alive") {
            self.keep_alive = true;
            return;
        }
        for option in list(value) {
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade = true;
            } else {
                self.nominated.push(option);
            }
        }
    }

    /// Whether a field was named as meant for the next hop only.
    pub(crate) fn nominate(&self, name: &[u8]) -> bool {
        self.nominated
            .iter()
            .any(|nominated| nominated.eq_ignore_ascii_case(name))
    }

    /// Whether any was.
    pub(crate) fn nominates(&self) -> bool {
        !self.nominated.is_empty()
    }
}

/// The elements of a comma-separated list.
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&byte| byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}

/// A `Content-Length` value: digits and nothing else.
pub(crate) fn content_length(value: &[u8]) -> Option<u64> {
    let zeros = value.iter().take_while(|&&byte| byte == b'0').count();
    // Eighteen digits cannot overflow, and zeros before them say nothing.
    if value.is_empty() || value.len() - zeros > 18 {
        return None;
    }
    value.iter().try_fold(0, |length, byte| {
        byte.is_ascii_digit()
            .then(|| length * 10 + u64::from(byte - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_options_are_gathered_over_all_lines() {
        let mut options = Options::default();
        options.add(b"Keep-Alive, , X-One");
        options.add(b"x-two");
        assert!(options.keep_alive && !options.close && !options.upgrade);
        assert!(
            options.nominate(b"x-one")
                && options.nominate(b"X-Two")
                && !options.nominate(b"x-three")
        );
    }

    #[test]
    fn hops_through_a_tpp_are_counted_and_no_other() {
        for (via, hops) in [
            ("1.1 tpp", 1),
            ("1.0 tpp, 1.1 tpp (inner), HTTP/1.1 proxy", 2),
            ("1.1 tpps, 1.1 a.tpp, tpp, 1.1 x (tpp)", 0),
            ("", 0),
        ] {
            assert_eq!(own_hops(via.as_bytes()), hops, "{via}");
        }
    }

    #[test]
    fn a_length_is_digits_only() {
        for value in ["42", "042", "00000000000000000000042"] {
            assert_eq!(content_length(value.as_bytes()), Some(42), "{value}");
        }
        for value in [
            "",
            "+3",
            "-1",
            "0x3",
            "3, 3",
            "3 ",
            "1234567890123456789",
            "0x",
        ] {
            assert_eq!(content_length(value.as_bytes()), None, "{value}");
        }
    }
}
