//! `Retry-After` (RFC 9110, 10.2.3): how long a server asks to be left alone.

use std::time::{Duration, SystemTime};

/// Longer is not believed.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Reads a value: seconds, or a date. A second at least, a day at most; `None`: it is neither.
#[must_use]
pub fn read(value: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?.trim();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let wait = if digits {
        // What is too long for a number is too long to be believed.
        text.parse().map_or(LONGEST, Duration::from_secs)
    } else {
        let until = httpdate::parse_http_date(text).ok()?;
        until.duration_since(SystemTime::now()).unwrap_or_default()
    };
    Some(wait.clamp(Duration::from_secs(1), LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_read_and_bounded() {
        for (value, seconds) in [
            ("7", 7),
            (" 120 ", 120),
            ("0", 1),
            ("999999999999999999999", 86_400),
        ] {
            assert_eq!(
                read(value.as_bytes()),
                Some(Duration::from_secs(seconds)),
                "{value}"
            );
        }
    }

    #[test]
    fn a_date_is_so_far_away_as_it_is() {
        let at = SystemTime::now() + Duration::from_secs(1000);
        let wait = read(httpdate::fmt_http_date(at).as_bytes()).unwrap();
        assert!((900..=1000).contains(&wait.as_secs()), "{wait:?}");
        let past = read(b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(past, Some(Duration::from_secs(1)));
    }

    #[test]
    fn nonsense_is_no_wait() {
        for value in ["", "soon", "-1", "1.5", "7 s", "\u{e9}"] {
            assert_eq!(read(value.as_bytes()), None, "{value}");
        }
        assert_eq!(read(b"\xff"), None);
    }
}
