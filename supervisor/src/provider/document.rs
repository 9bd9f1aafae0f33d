//! A JSON answer, read whole, in which fields are found by their JSON pointers (RFC 6901). Its texts are wiped when it is dropped.

use std::{fmt, time::Duration};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};
use zeroize::Zeroize;

/// A JSON value of which no field is named twice: which of both is meant, nobody could say.
pub(super) struct Document(Value);

/// Why bytes are no document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// JSON that stops too early.
    Truncated,
    /// A field is named twice.
    Twice,
    /// Something else.
    NotJson,
}

impl Document {
    /// Reads all of `body`.
    pub(super) fn read(body: &[u8]) -> Result<Self, Unreadable> {
        serde_json::from_slice(body).map_err(|error: serde_json::Error| {
            if error.is_data() {
                Unreadable::Twice
            } else if error.is_eof() {
                Unreadable::Truncated
            } else {
                Unreadable::NotJson
            }
        })
    }

    /// What stands at `pointer`; `null` is nothing.
    pub(super) fn at(&self, pointer: &str) -> Option<&Value> {
        self.0.pointer(pointer).filter(|value| !value.is_null())
    }

    /// The text at `pointer`, unless it is empty or none.
    pub(super) fn text(&self, pointer: &str) -> Option<&str> {
        let text = self.at(pointer)?.as_str()?;
        (!text.trim().is_empty()).then_some(text)
    }

    /// The seconds at `pointer`: a number, or one in a text. What is not above 0 says nothing.
    pub(super) fn seconds(&self, pointer: &str) -> Option<Duration> {
        let seconds = match self.at(pointer)? {
            Value::Number(number) => number.as_f64()?,
            Value::String(text) => text.trim().parse().ok()?,
            _ => return None,
        };
        let whole = Duration::try_from_secs_f64(seconds.floor());
        match whole {
            Ok(time) if !time.is_zero() => Some(time),
            // More than a clock can count, but not less than nothing.
            Err(_) if seconds > 0.0 => Some(Duration::from_secs(u64::from(u32::MAX))),
            _ => None,
        }
    }
}

impl Drop for Document {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(list) => list.iter_mut().for_each(wipe),
        Value::Object(map) => map.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Strict)
    }
}

struct Strict;

impl<'de> Visitor<'de> for Strict {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Document, E> {
        Ok(Document(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Document, E> {
        Ok(Document(Value::Bool(value)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Document, E> {
        Ok(Document(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Document, E> {
        Ok(Document(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Document, E> {
        Ok(Document(
            Number::from_f64(number).map_or(Value::Null, Value::Number),
        ))
    }

    fn visit_str<E>(self, text: &str) -> Result<Document, E> {
        Ok(Document(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Document, A::Error> {
        let mut values = Vec::new();
        while let Some(mut value) = list.next_element::<Document>()? {
            values.push(value.0.take());
        }
        Ok(Document(Value::Array(values)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Document, A::Error> {
        let mut map = Map::new();
        while let Some((name, mut value)) = entries.next_entry::<String, Document>()? {
            if map.insert(name, value.0.take()).is_some() {
                return Err(A::Error::custom("a field is named twice"));
            }
        }
        Ok(Document(Value::Object(map)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Document {
        Document::read(text.as_bytes()).unwrap_or_else(|why| panic!("{text}: {why:?}"))
    }

    #[test]
    fn fields_are_found_by_their_pointers() {
        let document = read(r#"{"data":{"a/b":["x",{"token":"t"}],"none":null,"empty":" "}}"#);
        assert_eq!(document.text("/data/a~1b/1/token"), Some("t"));
        assert_eq!(document.text("/data/a~1b/0"), Some("x"));
        for nothing in ["/data/none", "/data/empty", "/token", "/data", "data"] {
            assert_eq!(document.text(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn seconds_are_read_from_numbers_and_from_texts() {
        for (text, seconds) in [
            ("7200", 7200),
            ("\"7200\"", 7200),
            ("59.9", 59),
            ("1e2", 100),
        ] {
            let found = read(&format!("{{\"e\":{text}}}")).seconds("/e");
            assert_eq!(found, Some(Duration::from_secs(seconds)), "{text}");
        }
        for nothing in ["0", "-1", "\"soon\"", "null", "[7200]", "0.5", "\"NaN\""] {
            let found = read(&format!("{{\"e\":{nothing}}}")).seconds("/e");
            assert_eq!(found, None, "{nothing}");
        }
        let long = read("{\"e\":1e300}").seconds("/e");
        assert!(long.is_some_and(|time| time > Duration::from_secs(1 << 31)));
    }

    #[test]
    fn a_field_that_is_named_twice_is_no_answer_at_any_depth() {
        for text in [r#"{"a":1,"a":2}"#, r#"{"b":[{"a":1,"a":1}]}"#] {
            let why = Document::read(text.as_bytes()).err();
            assert_eq!(why, Some(Unreadable::Twice), "{text}");
        }
    }

    #[test]
    fn half_an_answer_is_told_from_none() {
        let why = |text: &str| Document::read(text.as_bytes()).err();
        for text in ["", "{\"a\":", "[1", "\"tok"] {
            assert_eq!(why(text), Some(Unreadable::Truncated), "{text}");
        }
        for text in ["<html>", "{} {}", "{a:1}", "\u{0}"] {
            assert_eq!(why(text), Some(Unreadable::NotJson), "{text}");
        }
    }
}
