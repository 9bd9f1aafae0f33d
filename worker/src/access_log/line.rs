//! A request in one line.
//!
//! Whatever comes from a client is escaped, so that it ends no line, no string and no field: nobody forges an entry. Of the path
//! what follows `?` is left out, and of the `Referer` too: tokens and passwords stand there. No other field of the request is told but, in
//! `combined`, `User-Agent`.

use std::time::Duration;

use tpp::spans::Version;

use super::day::Day;
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
        put_plain_text(b"Z\",\"request_id\":", Some(self.request_id), out);
        put_plain_text(b",\"trace_id\":", self.trace_id, out);
        let proxy_name = self.proxy_name.map(str::as_bytes);
        put_text(b",\"proxy_name\":", proxy_name, out);
        // Its bytes are those of a token.
        put_plain_text(b",\"method\":", asked.map(|asked| asked.method), out);
        put_text(b",\"path\":", path, out);
        let protocol = asked.map(|asked| asked.version.word().as_bytes());
        put_plain_text(b",\"protocol\":", protocol, out);
        if self.tls {
            out.extend_from_slice(b",\"tls\":true");
        } else {
            out.extend_from_slice(b",\"tls\":false");
        }
        put_plain_text(b",\"client\":", Some(self.client.as_bytes()), out);
        put_number(b",\"status_code\":", self.status.into(), out);
        put_number(b",\"bytes_in\":", self.bytes_in, out);
        put_number(b",\"bytes_out\":", self.bytes_out, out);
        if self.token_wait.is_zero() && self.queue_wait.is_zero() {
            // Hardly anybody waits.
            out.extend_from_slice(b",\"token_wait_ms\":0.000,\"queue_wait_ms\":0.000");
        } else {
            put_millis(b",\"token_wait_ms\":", self.token_wait, out);
            put_millis(b",\"queue_wait_ms\":", self.queue_wait, out);
        }
        put_millis(b",\"upstream_latency_ms\":", self.upstream, out);
        put_millis(b",\"proxy_latency_ms\":", self.proxy, out);
        put_text(b",\"backend\":", self.backend.map(str::as_bytes), out);
        put_number(b",\"attempts\":", self.attempts.into(), out);
        let circuit = self.circuit.map(str::as_bytes);
        put_plain_text(b",\"circuit_state\":", circuit, out);
        put_number(b",\"concurrent_count\":", self.concurrent, out);
        put_plain_text(b",\"end\":", Some(self.end.as_bytes()), out);
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

/// The same of what holds nothing to be escaped, whoever it comes from.
#[inline]
fn put_plain_text<const N: usize>(name: &[u8; N], text: Option<&[u8]>, out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    put_plain_string(text, out);
}

#[inline(never)]
fn put_plain_string(text: Option<&[u8]>, out: &mut Vec<u8>) {
    put_quoted(text, out, |text, out| out.extend_from_slice(text));
}

#[inline(never)]
fn put_string(text: Option<&[u8]>, out: &mut Vec<u8>) {
    put_quoted(text, out, |text, out| {
        escape(text, out, |byte, out| {
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&hex::of_byte(byte));
        });
    });
}

fn put_quoted(text: Option<&[u8]>, out: &mut Vec<u8>, put: impl Fn(&[u8], &mut Vec<u8>)) {
    let Some(text) = text else {
        out.extend_from_slice(b"null");
        return;
    };
    out.push(b'"');
    put(text, out);
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
    put_time(time, out);
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
}
