//! What a scraper asks of the text.

use std::collections::BTreeSet;

/// Asserts what a scraper asks of the text: each family once, HELP then TYPE then its samples alone,
/// counters named `_total`, values that are numbers, buckets that never fall and end in the count.
#[track_caller]
pub(super) fn valid(text: &str) {
    assert!(text.ends_with('\n'));
    let mut families = BTreeSet::new();
    let mut lines = text.lines().peekable();
    while let Some(help) = lines.next() {
        let (name, _) = help
            .strip_prefix("# HELP ")
            .and_then(|rest| rest.split_once(' '))
            .expect(help);
        assert!(families.insert(name.to_owned()), "{name} twice");
        let kind = lines
            .next()
            .and_then(|line| line.strip_prefix("# TYPE ")?.strip_prefix(name))
            .expect(help);
        let kind = kind.trim_start();
        assert!(
            ["gauge", "counter", "histogram"].contains(&kind),
            "{name}: {kind}"
        );
        assert!(kind != "counter" || name.ends_with("_total"), "{name}");
        let mut samples = Vec::new();
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            samples.push(sample(line));
        }
        assert!(!samples.is_empty(), "{name} has no sample");
        if kind == "histogram" {
            histogram_is_valid(name, &samples);
        } else {
            assert!(
                samples.iter().all(|(sample, ..)| sample == name),
                "{name}: {samples:?}"
            );
            let labels: BTreeSet<_> = samples.iter().map(|(_, labels, _)| labels).collect();
            assert_eq!(labels.len(), samples.len(), "{name} has a sample twice");
        }
    }
}

/// Name, labels with their quotes, value.
#[track_caller]
fn sample(line: &str) -> (String, String, f64) {
    let (series, value) = line.rsplit_once(' ').expect(line);
    let (name, labels) = series
        .split_once('{')
        .map_or((series, ""), |(name, labels)| {
            (name, labels.strip_suffix('}').expect(line))
        });
    assert!(
        name.bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
        "{line}"
    );
    (
        name.to_owned(),
        labels.to_owned(),
        value.parse().expect(line),
    )
}

#[track_caller]
fn histogram_is_valid(name: &str, samples: &[(String, String, f64)]) {
    let (buckets, rest) = samples.split_at(samples.len() - 2);
    assert!(
        buckets
            .iter()
            .all(|(sample, ..)| *sample == format!("{name}_bucket")),
        "{buckets:?}"
    );
    assert!(buckets.is_sorted_by(|a, b| a.2 <= b.2), "{buckets:?}");
    let last = buckets.last().expect("a bucket");
    assert_eq!(last.1, "le=\"+Inf\"");
    assert_eq!(rest[0].0, format!("{name}_sum"));
    assert_eq!((&rest[1].0, rest[1].2), (&format!("{name}_count"), last.2));
}
