//! The certificates in the whole picture: a line for each.

use tpp::control::{CertificateStatus, Renewal};

use super::{
    Tone,
    text::{counted, span, visible},
};

/// From so long before its end on a certificate is worth a look, seconds.
const SOON: u64 = 21 * 24 * 3600;

/// A line for each of them at `now`, Unix seconds: until when it is good, for whom it is, and what is wrong.
pub(super) fn lines(
    certificates: &[CertificateStatus],
    now: u64,
) -> impl Iterator<Item = (&'static str, String, Tone)> {
    certificates.iter().enumerate().map(move |(at, one)| {
        let (until, mut tone) = good_until(one, now);
        let hosts = visible(&one.hosts.join(", ")).into_owned();
        let mut line = format!("{}: {until}; {hosts}", visible(&one.name));
        if let Some(error) = &one.error {
            line.push_str(&format!("; an older one, for {}", visible(error)));
            tone = Tone::Bad;
        }
        if let Some(renewal) = &one.renewal {
            line.push_str(&how_it_stands(renewal, now));
            if renewal.error.is_some() {
                tone = Tone::Bad;
            }
        }
        (if at == 0 { "tls" } else { "" }, line, tone)
    })
}

fn good_until(one: &CertificateStatus, now: u64) -> (String, Tone) {
    if one.not_after == 0 && one.renewal.is_some() {
        return ("none yet".to_owned(), Tone::Warning);
    }
    let end = u64::try_from(one.not_after).unwrap_or(0);
    match end.checked_sub(now) {
        None => ("expired".to_owned(), Tone::Bad),
        // One that is renewed in time needs nobody's look.
        Some(left) if left <= SOON && one.renewal.is_none() => {
            (format!("expires in {}", span(left)), Tone::Warning)
        }
        Some(left) => (format!("good for {}", span(left)), Tone::Plain),
    }
}

/// What tpp does for it.
fn how_it_stands(renewal: &Renewal, now: u64) -> String {
    let mut line = match renewal.next_at.saturating_sub(now) {
        _ if renewal.state == "ordering" => "; being ordered".to_owned(),
        0 => "; ordered now".to_owned(),
        left => format!("; ordered in {}", span(left)),
    };
    if let Some(error) = &renewal.error {
        if renewal.failures > 0 {
            line.push_str(&format!(
                ", after {}",
                counted(renewal.failures.into(), "failure")
            ));
        }
        line.push_str(&format!(": {}", visible(error)));
    }
    line
}
