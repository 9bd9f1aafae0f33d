//! The same families as OpenMetrics text, version 1.0.0.
//!
//! It differs from Prometheus text in what a strict reader asks: a counter's family is named without `_total`, a unit is
//! said, bounds are written as numbers with a point, and the end is marked, so that a text cut short is seen.

use std::fmt::Write as _;

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

/// Its media type.
pub const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Units that names end in.
const UNITS: [&str; 2] = ["seconds", "bytes"];

/// `families` as text.
#[must_use]
pub fn render(families: &[MetricFamily]) -> String {
    let mut text = String::new();
    for family in families {
        // Writing to a String cannot fail.
        let _ = put_family(family, &mut text);
    }
    text.push_str("# EOF\n");
    text
}

fn put_family(family: &MetricFamily, text: &mut String) -> std::fmt::Result {
    let kind = family.get_field_type();
    let full = family.name();
    let name = match kind {
        MetricType::COUNTER => full.strip_suffix("_total").unwrap_or(full),
        _ => full,
    };
    let word = match kind {
        MetricType::COUNTER => "counter",
        MetricType::GAUGE => "gauge",
        MetricType::HISTOGRAM => "histogram",
        MetricType::SUMMARY => "summary",
        MetricType::UNTYPED => "unknown",
    };
    writeln!(text, "# TYPE {name} {word}")?;
    if let Some(unit) = name.rsplit('_').next().filter(|unit| UNITS.contains(unit)) {
        writeln!(text, "# UNIT {name} {unit}")?;
    }
    writeln!(text, "# HELP {name} {}", escaped(family.help()))?;
    for metric in family.get_metric() {
        let labels = metric.get_label();
        match kind {
            MetricType::COUNTER => {
                let value = metric.get_counter().get_value();
                put_sample((name, "_total"), labels, None, value, text)?;
            }
            MetricType::HISTOGRAM => put_histogram(name, metric, text)?,
            _ => put_sample(
                (name, ""),
                labels,
                None,
                metric.get_gauge().get_value(),
                text,
            )?,
        }
    }
    Ok(())
}

fn put_histogram(name: &str, metric: &Metric, text: &mut String) -> std::fmt::Result {
    let (labels, histogram) = (metric.get_label(), metric.get_histogram());
    for bucket in histogram.get_bucket() {
        let bound = format!("{:?}", bucket.upper_bound());
        let count = bucket.cumulative_count() as f64;
        put_sample((name, "_bucket"), labels, Some(&bound), count, text)?;
    }
    let all = histogram.get_sample_count() as f64;
    put_sample((name, "_bucket"), labels, Some("+Inf"), all, text)?;
    put_sample((name, "_count"), labels, None, all, text)?;
    let sum = histogram.get_sample_sum();
    put_sample((name, "_sum"), labels, None, sum, text)
}

fn put_sample(
    (name, suffix): (&str, &str),
    labels: &[LabelPair],
    bound: Option<&str>,
    value: f64,
    text: &mut String,
) -> std::fmt::Result {
    write!(text, "{name}{suffix}")?;
    let own = labels.iter().map(|label| (label.name(), label.value()));
    let mut separator = '{';
    for (label, value) in own.chain(bound.map(|bound| ("le", bound))) {
        write!(text, "{separator}{label}=\"{}\"", escaped(value))?;
        separator = ',';
    }
    if separator == ',' {
        text.push('}');
    }
    writeln!(text, " {value}")
}

/// What would end a line or a label's value is not said as it is.
fn escaped(said: &str) -> String {
    said.replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('"', "\\\"")
}

#[cfg(test)]
mod tests;
