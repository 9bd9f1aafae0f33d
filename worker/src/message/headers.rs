//! What the fields of a message head mean to a proxy.

/// Most fields a head may have.
pub(crate) const FIELD_LIMIT: usize = 128;
/// Longest head, in bytes.
pub(crate) const HEAD_LIMIT: usize = 64 * 1024;

/// A field, by what is done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Authorization,
    Connection,
    ContentLength,
    Expect,
    ForwardedFor,
    ForwardedProto,
    Host,
    TransferEncoding,
    Upgrade,
    /// Concerns one connection only (RFC 9110, 7.6.1).
    HopByHop,
    /// Passed on.
    Other,
}

impl Field {
    pub(crate) fn of(name: &str) -> Self {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        // By length first: most fields are told apart without a comparison.
        match name.len() {
            2 if is("te") => Self::HopByHop,
            4 if is("host") => Self::Host,
            6 if is("expect") => Self::Expect,
            7 if is("upgrade") => Self::Upgrade,
            7 if is("trailer") => Self::HopByHop,
            10 if is("connection") => Self::Connection,
            10 if is("keep-alive") => Self::HopByHop,
            13 if is("authorization") => Self::Authorization,
            14 if is("content-length") => Self::ContentLength,
            14 if is("http2-settings") => Self::HopByHop,
            15 if is("x-forwarded-for") => Self::ForwardedFor,
            16 if is("proxy-connection") => Self::HopByHop,
            17 if is("transfer-encoding") => Self::TransferEncoding,
            17 if is("x-forwarded-proto") => Self::ForwardedProto,
            18 if is("proxy-authenticate") => Self::HopByHop,
            19 if is("proxy-authorization") => Self::HopByHop,
            25 if is("proxy-authentication-info") => Self::HopByHop,
            _ => Self::Other,
        }
    }
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
    pub(crate) fn nominate(&self, name: &str) -> bool {
        self.nominated
            .iter()
            .any(|nominated| nominated.eq_ignore_ascii_case(name.as_bytes()))
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
    // Eighteen digits cannot overflow.
    if value.is_empty() || value.len() > 18 {
        return None;
    }
    value.iter().try_fold(0, |length, byte| {
        byte.is_ascii_digit()
            .then(|| length * 10 + u64::from(byte - b'0'))
    })
}

/// Whether a value can stand as `Host`: a name or address, and perhaps a port.
pub(crate) fn is_host(value: &[u8]) -> bool {
    let (name_is_sound, port) = if value.starts_with(b"[") {
        let Some(end) = value.iter().position(|&byte| byte == b']') else {
            return false;
        };
        let address = &value[1..end];
        let sound = !address.is_empty()
            && address
                .iter()
                .all(|byte| byte.is_ascii_hexdigit() || b":.".contains(byte));
        (sound, &value[end + 1..])
    } else {
        let end = value
            .iter()
            .position(|&byte| byte == b':')
            .unwrap_or(value.len());
        let name = &value[..end];
        let sound = !name.is_empty()
            && name
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=%".contains(byte));
        (sound, &value[end..])
    };
    let port_is_sound = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    name_is_sound && port_is_sound
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_names_are_known_in_any_case() {
        assert_eq!(Field::of("AUTHORIZATION"), Field::Authorization);
        assert_eq!(Field::of("Transfer-encoding"), Field::TransferEncoding);
        assert_eq!(Field::of("X-Forwarded-For"), Field::ForwardedFor);
        assert_eq!(Field::of("X-Forwarded-Fox"), Field::Other);
        assert_eq!(Field::of("TE"), Field::HopByHop);
    }

    #[test]
    fn connection_options_are_gathered_over_all_lines() {
        let mut options = Options::default();
        options.add(b"Keep-Alive, , X-One");
        options.add(b"x-two");
        assert!(options.keep_alive && !options.close && !options.upgrade);
        assert!(
            options.nominate("x-one") && options.nominate("X-Two") && !options.nominate("x-three")
        );
    }

    #[test]
    fn a_length_is_digits_only() {
        assert_eq!(content_length(b"42"), Some(42));
        for value in ["", "+3", "-1", "0x3", "3, 3", "3 ", "1234567890123456789"] {
            assert_eq!(content_length(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        for host in ["a", "a.example:80", "127.0.0.1", "[::1]:8080", "a:"] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            "", ":80", "a b", "a:b", "a:123456", "user@a", "a/b", "a,b", "[::1", "[]", "[::1]x",
            "::1", "a\t",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }
}
