//! What may be repeated of a stranger's words: a short, printable line, with the secrets taken out.

use zeroize::Zeroizing;

/// Longest excerpt, in characters.
const MAX_CHARS: usize = 160;

/// A password shorter than this is found in innocent words too: what is left would spell it out.
const SHORTEST_REDACTABLE: usize = 4;

const REDACTED: &str = "[redacted]";
const WITHHELD: &str = "[withheld: it repeats a secret]";

/// Knows the secrets of one login and keeps them out of what is said about it.
#[derive(Clone)]
pub(super) struct Redactor {
    /// The password as it is, as JSON spells it, and as a URL does. Longest first, so that no form is cut by another.
    secrets: Vec<Zeroizing<String>>,
}

impl Redactor {
    pub(super) fn new(password: &str) -> Self {
        Self::of(vec![
            Zeroizing::new(password.to_owned()),
            json_spelling(password),
            url_spelling(password),
        ])
    }

    /// The same, with one more secret.
    pub(super) fn also(&self, secret: &str) -> Self {
        let mut secrets = self.secrets.clone();
        secrets.push(Zeroizing::new(secret.to_owned()));
        secrets.push(json_spelling(secret));
        Self::of(secrets)
    }

    fn of(mut secrets: Vec<Zeroizing<String>>) -> Self {
        secrets.retain(|secret| !secret.is_empty());
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        Self { secrets }
    }

    /// One printable line of `text`, at most [`MAX_CHARS`] long, in which no secret stands.
    pub(super) fn excerpt(&self, text: &str) -> String {
        // Before and after: a secret with a tab in it is gone once the tab is, and one that a stray
        // control character had split is whole only then.
        let line = self.redact(&printable(&self.redact(text)));
        let mut excerpt: String = line.chars().take(MAX_CHARS).collect();
        if excerpt.len() < line.len() {
            excerpt.push('…');
        }
        excerpt
    }

    fn redact(&self, text: &str) -> Zeroizing<String> {
        let mut text = Zeroizing::new(text.to_owned());
        for secret in &self.secrets {
            if !text.contains(secret.as_str()) {
                continue;
            }
            if secret.chars().count() < SHORTEST_REDACTABLE {
                return Zeroizing::new(WITHHELD.to_owned());
            }
            text = Zeroizing::new(text.replace(secret.as_str(), REDACTED));
        }
        text
    }
}

fn json_spelling(password: &str) -> Zeroizing<String> {
    let quoted = Zeroizing::new(serde_json::to_string(password).unwrap_or_default());
    Zeroizing::new(quoted.trim_matches('"').to_owned())
}

fn url_spelling(password: &str) -> Zeroizing<String> {
    Zeroizing::new(url::form_urlencoded::byte_serialize(password.as_bytes()).collect())
}

/// `text` on one line: each run of white space becomes one space, and what a terminal would obey or hide is dropped.
fn printable(text: &str) -> Zeroizing<String> {
    let mut line = Zeroizing::new(String::with_capacity(text.len()));
    for word in text
        .split(|c: char| c.is_whitespace())
        .filter(|word| !word.is_empty())
    {
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(word.chars().filter(|c| !is_invisible(*c)));
    }
    line
}

/// Control characters, and Unicode's marks that hide, join or turn text around.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excerpt(password: &str, text: &str) -> String {
        Redactor::new(password).excerpt(text)
    }

    #[test]
    fn a_password_is_taken_out_in_every_spelling() {
        let password = "p\"ä s/1";
        for echo in [
            password.to_owned(),
            serde_json::to_string(password).unwrap(),
            "p%22%C3%A4+s%2F1".to_owned(),
        ] {
            let line = excerpt(password, &format!("no user with {echo} here"));
            assert!(line.contains(REDACTED), "{echo}: {line}");
            assert!(
                !line.contains("s/1") && !line.contains("s%2F1"),
                "{echo}: {line}"
            );
        }
    }

    #[test]
    fn a_password_split_by_control_characters_is_taken_out() {
        assert_eq!(
            excerpt("hunter2", "bad hun\u{0}ter2 given"),
            "bad [redacted] given"
        );
        assert_eq!(
            excerpt("hun\tter2", "bad hun\tter2 given"),
            "bad [redacted] given"
        );
    }

    #[test]
    fn a_password_of_three_letters_silences_a_text_that_holds_it() {
        assert_eq!(excerpt("is", "this is wrong"), WITHHELD);
    }

    #[test]
    fn an_empty_password_takes_nothing_out() {
        assert_eq!(excerpt("", "who are you"), "who are you");
    }

    #[test]
    fn a_text_becomes_one_short_printable_line() {
        assert_eq!(
            excerpt("secret", "a\r\nb\t\u{1b}[31mc\u{202e}d"),
            "a b [31mcd"
        );
        let long = excerpt("secret", &"ü".repeat(1000));
        assert_eq!(long.chars().count(), MAX_CHARS + 1);
    }
}
