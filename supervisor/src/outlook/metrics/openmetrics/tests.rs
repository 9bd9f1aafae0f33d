use std::{collections::BTreeMap, sync::Arc};

use super::*;
use crate::outlook::{metrics, snapshot::examples};

/// Suffix, labels, value.
type Sample = (String, Vec<(String, String)>, f64);

/// A family as a strict reader has it.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    unit: Option<String>,
    has_help: bool,
    samples: Vec<Sample>,
}

/// Reads OpenMetrics as its specification has it (OpenMetrics 1.0, "ABNF" and "Overall Structure"), and stops at what it forbids.
#[track_caller]
fn read(text: &str) -> BTreeMap<String, Family> {
    let body = text.strip_suffix("# EOF\n").expect("an end");
    assert!(!body.contains("\n# EOF"), "one end");
    let mut families = BTreeMap::<String, Family>::new();
    let mut current: Option<String> = None;
    for line in body.lines() {
        assert!(!line.is_empty(), "no empty lines");
        let Some(described) = line.strip_prefix("# ") else {
            let name = current.as_ref().expect("a sample belongs to a family");
            let family = families.get_mut(name).unwrap();
            family.samples.push(sample(line, name));
            continue;
        };
        let mut words = described.splitn(3, ' ');
        let (what, name, rest) = (
            words.next().unwrap(),
            words.next().expect(line),
            words.next().expect(line),
        );
        if current.as_deref() != Some(name) {
            assert!(!families.contains_key(name), "{name} is interleaved");
            current = Some(name.to_owned());
        }
        let family = families.entry(name.to_owned()).or_default();
        assert!(family.samples.is_empty(), "{name}: described after samples");
        match what {
            "TYPE" => {
                assert!(family.kind.is_empty(), "{name}: one type");
                assert!(["counter", "gauge", "histogram"].contains(&rest), "{line}");
                rest.clone_into(&mut family.kind);
            }
            "UNIT" => {
                assert!(name.ends_with(&format!("_{rest}")), "{line}");
                family.unit = Some(rest.to_owned());
            }
            "HELP" => family.has_help = true,
            other => panic!("{other} is no descriptor"),
        }
    }
    families
}

#[track_caller]
fn sample(line: &str, family: &str) -> (String, Vec<(String, String)>, f64) {
    let (series, value) = line.rsplit_once(' ').expect(line);
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let suffix = name.strip_prefix(family).expect(line).to_owned();
    let mut rest = labels.strip_suffix('}').expect(line);
    let mut read = Vec::new();
    while !rest.is_empty() {
        let (label, after) = rest.split_once("=\"").expect(line);
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next().expect(line) {
                (at, '"') => break at,
                (_, '\\') => value.push(match chars.next().expect(line).1 {
                    'n' => '\n',
                    escaped => escaped,
                }),
                (_, plain) => value.push(plain),
            }
        };
        assert!(
            read.iter().all(|(known, _)| known != label),
            "{label} twice"
        );
        read.push((label.to_owned(), value));
        rest = &after[end + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    (suffix, read, value.parse().expect(line))
}

#[track_caller]
fn valid(text: &str) -> BTreeMap<String, Family> {
    let families = read(text);
    for (name, family) in &families {
        assert!(family.has_help && !family.samples.is_empty(), "{name}");
        for ending in ["_count", "_sum", "_bucket", "_created"] {
            assert!(!name.ends_with(ending), "{name}");
        }
        // What two families would both call a sample.
        let suffixes: &[&str] = match family.kind.as_str() {
            "counter" => &["_total", "_created"],
            "histogram" => &["_bucket", "_count", "_sum", "_created"],
            _ => &[],
        };
        for suffix in suffixes {
            assert!(
                !families.contains_key(&format!("{name}{suffix}")),
                "{name}{suffix}"
            );
        }
        let needs_unit = UNITS.iter().any(|unit| name.ends_with(unit));
        assert_eq!(needs_unit, family.unit.is_some(), "{name}");
        match family.kind.as_str() {
            "counter" => assert!(
                family
                    .samples
                    .iter()
                    .all(|(suffix, _, value)| suffix == "_total" && *value >= 0.0),
                "{name}"
            ),
            "histogram" => family
                .samples
                .chunk_by(|a, b| without_bound(&a.1) == without_bound(&b.1))
                .for_each(|one| histogram_is_valid(name, one)),
            _ => assert!(
                family.samples.iter().all(|(suffix, ..)| suffix.is_empty()),
                "{name}"
            ),
        }
    }
    families
}

fn without_bound(labels: &[(String, String)]) -> Vec<&(String, String)> {
    labels.iter().filter(|(name, _)| name != "le").collect()
}

#[track_caller]
fn histogram_is_valid(name: &str, samples: &[Sample]) {
    let (buckets, rest) = samples.split_at(samples.len() - 2);
    let bounds: Vec<&str> = buckets
        .iter()
        .map(|(suffix, labels, _)| {
            assert_eq!(suffix, "_bucket", "{name}");
            let bound = labels.iter().find(|(label, _)| label == "le");
            bound.expect("each bucket has a bound").1.as_str()
        })
        .collect();
    assert_eq!(bounds.last(), Some(&"+Inf"), "{name}");
    assert!(
        bounds.iter().all(|bound| bound.contains(['.', 'I'])),
        "{name}: {bounds:?}"
    );
    let numbers: Vec<f64> = bounds.iter().map(|bound| bound.parse().unwrap()).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{name}");
    assert!(buckets.is_sorted_by(|a, b| a.2 <= b.2), "{name}");
    assert_eq!((rest[0].0.as_str(), rest[1].0.as_str()), ("_count", "_sum"));
    assert_eq!(rest[0].2, buckets.last().unwrap().2, "{name}");
}

#[test]
fn a_strict_reader_finds_every_sample_of_the_plain_text() {
    let mut snapshot = examples::snapshot(150, 200);
    snapshot.numbers.totals.acquisition_wait.buckets[8] = 3;
    snapshot.numbers.totals.requests = 123_456;
    let families = metrics::families(&snapshot);
    let plain = metrics::text(&families);
    let open = valid(&render(&families));
    let samples = open.values().map(|family| family.samples.len());
    let plain_samples = plain.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(samples.sum::<usize>(), plain_samples);
    assert_eq!(open["tpp_requests"].kind, "counter");
    assert_eq!(open["tpp_requests"].samples[0].2, 123_456.0);
    // Its name is a promise that is older than this format.
    assert_eq!(open["tpp_tokens_total"].kind, "gauge");
    let wait = &open["tpp_acquisition_wait_seconds"];
    assert_eq!(wait.unit.as_deref(), Some("seconds"));
    let one = wait
        .samples
        .iter()
        .find(|(_, labels, _)| labels.iter().any(|(_, bound)| bound == "1.0"));
    assert_eq!(one.expect("a bound of one second").2, 3.0);
}

#[test]
fn nothing_breaks_out_of_its_label() {
    let odd = "1\"\\\n# EOF";
    let mut snapshot = examples::snapshot(1, 1);
    Arc::make_mut(&mut snapshot.details).identity.version = odd.into();
    let open = valid(&render(&metrics::families(&snapshot)));
    let labels = &open["tpp_build_info"].samples[0].1;
    assert_eq!(labels, &[("version".to_owned(), odd.to_owned())]);
}
