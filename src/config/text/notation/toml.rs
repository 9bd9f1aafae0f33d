//! TOML to tree.

use toml::{
    Spanned,
    de::{DeTable, DeValue, Error},
};
use zeroize::Zeroizing;

use super::Break;
use crate::config::text::tree::{Entry, Node, Origin, Value};

/// More than this many breaks are the echo of one mistake.
const MOST_BREAKS: usize = 10;

/// Parses a document; its root is a table. Depth is bounded by the parser.
pub(super) fn parse(text: &str) -> Result<Node, Vec<Break>> {
    let lines = Lines::of(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(Node {
            origin: Origin::Line(1),
            value: table(document.into_inner(), &lines),
        });
    }
    let mut breaks: Vec<Break> = errors.iter().map(|error| lines.locate(error)).collect();
    breaks.sort_by_key(|found| (found.line, found.column));
    // A line's first break is its cause, the others follow from it.
    breaks.dedup_by_key(|found| found.line);
    breaks.truncate(MOST_BREAKS);
    Err(breaks)
}

fn table(entries: DeTable<'_>, lines: &Lines<'_>) -> Value {
    let entry = |(key, value): (Spanned<_>, Spanned<DeValue<'_>>)| Entry {
        node: Node {
            origin: Origin::Line(lines.line(key.span().start)),
            value: node_value(value.into_inner(), lines),
        },
        name: std::borrow::Cow::into_owned(key.into_inner()),
    };
    Value::Table(entries.into_iter().map(entry).collect())
}

fn node_value(value: DeValue<'_>, lines: &Lines<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(Zeroizing::new(text.into_owned())),
        DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
            .map_or(Value::Other("a number of very many digits"), Value::Whole),
        DeValue::Float(number) => Value::Fraction(Zeroizing::new(number.as_str().to_owned())),
        DeValue::Boolean(flag) => Value::Flag(flag),
        DeValue::Datetime(_) => Value::Other("a date or a time"),
        DeValue::Table(entries) => table(entries, lines),
        DeValue::Array(items) => {
            let item = |item: Spanned<DeValue<'_>>| Node {
                origin: Origin::Line(lines.line(item.span().start)),
                value: node_value(item.into_inner(), lines),
            };
            Value::List(items.into_iter().map(item).collect())
        }
    }
}

/// Finds line and column of a byte offset.
struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn of(text: &'t str) -> Self {
        let after = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            text,
            starts: std::iter::once(0).chain(after).collect(),
        }
    }

    /// Counted from 1.
    fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }

    fn locate(&self, error: &Error) -> Break {
        let offset = error
            .span()
            .map_or(0, |span| span.start)
            .min(self.text.len());
        let line = self.line(offset);
        let start = self.starts[line - 1];
        let before = self.text.get(start..offset).unwrap_or_default();
        Break {
            line,
            column: before.chars().count() + 1,
            what: error.message().to_owned(),
        }
    }
}
