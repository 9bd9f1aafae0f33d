//! An answer to a scraper: what is counted, in the format that it asks for.

use axum::{
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};

use crate::outlook::{
    metrics::openmetrics,
    scrapes::{Format, Scrapes},
    snapshot::Snapshot,
};

/// What `look` shows, or what was told a moment ago: as OpenMetrics if `headers` prefer it, else as Prometheus text.
pub(super) fn answer(
    headers: &HeaderMap,
    scrapes: &Scrapes,
    look: impl FnOnce() -> Snapshot,
) -> Response {
    let (kind, format) = if wants_openmetrics(headers) {
        (openmetrics::TYPE, Format::OpenMetrics)
    } else {
        (prometheus::TEXT_FORMAT, Format::Prometheus)
    };
    ([(header::CONTENT_TYPE, kind)], scrapes.text(format, look)).into_response()
}

/// Whether `Accept` names OpenMetrics, in a version that is spoken here, and nothing plainer that it likes better. Who takes anything gets the text that
/// everybody can read.
fn wants_openmetrics(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT).iter();
    let ranges = lines.filter_map(|line| line.to_str().ok());
    let (mut open, mut plain) = (0.0, 0.0);
    for range in ranges.flat_map(|line| line.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        let (mut quality, mut is_spoken) = (1.0_f32, true);
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name.trim().to_ascii_lowercase().as_str() {
                "q" => quality = value.trim().parse().unwrap_or(0.0),
                "version" => is_spoken = matches!(value.trim(), "1.0.0" | "0.0.1"),
                _ => {}
            }
        }
        if media.eq_ignore_ascii_case("application/openmetrics-text") && is_spoken {
            open = quality.max(open);
        } else if media.eq_ignore_ascii_case("text/plain") {
            plain = quality.max(plain);
        }
    }
    open > 0.0 && open >= plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_is_for_those_who_ask_for_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
            application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,\
            text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, wanted) in [
            (&["application/openmetrics-text"][..], true),
            (
                &["Application/OpenMetrics-Text; Version=1.0.0; Q=0.1"],
                true,
            ),
            (&[prometheus], true),
            (&["text/html", "application/openmetrics-text"], true),
            (&[], false),
            (&["*/*"], false),
            (&["text/plain"], false),
            (&["application/openmetrics-text;version=2.0.0"], false),
            (&["application/openmetrics-text;q=0"], false),
            (&["application/openmetrics-text;q=0.3, text/plain"], false),
            (&["application/openmetrics-text;q=x"], false),
        ] {
            let mut headers = HeaderMap::new();
            for line in accept {
                headers.append(header::ACCEPT, line.parse().unwrap());
            }
            assert_eq!(wants_openmetrics(&headers), wanted, "{accept:?}");
        }
    }
}
