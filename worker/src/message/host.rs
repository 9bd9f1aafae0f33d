//! Who is asked: the value of `Host`, the authority of a URI.

/// Whether a value can stand as `Host`: a name or address, and perhaps a port (RFC 9110, 7.2). Neither empty nor with a zone,
/// which means something to the client alone (RFC 6874, 4).
pub(crate) fn is_host(value: &[u8]) -> bool {
    let (name_is_sound, port) = if let Some(bracketed) = value.strip_prefix(b"[") {
        let Some(end) = bracketed.iter().position(|&byte| byte == b']') else {
            return false;
        };
        (is_address(&bracketed[..end]), &bracketed[end + 1..])
    } else {
        let end = value
            .iter()
            .position(|&byte| byte == b':')
            .unwrap_or(value.len());
        let name = &value[..end];
        (
            !name.is_empty()
                && name
                    .iter()
                    .all(|&byte| NAME_BYTES[usize::from(byte)] || byte == b'%'),
            &value[end..],
        )
    };
    let port_is_sound = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    name_is_sound && port_is_sound
}

/// What stands in brackets: an IPv6 address, or one of a kind to come, `v1.…` (RFC 3986, 3.2.2).
fn is_address(value: &[u8]) -> bool {
    if let [b'v' | b'V', future @ ..] = value {
        let Some(dot) = future.iter().position(|&byte| byte == b'.') else {
            return false;
        };
        let (version, rest) = (&future[..dot], &future[dot + 1..]);
        return !version.is_empty()
            && version.iter().all(u8::is_ascii_hexdigit)
            && !rest.is_empty()
            && rest
                .iter()
                .all(|&byte| NAME_BYTES[usize::from(byte)] || byte == b':');
    }
    !value.is_empty()
        && value
            .iter()
            .all(|byte| byte.is_ascii_hexdigit() || b":.".contains(byte))
}

/// Which bytes are unreserved, or delimiters that have no meaning in an authority. A table: each request has a name to be looked at.
static NAME_BYTES: [bool; 256] = {
    let mut are_fit = [false; 256];
    let mut byte = 0;
    while byte < are_fit.len() {
        are_fit[byte] = (byte as u8).is_ascii_alphanumeric()
            || matches!(
                byte as u8,
                b'-' | b'.'
                    | b'_'
                    | b'~'
                    | b'!'
                    | b'$'
                    | b'&'
                    | b'\''
                    | b'('
                    | b')'
                    | b'*'
                    | b'+'
                    | b';'
                    | b'='
            );
        byte += 1;
    }
    are_fit
};

/// The host of an authority: without its port.
pub(crate) fn without_port(authority: &[u8]) -> &[u8] {
    let is_literal = authority.starts_with(b"[");
    let end = if is_literal {
        authority
            .iter()
            .position(|byte| *byte == b']')
            .map(|at| at + 1)
    } else {
        authority.iter().position(|byte| *byte == b':')
    };
    &authority[..end.unwrap_or(authority.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        for host in [
            "a",
            "a.example:80",
            "127.0.0.1",
            "[::1]:8080",
            "a:",
            "[v1.a:b]",
            "[V1F.x]:80",
            "a%20b",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            "",
            ":80",
            "a b",
            "a:b",
            "a:123456",
            "user@a",
            "a/b",
            "a,b",
            "[::1",
            "[]",
            "[::1]x",
            "::1",
            "a\t",
            "[fe80::1%25eth0]:8080",
            "[fe80::1%eth0]",
            "[v1]",
            "[v.a]",
            "[v1.]",
            "[vg.a]",
            "[v1.a/b]",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }
}
