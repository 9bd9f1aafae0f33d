//! The certificates in the whole picture: a line for each.

use tpp::control::CertificateStatus;

use super::{
    Tone,
    text::{span, visible},
};

/// From so long before its end on a certificate is worth a look, seconds.
const SOON: u64 = 21 * 24 * 3600;

/// A line for each of them at `now`, Unix seconds: until when it is good, for whom it is, and what is wrong.
pub(super) fn lines(
    certificates: &[CertificateStatus],
    now: u64,
) -> impl Iterator<Item = (&'static str, String, Tone)> {
    certificates.iter().enumerate().map(move |(at, one)| {
        let end = u64::try_from(one.not_after).unwrap_or(0);
        let (until, mut tone) = match end.checked_sub(now) {
            None => ("expired".to_owned(), Tone::Bad),
            Some(left) if left <= SOON => (format!("expires in {}", span(left)), Tone::Warning),
            Some(left) => (format!("good for {}", span(left)), Tone::Plain),
        };
        let hosts = visible(&one.hosts.join(", ")).into_owned();
        let mut line = format!("{}: {until}; {hosts}", visible(&one.name));
        if let Some(error) = &one.error {
            line.push_str(&format!("; an older one, for {}", visible(error)));
            tone = Tone::Bad;
        }
        (if at == 0 { "tls" } else { "" }, line, tone)
    })
}
