//! What a head says under a name that the configuration gives: a field, or a cookie.

use crate::message::head::Head;

impl Head {
    /// The first field of this name.
    pub(crate) fn named(&self, name: &[u8]) -> Option<&[u8]> {
        let mut lines = self.lines().iter();
        lines
            .find(|line| self.text(line.name).eq_ignore_ascii_case(name))
            .map(|line| self.text(line.value))
    }

    /// The first cookie of this name (RFC 6265, 4.2.1), without the quotes that may stand around its value.
    pub(crate) fn cookie(&self, name: &[u8]) -> Option<&[u8]> {
        let fields = self.lines().iter();
        let fields = fields.filter(|line| self.text(line.name).eq_ignore_ascii_case(b"cookie"));
        let pairs = fields.flat_map(|line| self.text(line.value).split(|byte| *byte == b';'));
        let mut named = pairs.filter_map(|pair| {
            let pair = pair.trim_ascii();
            let value = pair.strip_prefix(name)?.strip_prefix(b"=")?;
            let bare = value
                .strip_prefix(b"\"")
                .and_then(|value| value.strip_suffix(b"\""));
            Some(bare.unwrap_or(value))
        });
        named.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::request;

    fn head(fields: &str) -> Head {
        let mut head = Head::default();
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        request::read(text.as_bytes(), &mut head).unwrap().unwrap();
        head
    }

    #[test]
    fn a_cookie_is_found_among_others_and_only_by_its_whole_name() {
        let head = head("Cookie: ab=1; b=\"2\";c=3\r\nCookie: d=4\r\nX-Key: k\r\n");
        for (name, value) in [
            ("ab", Some("1")),
            ("b", Some("2")),
            ("c", Some("3")),
            ("d", Some("4")),
            ("a", None),
            ("", None),
        ] {
            assert_eq!(
                head.cookie(name.as_bytes()),
                value.map(str::as_bytes),
                "{name}"
            );
        }
        assert_eq!(head.named(b"x-key"), Some(&b"k"[..]));
        assert_eq!(head.named(b"x-other"), None);
    }
}
