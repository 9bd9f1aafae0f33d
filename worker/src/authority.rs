//! What may stand as a host: in `Host`, and in a request target.

/// Whether `value` is a name or an address, and perhaps a port.
pub(crate) fn is_host(value: &[u8]) -> bool {
    let (name_is_sound, port) = if value.starts_with(b"[") {
        let Some(end) = value.iter().position(|&byte| byte == b']') else {
            return false;
        };
        let address = &value[1..end];
        let sound = !address.is_empty() && address.iter().all(|byte| byte.is_ascii_hexdigit() || b":.%".contains(byte));
        (sound, &value[end + 1..])
    } else {
        let end = value.iter().position(|&byte| byte == b':').unwrap_or(value.len());
        let name = &value[..end];
        let sound =
            !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=%".contains(byte));
        (sound, &value[end..])
    };
    let port_is_sound = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    name_is_sound && port_is_sound
}

/// The target without scheme and authority, if it has them: what an origin server is asked for.
pub(crate) fn origin_form(target: &[u8]) -> Option<&[u8]> {
    if target.starts_with(b"/") || target == b"*" {
        return None;
    }
    let scheme_ends = target.windows(3).position(|window| window == b"://")? + 3;
    let rest = &target[scheme_ends..];
    match rest.iter().position(|byte| b"/?".contains(byte)) {
        Some(path) if rest[path] == b'/' => Some(&rest[path..]),
        // A query without a path is left to the upstream's own reading.
        Some(_) => None,
        None => Some(b"/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        for host in ["a", "a.example:80", "127.0.0.1", "[::1]:8080", "[fe80::1%25eth0]", "a:"] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in ["", ":80", "a b", "a:b", "a:123456", "user@a", "a/b", "a,b", "[::1", "[]", "[::1]x", "::1", "a\t"] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn an_absolute_target_is_cut_down_to_its_path() {
        assert_eq!(origin_form(b"http://a:1/b?c"), Some(&b"/b?c"[..]));
        assert_eq!(origin_form(b"http://a"), Some(&b"/"[..]));
        for target in ["/b?c=http://d/", "*", "a:1"] {
            assert_eq!(origin_form(target.as_bytes()), None, "{target}");
        }
    }
}
