//! What pools have done, with rates, and how long waits and answers took.

use tpp::control::{PoolReport, TimesReport};

use super::{
    Page, Tone,
    table::{Kind, Row, Table},
    text::{grouped, span, visible},
};

/// A paragraph for each pool.
pub(crate) fn report(pools: &[PoolReport], page: Page) -> String {
    if pools.is_empty() {
        return "no pools\n".into();
    }
    let paragraphs: Vec<_> = pools.iter().map(|pool| paragraph(pool, page)).collect();
    paragraphs.join("\n")
}

/// A line for each thing that took its time; nothing, if there is none.
pub(crate) fn times(times: &[TimesReport], page: Page) -> String {
    if times.is_empty() {
        return String::new();
    }
    let columns = [
        ("TOOK", Kind::Elastic),
        ("COUNT", Kind::Number),
        ("MEAN", Kind::Number),
        ("9 IN 10 WITHIN", Kind::Number),
    ];
    let rows = times.iter().map(|one| Row {
        cells: [
            visible(&one.took.to_string()).into_owned().into(),
            grouped(one.count).into(),
            format!("{:.1} ms", one.mean_ms).into(),
            one.p90_ms
                .map_or_else(|| "-".to_owned(), |time| format!("{time} ms"))
                .into(),
        ],
        note: None,
    });
    let rows = rows.collect();
    format!("\n{}", Table { columns, rows }.render(page))
}

fn paragraph(pool: &PoolReport, page: Page) -> String {
    let (name, provider) = (visible(&pool.name), visible(&pool.provider));
    let title = format!("pool {name}, provider {provider}");
    let over = span(pool.seconds as u64);
    let mut text = format!("{}, over {over}\n", page.paint(&title, Tone::Heading));
    for (label, value, tone) in lines(pool) {
        let label = page.paint(&format!("  {label:11}"), Tone::Faint);
        text += &format!("{label}{}\n", page.paint(&value, tone));
    }
    text
}

fn lines(pool: &PoolReport) -> [(&'static str, String, Tone); 5] {
    let percent = pool.hit_percent.map_or_else(
        || "no lease yet".to_owned(),
        |percent| format!("{percent:.2} % of leases"),
    );
    let refreshes = pool.refreshes;
    let bad = |count: u64, tone| if count > 0 { tone } else { Tone::Plain };
    let milliseconds = |time: Option<f64>| match time {
        Some(time) => format!("{time:.0} ms"),
        None => "-".to_owned(),
    };
    [
        (
            "hits",
            format!(
                "{}, {:.2}/s, {percent}",
                grouped(pool.hits),
                pool.hits_per_second
            ),
            Tone::Plain,
        ),
        (
            "misses",
            format!("{}, {:.2}/s", grouped(pool.misses), pool.misses_per_second),
            Tone::Plain,
        ),
        (
            "refreshes",
            format!(
                "{} done, {} refused, {} in trouble, {:.1}/h",
                grouped(refreshes.success),
                grouped(refreshes.refused),
                grouped(refreshes.trouble),
                pool.refreshes_per_hour
            ),
            match bad(refreshes.trouble, Tone::Warning) {
                _ if refreshes.refused > 0 => Tone::Bad,
                tone => tone,
            },
        ),
        (
            "each took",
            format!(
                "{} on average, nine in ten within {}",
                milliseconds(pool.refresh_mean_ms),
                milliseconds(pool.refresh_p90_ms)
            ),
            Tone::Plain,
        ),
        ("rests", grouped(pool.rests), bad(pool.rests, Tone::Warning)),
    ]
}

#[cfg(test)]
mod tests {
    use tpp::control::{RefreshCounts, Took};

    use super::*;

    #[test]
    fn what_took_its_time_has_a_line_each() {
        let page = Page {
            width: 80,
            colour: false,
        };
        let wait = TimesReport {
            took: Took::Wait,
            count: 1234,
            mean_ms: 0.3,
            p90_ms: Some(0.1),
        };
        let backend = TimesReport {
            took: Took::Backend {
                proxy: "a.test".to_owned(),
                backend: "one".to_owned(),
            },
            count: 2,
            mean_ms: 12_000.0,
            p90_ms: None,
        };
        let shown = times(&[wait, backend], page);
        let lines: Vec<_> = shown.lines().collect();
        assert_eq!((lines.len(), lines[0]), (4, ""), "{shown}");
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words(lines[2]), "wait for a token 1,234 0.3 ms 0.1 ms");
        assert_eq!(words(lines[3]), "a.test at one 2 12000.0 ms -");
        assert_eq!(times(&[], page), "");
    }

    #[test]
    fn a_report_says_how_much_how_often_and_how_long() {
        let api = PoolReport {
            name: "api".into(),
            provider: "oauth2".into(),
            seconds: 3600.0,
            hits: 36_000,
            hit_percent: Some(99.96),
            hits_per_second: 10.0,
            misses: 14,
            misses_per_second: 0.004,
            refreshes: RefreshCounts {
                success: 2,
                refused: 0,
                trouble: 1,
            },
            refreshes_per_hour: 3.0,
            refresh_mean_ms: Some(41.7),
            refresh_p90_ms: Some(100.0),
            rests: 0,
        };
        let page = Page {
            width: 80,
            colour: false,
        };
        assert_eq!(
            report(&[api, PoolReport::default()], page),
            "\
pool api, provider oauth2, over 1h00m
  hits       36,000, 10.00/s, 99.96 % of leases
  misses     14, 0.00/s
  refreshes  2 done, 0 refused, 1 in trouble, 3.0/h
  each took  42 ms on average, nine in ten within 100 ms
  rests      0

pool , provider , over 0s
  hits       0, 0.00/s, no lease yet
  misses     0, 0.00/s
  refreshes  0 done, 0 refused, 0 in trouble, 0.0/h
  each took  - on average, nine in ten within -
  rests      0
"
        );
        assert_eq!(report(&[], page), "no pools\n");
    }
}
