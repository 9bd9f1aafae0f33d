//! YAML 1.2 (core schema) to tree, from the parser's events.
//!
//! The events are taken one by one, because loaders that build a document by recursion overflow
//! the stack on a file of a few thousand nested dashes. Depth and size are bounded here.

use std::collections::{BTreeMap, HashSet};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Tag};
use zeroize::Zeroizing;

use super::Break;
use crate::config::text::tree::{Entry, Node, Origin, Value};

/// Deepest nesting; a configuration needs three.
const DEEPEST: usize = 64;
/// Most values a file may hold once its aliases are expanded.
const LARGEST: usize = 200_000;

/// Parses one document. An empty one is [`Value::Null`].
pub(super) fn parse(text: &str) -> Result<Node, Break> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| scan_break(&error))?;
        builder.take(event, span.start)?;
    }
    Ok(builder.document.unwrap_or(Node {
        origin: Origin::Line(1),
        value: Value::Null,
    }))
}

/// A collection that is not yet closed.
struct Open {
    node: Node,
    anchor: usize,
    /// A table's key that waits for its value, and the key's line.
    key: Option<(String, usize)>,
    /// A table's keys so far.
    seen: HashSet<String>,
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    document: Option<Node>,
    size: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, at: Marker) -> Result<(), Break> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(&text, style, tag.as_deref())
                    .ok_or_else(|| broken(at, "a tag that is not one of YAML's own"))?;
                self.close(node(at, value), anchor, at)
            }
            Event::SequenceStart(anchor, _) => self.begin(Value::List(Vec::new()), anchor, at),
            Event::MappingStart(anchor, _) => self.begin(Value::Table(Vec::new()), anchor, at),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(done) => self.close(done.node, done.anchor, at),
                None => Err(broken(at, "an end without a beginning")),
            },
            Event::Alias(anchor) => {
                // An anchor whose collection is still open is not known yet, so no value holds itself.
                let copy = self.anchors.get(&anchor).cloned();
                let copy =
                    copy.ok_or_else(|| broken(at, "an alias that stands within its anchor"))?;
                self.size += size(&copy);
                self.close(copy, 0, at)
            }
            Event::DocumentStart(_) if self.document.is_some() => {
                Err(broken(at, "a second document"))
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, value: Value, anchor: usize, at: Marker) -> Result<(), Break> {
        if self.open.len() >= DEEPEST {
            return Err(broken(at, "lists or tables nested too deep"));
        }
        self.open.push(Open {
            node: node(at, value),
            anchor,
            key: None,
            seen: HashSet::new(),
        });
        Ok(())
    }

    /// Puts a finished value where it belongs.
    fn close(&mut self, mut done: Node, anchor: usize, at: Marker) -> Result<(), Break> {
        self.size += 1;
        if self.size > LARGEST {
            return Err(broken(at, "too many values"));
        }
        if anchor != 0 {
            self.size += size(&done);
            self.anchors.insert(anchor, done.clone());
        }
        let Some(parent) = self.open.last_mut() else {
            self.document = Some(done);
            return Ok(());
        };
        match &mut parent.node.value {
            Value::List(items) => items.push(done),
            Value::Table(entries) => match parent.key.take() {
                Some((name, line)) => {
                    done.origin = Origin::Line(line);
                    entries.push(Entry { name, node: done });
                }
                None => {
                    let name =
                        key_text(&done).ok_or_else(|| broken(at, "a key that is not text"))?;
                    if !parent.seen.insert(name.clone()) {
                        return Err(broken(at, "duplicate key"));
                    }
                    parent.key = Some((name, line(at)));
                }
            },
            _ => return Err(broken(at, "a value within a value")),
        }
        Ok(())
    }
}

fn key_text(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) | Value::Fraction(text) => Some(text.to_string()),
        Value::Whole(number) => Some(number.to_string()),
        Value::Flag(flag) => Some(flag.to_string()),
        _ => None,
    }
}

fn size(node: &Node) -> usize {
    match &node.value {
        Value::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Table(entries) => 1 + entries.iter().map(|entry| size(&entry.node)).sum::<usize>(),
        _ => 1,
    }
}

/// The value of a scalar; `None` when its tag is foreign.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Option<Value> {
    match tag {
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix != "str" => Some(plain(text)),
        Some(tag) if tag.is_yaml_core_schema() => Some(Value::text(text)),
        Some(_) => None,
        None if style == ScalarStyle::Plain => Some(plain(text)),
        None => Some(Value::text(text)),
    }
}

/// What an unquoted scalar means in YAML 1.2's core schema.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Flag(true),
        "false" | "False" | "FALSE" => Value::Flag(false),
        _ => number(text).unwrap_or_else(|| Value::text(text)),
    }
}

fn number(text: &str) -> Option<Value> {
    let whole = |digits: &str, radix: u32| {
        let valid = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
        valid.then(|| {
            i128::from_str_radix(digits, radix)
                .map_or(Value::Other("a number of very many digits"), Value::Whole)
        })
    };
    if let Some(digits) = text.strip_prefix("0x") {
        return whole(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return whole(digits, 8);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if let Some(value) = whole(unsigned, 10) {
        return Some(match value {
            Value::Whole(number) if text.starts_with('-') => Value::Whole(-number),
            value => value,
        });
    }
    let special = matches!(
        unsigned,
        ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN"
    );
    // Rust's own syntax is wider by words such as "inf" alone, which do not begin like a number.
    let numeric = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && text.parse::<f64>().is_ok();
    (special || numeric).then(|| Value::Fraction(Zeroizing::new(text.to_owned())))
}

fn node(at: Marker, value: Value) -> Node {
    Node {
        origin: Origin::Line(line(at)),
        value,
    }
}

/// The parser counts lines from 1, but an empty stream ends at its line 0.
fn line(at: Marker) -> usize {
    at.line().max(1)
}

fn broken(at: Marker, what: &str) -> Break {
    Break {
        line: line(at),
        column: at.col() + 1,
        what: what.to_owned(),
    }
}

fn scan_break(error: &ScanError) -> Break {
    // The one message that repeats a character of the file, which may be a password's first.
    let what = match error.info() {
        info if info.starts_with("unexpected character") => "unexpected character",
        info => info,
    };
    broken(*error.marker(), what)
}
