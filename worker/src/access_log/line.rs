//! A request in one line.
//!
//! Whatever comes from a client is escaped, so that it ends no line, no string and no field: nobody forges an entry. Of the path
//! what follows `?` is left out, and of the `Referer` too: tokens and passwords stand there. No other field of the request is told but, in
//! `combined`, `User-Agent`.

use std::{io::Write as _, time::Duration};

use tpp::spans::Version;

use crate::hex;

/// A request, as it is told.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Line<'a> {
    /// When it came, milliseconds since 1970.
    pub(crate) at: u64,
    pub(crate) request_id: &'a [u8],
    /// Of its `traceparent`.
    pub(crate) trace_id: Option<&'a [u8]>,
    /// Its virtual host.
    pub(crate) proxy_name: Option<&'a str>,
    /// What it asks; `None`: that could not be read.
    pub(crate) asked: Option<Asked<'a>>,
    /// Whether it came by TLS.
    pub(crate) tls: bool,
    pub(crate) client: &'a str,
    pub(crate) status: u16,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    /// Of those the answer's head.
    pub(crate) head_out: u64,
    pub(crate) token_wait: Duration,
    pub(crate) queue_wait: Duration,
    pub(crate) upstream: Duration,
    /// All the rest.
    pub(crate) proxy: Duration,
    pub(crate) backend: Option<&'a str>,
    pub(crate) attempts: u32,
    pub(crate) circuit: Option<&'a str>,
    pub(crate) concurrent: u64,
    pub(crate) end: &'a str,
}

/// What a request asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a [u8],
    /// Path and query.
    pub(crate) target: &'a [u8],
    pub(crate) version: Version,
}

/// What only `combined` tells.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Told<'a> {
    pub(crate) referer: Option<&'a [u8]>,
    pub(crate) user_agent: Option<&'a [u8]>,
}

/// A second of a day in both notations, made once for all requests of that second.
#[derive(Debug, Default)]
pub(crate) struct Day {
    second: Option<u64>,
    /// `2026-11-26T03:40:12`
    iso: Vec<u8>,
    /// `26/Nov/2026:03:40:12 +0000`
    common: Vec<u8>,
}

impl Day {
    fn at(&mut self, second: u64) -> &Self {
        if self.second != Some(second) {
            self.second = Some(second);
            let (year, month, day) = date(second / 86_400);
            let (hour, minute, second) = (second / 3600 % 24, second / 60 % 60, second % 60);
            self.iso.clear();
            self.common.clear();
            // Writing to a buffer that grows cannot fail.
            let _ = write!(
                self.iso,
                "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
            );
            let name = &MONTHS[3 * (month as usize - 1)..][..3];
            let _ = write!(
                self.common,
                "{day:02}/{name}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000"
            );
        }
        self
    }
}

const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";

/// Year, month and day of so many days after 1970-01-01. Years that begin in March end with their leap day.
fn date(days: u64) -> (u64, u64, u64) {
    // From 0000-03-01 on, in spans of 400 years.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = 400 * era + year + u64::from(month <= 2);
    (year, month, day)
}

/// What the fields of a line take at the most beside what is told of the request: names, numbers and what stands between them.
const FRAME: usize = 768;

impl Line<'_> {
    /// Appends it as one JSON object.
    ///
    /// Each name is a constant of known length, which is a few stores where a copy of any length is a call; what is behind it is written by a
    /// function that all names share, so that its code is at hand: a request meets cold caches, and there are twenty names.
    pub(crate) fn put_json(&self, day: &mut Day, out: &mut Vec<u8>) {
        let asked = self.asked.as_ref();
        let path = asked.map(|asked| path(asked.target));
        out.reserve(FRAME + path.map_or(0, <[u8]>::len));
        out.extend_from_slice(b"{\"time\":\"");
        out.extend_from_slice(&day.at(self.at / 1000).iso);
        out.push(b'.');
        put_three((self.at % 1000) as u16, out);
        out.extend_from_slice(b"Z\"");
        put_text(b",\"request_id\":", Some(self.request_id), out);
        put_text(b",\"trace_id\":", self.trace_id, out);
        let proxy_name = self.proxy_name.map(str::as_bytes);
        put_text(b",\"proxy_name\":", proxy_name, out);
        put_text(b",\"method\":", asked.map(|asked| asked.method), out);
        put_text(b",\"path\":", path, out);
        let protocol = asked.map(|asked| asked.version.word().as_bytes());
        put_text(b",\"protocol\":", protocol, out);
        if self.tls {
            out.extend_from_slice(b",\"tls\":true");
        } else {
            out.extend_from_slice(b",\"tls\":false");
        }
        put_text(b",\"client\":", Some(self.client.as_bytes()), out);
        put_number(b",\"status_code\":", self.status.into(), out);
        put_number(b",\"bytes_in\":", self.bytes_in, out);
        put_number(b",\"bytes_out\":", self.bytes_out, out);
        put_millis(b",\"token_wait_ms\":", self.token_wait, out);
        put_millis(b",\"queue_wait_ms\":", self.queue_wait, out);
        put_millis(b",\"upstream_latency_ms\":", self.upstream, out);
        put_millis(b",\"proxy_latency_ms\":", self.proxy, out);
        put_text(b",\"backend\":", self.backend.map(str::as_bytes), out);
        put_number(b",\"attempts\":", self.attempts.into(), out);
        let circuit = self.circuit.map(str::as_bytes);
        put_text(b",\"circuit_state\":", circuit, out);
        put_number(b",\"concurrent_count\":", self.concurrent, out);
        put_text(b",\"end\":", Some(self.end.as_bytes()), out);
        out.extend_from_slice(b"}\n");
    }

    /// Appends it as Apache's and nginx's `combined` has it, which also tells two fields of the request.
    pub(crate) fn put_combined(&self, told: &Told<'_>, day: &mut Day, out: &mut Vec<u8>) {
        put_plainly(self.client.as_bytes(), out);
        out.extend_from_slice(b" - - [");
        out.extend_from_slice(&day.at(self.at / 1000).common);
        out.extend_from_slice(b"] \"");
        if let Some(asked) = &self.asked {
            put_plainly(asked.method, out);
            out.push(b' ');
            put_plainly(path(asked.target), out);
            out.push(b' ');
            put_plainly(asked.version.word().as_bytes(), out);
        } else {
            out.push(b'-');
        }
        out.extend_from_slice(b"\" ");
        put_three(self.status, out);
        out.push(b' ');
        put_digits(self.bytes_out.saturating_sub(self.head_out), out);
        for field in [told.referer.map(path), told.user_agent] {
            out.extend_from_slice(b" \"");
            put_plainly(field.unwrap_or(b"-"), out);
            out.push(b'"');
        }
        out.push(b'\n');
    }
}

/// What stands before the query.
pub(crate) fn path(target: &[u8]) -> &[u8] {
    let end = memchr::memchr2(b'?', b'#', target);
    &target[..end.unwrap_or(target.len())]
}

#[inline]
fn put_text<const N: usize>(name: &[u8; N], text: Option<&[u8]>, out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    put_string(text, out);
}

#[inline(never)]
fn put_string(text: Option<&[u8]>, out: &mut Vec<u8>) {
    let Some(text) = text else {
        out.extend_from_slice(b"null");
        return;
    };
    out.push(b'"');
    escape(text, out, |byte, out| {
        out.extend_from_slice(b"\\u00");
        out.extend_from_slice(&hex::of_byte(byte));
    });
    out.push(b'"');
}

fn put_plainly(text: &[u8], out: &mut Vec<u8>) {
    escape(text, out, |byte, out| {
        out.extend_from_slice(b"\\x");
        out.extend_from_slice(&hex::of_byte(byte));
    });
}

/// Appends `text`; what is not printable ASCII, a quote or a backslash, as `otherwise` has it.
fn escape(text: &[u8], out: &mut Vec<u8>, otherwise: impl Fn(u8, &mut Vec<u8>)) {
    let is_harmless = |byte: u8| matches!(byte, b' '..=b'~') & (byte != b'"') & (byte != b'\\');
    // All are looked at, whatever the first ones are: many at once, then.
    if text.iter().fold(true, |all, &byte| all & is_harmless(byte)) {
        out.extend_from_slice(text);
        return;
    }
    for &byte in text {
        if is_harmless(byte) {
            out.push(byte);
        } else {
            otherwise(byte, out);
        }
    }
}

#[inline]
fn put_number<const N: usize>(name: &[u8; N], number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    put_digits(number, out);
}

#[inline]
fn put_millis<const N: usize>(name: &[u8; N], time: Duration, out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    if time.is_zero() {
        // Hardly anybody waits.
        out.extend_from_slice(b"0.000");
    } else {
        put_time(time, out);
    }
}

/// In milliseconds, to the microsecond.
#[inline(never)]
fn put_time(time: Duration, out: &mut Vec<u8>) {
    let micros = time.as_secs().saturating_mul(1_000_000);
    let micros = micros.saturating_add(time.subsec_micros().into());
    put_digits(micros / 1000, out);
    out.push(b'.');
    put_three((micros % 1000) as u16, out);
}

#[inline(never)]
fn put_digits(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// The last three digits.
fn put_three(number: u16, out: &mut Vec<u8>) {
    let digit = |power: u16| b'0' + (number / power % 10) as u8;
    out.extend_from_slice(&[digit(100), digit(10), digit(1)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line<'static> {
        Line {
            at: 1_795_664_412_045,
            request_id: b"id-1",
            trace_id: Some(b"4bf92f3577b34da6a3ce929d0e0e4736"),
            proxy_name: Some("default"),
            asked: Some(Asked {
                method: b"GET",
                target: b"/a?password=secret",
                version: Version::Http11,
            }),
            tls: false,
            client: "192.0.2.1",
            status: 200,
            bytes_in: 1,
            bytes_out: 12_345,
            head_out: 45,
            token_wait: Duration::from_micros(1_002_003),
            queue_wait: Duration::ZERO,
            upstream: Duration::from_nanos(1_500),
            proxy: Duration::from_millis(3),
            backend: Some("a"),
            attempts: 2,
            circuit: None,
            concurrent: 7,
            end: "complete",
        }
    }

    fn json(line: &Line<'_>) -> String {
        let mut out = Vec::new();
        line.put_json(&mut Day::default(), &mut out);
        String::from_utf8(out).unwrap()
    }

    const TOLD: Told<'_> = Told {
        referer: Some(b"http://a.example/b?token=secret"),
        user_agent: Some(b"curl/8"),
    };

    fn combined(line: &Line<'_>, told: &Told<'_>) -> String {
        let mut out = Vec::new();
        line.put_combined(told, &mut Day::default(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_of_json_has_each_field_by_its_name() {
        let said = json(&line());
        assert_eq!(
            said,
            "{\"time\":\"2026-11-26T03:40:12.045Z\",\"request_id\":\"id-1\",\
             \"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"proxy_name\":\"default\",\"method\":\"GET\",\
             \"path\":\"/a\",\"protocol\":\"HTTP/1.1\",\"tls\":false,\"client\":\"192.0.2.1\",\"status_code\":200,\
             \"bytes_in\":1,\"bytes_out\":12345,\"token_wait_ms\":1002.003,\"queue_wait_ms\":0.000,\
             \"upstream_latency_ms\":0.001,\"proxy_latency_ms\":3.000,\"backend\":\"a\",\"attempts\":2,\
             \"circuit_state\":null,\"concurrent_count\":7,\"end\":\"complete\"}\n"
        );
        serde_json::from_str::<serde_json::Value>(&said).unwrap();
    }

    #[test]
    fn a_combined_line_is_as_other_servers_have_it() {
        assert_eq!(
            combined(&line(), &TOLD),
            "192.0.2.1 - - [26/Nov/2026:03:40:12 +0000] \"GET /a HTTP/1.1\" 200 12300 \"http://a.example/b\" \"curl/8\"\n"
        );
        let unread = Line {
            asked: None,
            status: 400,
            ..line()
        };
        assert_eq!(
            combined(&unread, &Told::default()),
            "192.0.2.1 - - [26/Nov/2026:03:40:12 +0000] \"-\" 400 12300 \"-\" \"-\"\n"
        );
    }

    #[test]
    fn no_byte_of_a_clients_ends_a_line_a_string_or_a_field() {
        for byte in 0..=u8::MAX {
            let odd = [b'/', byte, b'x'];
            let mut forged = line();
            forged.asked = forged.asked.map(|asked| Asked {
                target: &odd,
                ..asked
            });
            let told = Told {
                user_agent: Some(&odd),
                ..TOLD
            };
            let (json, combined) = (json(&forged), combined(&forged, &told));
            let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
            let seen = parsed["path"].as_str().unwrap();
            let shown: String = path(&odd).iter().map(|byte| char::from(*byte)).collect();
            assert_eq!(seen, shown, "{byte}");
            for text in [&json, &combined] {
                assert_eq!(text.matches('\n').count(), 1, "{byte}");
                assert!(text.ends_with('\n') && text.is_ascii(), "{byte}");
            }
            assert_eq!(combined.matches('"').count(), 6, "{byte}");
        }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        let iso = |second| String::from_utf8(Day::default().at(second).iso.clone()).unwrap();
        for (second, text) in [
            (0, "1970-01-01T00:00:00"),
            (951_782_400, "2000-02-29T00:00:00"),
            (951_868_799, "2000-02-29T23:59:59"),
            (951_868_800, "2000-03-01T00:00:00"),
            (1_735_689_599, "2024-12-31T23:59:59"),
            (4_107_542_400, "2100-03-01T00:00:00"),
        ] {
            assert_eq!(iso(second), text);
        }
        let mut day = Day::default();
        assert_ne!(day.at(1).iso.clone(), day.at(2).iso.clone());
    }
}
