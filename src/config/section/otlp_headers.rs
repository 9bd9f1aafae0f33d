//! Fields that a collector wants to see in each export, an API key say.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use super::credentials::{SECRET_FILE, read_secret};
use crate::config::{
    Secret,
    text::{
        key::{Default as Absent, Effect, Key, Kind},
        reader::{Reader, Table},
        shape,
        values::Read,
        write::{Map, Write},
    },
};

pub(super) const OTLP_HEADERS: Key =
    Key::new("telemetry.otlp_headers", Kind::Secret, Absent::Unset).takes(Effect::Restart);
pub(super) const OTLP_HEADERS_FILE: Key = Key::text(
    "telemetry.otlp_headers_file",
    SECRET_FILE,
    shape::file_path,
    Absent::Unset,
)
.takes(Effect::Restart);

const ALLOWED: &str = "name=value, several with commas between them or a line each; of a value what is not visible, commas and % as %2C is";

/// Names of fields with values, which nobody is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtlpHeaders(Vec<(String, Secret)>);

impl OtlpHeaders {
    /// Each name, with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// As OpenTelemetry's own `OTEL_EXPORTER_OTLP_HEADERS` has them; else which of them is wrong, counted from 1.
    fn parse(text: &str) -> Result<Self, usize> {
        let pairs = text.split([',', '\n']).map(str::trim);
        let pairs = pairs.filter(|pair| !pair.is_empty()).enumerate();
        let fields: Vec<_> = pairs
            .map(|(index, pair)| field(pair).ok_or(index + 1))
            .collect::<Result<_, _>>()?;
        if fields.is_empty() {
            Err(1)
        } else {
            Ok(Self(fields))
        }
    }
}

fn field(pair: &str) -> Option<(String, Secret)> {
    let (name, value) = pair.split_once('=')?;
    let (name, value) = (name.trim_end(), value.trim_start());
    let value = percent_decode_str(value).decode_utf8().ok()?;
    let is_sound = !value.is_empty() && value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let is_free = shape::header_for_token(name) && !name.eq_ignore_ascii_case("content-type");
    (is_sound && is_free).then(|| (name.to_ascii_lowercase(), Secret::new(value.into_owned())))
}

impl Read for Option<OtlpHeaders> {
    fn read(reader: &mut Reader<'_>, table: &Table<'_>, _: &Key) -> Self {
        let keys = const { (&OTLP_HEADERS, &OTLP_HEADERS_FILE) };
        let mut given = [keys.0, keys.1].into_iter();
        let key = given.find(|key| table.find(key).is_some())?;
        let origin = table.find(key).map(|node| node.origin);
        let (text, _): (Secret, Option<PathBuf>) = read_secret(reader, table, keys)?;
        match OtlpHeaders::parse(text.expose()) {
            Ok(headers) => Some(headers),
            Err(which) => {
                let found = format!("something else as entry {which}");
                reader.note(origin, &table.dotted(key.leaf()), found, ALLOWED);
                None
            }
        }
    }
}

/// Nothing: a secret is written nowhere.
impl Write for Option<OtlpHeaders> {
    fn write(&self, _: &Key, _: &mut Map) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<(String, String)>, usize> {
        let headers = OtlpHeaders::parse(text)?;
        let fields = headers.iter();
        Ok(fields
            .map(|(name, value)| (name.to_owned(), value.expose().to_owned()))
            .collect())
    }

    #[test]
    fn they_are_read_as_opentelemetry_has_them_and_a_line_each_from_a_file() {
        let both = vec![
            ("api-key".to_owned(), "a=b".to_owned()),
            ("authorization".to_owned(), "Basic x, y".to_owned()),
        ];
        for text in [
            "api-key=a=b,Authorization=Basic%20x%2C%20y",
            " api-key = a=b , Authorization = Basic x%2C y,",
            "api-key=a=b\r\nAuthorization=Basic x%2C y\r\n",
        ] {
            assert_eq!(parsed(text).as_ref(), Ok(&both), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_field_or_frames_a_message_is_named_by_its_place() {
        for (text, which) in [
            ("", 1),
            (",", 1),
            ("a", 1),
            ("a=", 1),
            ("a=1,b c=2", 2),
            ("a=1,b=%0d%0ax: y", 2),
            ("a=1,b=%ff", 2),
            ("a=1,Content-Type=text/plain", 2),
            ("Host=x", 1),
        ] {
            assert_eq!(parsed(text), Err(which), "{text:?}");
        }
        let shown = OtlpHeaders::parse("api-key=hidden").unwrap();
        assert!(!format!("{shown:?}").contains("hidden"));
    }
}
