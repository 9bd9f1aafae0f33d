//! Text with `{name}` in it, filled with an account's own values, each escaped as the content type wants it.

use url::form_urlencoded;
use zeroize::Zeroizing;

/// How a value is written so that it stays one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escape {
    /// Inside the quotes of a JSON text.
    Json,
    /// As `application/x-www-form-urlencoded`.
    Form,
    /// As text or an attribute of XML.
    Xml,
    /// As it is.
    Plain,
}

impl Escape {
    /// That of a body of this content type.
    pub(super) fn of(content_type: &str) -> Self {
        let kind = content_type.split(';').next().unwrap_or_default();
        let kind = kind.trim().to_ascii_lowercase();
        if kind.ends_with("/json") || kind.ends_with("+json") {
            Self::Json
        } else if kind == "application/x-www-form-urlencoded" {
            Self::Form
        } else if kind.ends_with("/xml") || kind.ends_with("+xml") {
            Self::Xml
        } else {
            Self::Plain
        }
    }

    fn write(self, value: &str, into: &mut Vec<u8>) {
        match self {
            Self::Json => {
                let begin = into.len();
                serde_json::to_writer(&mut *into, value).expect("a Vec takes all");
                into.pop();
                into.remove(begin);
            }
            Self::Form => {
                for part in form_urlencoded::byte_serialize(value.as_bytes()) {
                    into.extend_from_slice(part.as_bytes());
                }
            }
            Self::Xml => {
                for byte in value.bytes() {
                    match byte {
                        b'&' => into.extend_from_slice(b"&amp;"),
                        b'<' => into.extend_from_slice(b"&lt;"),
                        b'>' => into.extend_from_slice(b"&gt;"),
                        b'"' => into.extend_from_slice(b"&quot;"),
                        b'\'' => into.extend_from_slice(b"&apos;"),
                        _ => into.push(byte),
                    }
                }
            }
            Self::Plain => into.extend_from_slice(value.as_bytes()),
        }
    }
}

/// Text with places to be filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// The value of this name.
    Value(String),
}

impl Template {
    /// Takes `text` apart. A brace that does not begin a `{name}` of letters, digits and `_` stands for itself.
    pub(super) fn new(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            plain.push_str(before);
            match after.split_once('}') {
                Some((name, behind)) if is_name(name) => {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                    parts.push(Part::Value(name.to_owned()));
                    rest = behind;
                }
                _ => {
                    plain.push('{');
                    rest = after;
                }
            }
        }
        plain.push_str(rest);
        parts.push(Part::Text(plain));
        Self(parts)
    }

    /// Whether nothing stands in it.
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|part| *part == Part::Text(String::new()))
    }

    /// The text with each value in its place; `Err`: the name for which there is none.
    pub(super) fn fill<'a>(
        &'a self,
        escape: Escape,
        value: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<Zeroizing<Vec<u8>>, &'a str> {
        let mut room = 0;
        for part in &self.0 {
            room += match part {
                Part::Text(text) => text.len(),
                // At worst each byte becomes `\u00xx`; and two quotes are there for a moment.
                Part::Value(name) => 6 * value(name).ok_or(name.as_str())?.len() + 2,
            };
        }
        // Reserved whole: growing would leave unwiped copies behind.
        let mut filled = Zeroizing::new(Vec::with_capacity(room));
        for part in &self.0 {
            match part {
                Part::Text(text) => filled.extend_from_slice(text.as_bytes()),
                Part::Value(name) => escape.write(value(name).unwrap_or_default(), &mut filled),
            }
        }
        Ok(filled)
    }
}

fn is_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty() && name.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fill(text: &str, escape: Escape, password: &str) -> String {
        let template = Template::new(text);
        let filled = template.fill(escape, |name| match name {
            "username" => Some("ann"),
            "password" => Some(password),
            _ => None,
        });
        String::from_utf8(filled.unwrap().to_vec()).unwrap()
    }

    #[test]
    fn the_content_type_says_how_values_are_escaped() {
        for (content_type, escape) in [
            ("application/json", Escape::Json),
            ("application/vnd.api+json; charset=utf-8", Escape::Json),
            ("Application/X-WWW-Form-Urlencoded", Escape::Form),
            ("text/xml", Escape::Xml),
            ("application/soap+xml", Escape::Xml),
            ("text/plain", Escape::Plain),
            ("", Escape::Plain),
        ] {
            assert_eq!(Escape::of(content_type), escape, "{content_type}");
        }
    }

    #[test]
    fn braces_of_json_stand_for_themselves() {
        let text = r#"{"user":{"name":"{username}","pass":"{password}"},"x":{}}"#;
        let filled = fill(text, Escape::Json, "p");
        assert_eq!(filled, r#"{"user":{"name":"ann","pass":"p"},"x":{}}"#);
    }

    #[test]
    fn a_name_without_a_value_is_named() {
        let template = Template::new(r#"{"pin":"{pin}"}"#);
        assert_eq!(template.fill(Escape::Json, |_| None), Err("pin"));
    }

    #[test]
    fn values_are_escaped_for_forms_and_for_xml() {
        let password = "a&b=c d<\"'>ü";
        let form = fill("user={username}&pass={password}", Escape::Form, password);
        assert_eq!(form, "user=ann&pass=a%26b%3Dc+d%3C%22%27%3E%C3%BC");
        let xml = fill("<p>{password}</p>", Escape::Xml, password);
        assert_eq!(xml, "<p>a&amp;b=c d&lt;&quot;&apos;&gt;ü</p>");
    }

    proptest! {
        #[test]
        fn a_value_is_one_json_text_whatever_it_is(password in ".*") {
            let filled = fill(r#"{"u":"{username}","p":"{password}"}"#, Escape::Json, &password);
            let read: serde_json::Value = serde_json::from_str(&filled).unwrap();
            prop_assert_eq!(read, serde_json::json!({"u": "ann", "p": password}));
        }

        #[test]
        fn a_value_is_one_form_value_whatever_it_is(password in ".*") {
            let filled = fill("u={username}&p={password}", Escape::Form, &password);
            let read: Vec<_> = form_urlencoded::parse(filled.as_bytes()).into_owned().collect();
            let expected = [("u".to_owned(), "ann".to_owned()), ("p".to_owned(), password)];
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn any_text_is_a_template(text in ".*") {
            let template = Template::new(&text);
            let filled = template.fill(Escape::Plain, |_| Some(""));
            prop_assert!(filled.unwrap().len() <= text.len());
        }
    }
}
