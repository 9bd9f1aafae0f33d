//! Numbers, spans and foreign strings as they are shown.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Whether `c` shows nothing of its own: it may drive the terminal or reorder and hide its neighbours.
pub(crate) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// `text` with each hidden character replaced by its escape, such as `\u{1b}`.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_hidden(c) {
            shown.extend(c.escape_default())
        } else {
            shown.push(c)
        }
    }
    Cow::Owned(shown)
}

/// Columns that `text` takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// `text`, cut to `columns` with `…` at the end if it is wider.
pub(super) fn fit(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let (head, _) = split_at_width(text, columns.saturating_sub(1));
    Cow::Owned(format!("{head}…"))
}

/// `text` in lines of at most `columns`, broken at spaces, and within a word only if it is wider than a line.
pub(super) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for mut word in text.split(' ').filter(|word| !word.is_empty()) {
        loop {
            let line = lines
                .last_mut()
                .expect("there is a first line and none is taken away");
            let space = usize::from(!line.is_empty());
            if width(line) + space + width(word) <= columns {
                line.push_str(&" "[..space]);
                line.push_str(word);
                break;
            }
            if !line.is_empty() {
                lines.push(String::new());
                continue;
            }
            let (head, tail) = split_at_width(word, columns);
            line.push_str(head);
            if tail.is_empty() {
                break;
            }
            word = tail;
            lines.push(String::new());
        }
    }
    lines
}

/// The longest head of `text` within `columns`, one character at least, and the rest.
fn split_at_width(text: &str, columns: usize) -> (&str, &str) {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += c.width().unwrap_or(0);
        if used > columns && at > 0 {
            return text.split_at(at);
        }
    }
    (text, "")
}

/// A span in its two largest units, six characters at most: `45s`, `12m30s`, `3h05m`, `2d04h`, `123d`.
pub(crate) fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m{:02}s", seconds % 60),
        3600..86400 => format!("{hours}h{:02}m", minutes % 60),
        _ if days < 100 => format!("{days}d{:02}h", hours % 24),
        _ => format!("{days}d"),
    }
}

/// A span given in milliseconds: `120ms`, `1.2s`, and from a minute on as [`span`].
pub(crate) fn short_span(milliseconds: u64) -> String {
    match milliseconds {
        0..1000 => format!("{milliseconds}ms"),
        1000..60_000 => format!("{}.{}s", milliseconds / 1000, milliseconds % 1000 / 100),
        _ => span(milliseconds / 1000),
    }
}

/// A count in five characters at most: exact below 100,000, then as `123k`, `1.2M`, rounded down.
pub(super) fn compact(count: u64) -> String {
    if count < 100_000 {
        return count.to_string();
    }
    let mut scaled = count;
    let mut tenths = 0;
    let mut unit = ' ';
    for next in ['k', 'M', 'G', 'T', 'P', 'E'] {
        if scaled < 1000 {
            break;
        }
        (tenths, scaled, unit) = (scaled % 1000 / 100, scaled / 1000, next);
    }
    if scaled < 100 {
        format!("{scaled}.{tenths}{unit}")
    } else {
        format!("{scaled}{unit}")
    }
}

/// A count with its thousands apart: `1,234,567`.
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `count noun`, the noun in the plural unless there is one.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", grouped(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_drive_the_terminal_is_shown_as_its_escape() {
        assert_eq!(visible("user1"), "user1");
        assert_eq!(visible("用户 é"), "用户 é");
        assert_eq!(visible("a\x1b[2J\n\u{9b}b"), "a\\u{1b}[2J\\n\\u{9b}b");
        assert_eq!(visible("a\u{202e}b\u{200b}"), "a\\u{202e}b\\u{200b}");
    }

    #[test]
    fn a_text_too_wide_is_cut_by_columns() {
        assert_eq!(fit("abcdef", 6), "abcdef");
        assert_eq!(fit("abcdefg", 6), "abcde…");
        assert_eq!(fit("用户用户", 6), "用户…");
        assert_eq!(fit("用户用户", 8), "用户用户");
    }

    #[test]
    fn lines_break_at_spaces_or_within_an_endless_word() {
        assert_eq!(wrap("one two three", 20), ["one two three"]);
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("a 0123456789", 4), ["a", "0123", "4567", "89"]);
        assert_eq!(wrap("用户用户", 5), ["用户", "用户"]);
        assert_eq!(wrap("", 5), [""]);
    }

    #[test]
    fn a_line_of_no_width_still_ends() {
        assert_eq!(wrap("ab", 0), ["a", "b"]);
        assert_eq!(wrap("用 b", 1), ["用", "b"]);
    }

    #[test]
    fn spans_take_two_units() {
        let spans = [0, 59, 60, 3599, 3600, 86399, 86400, 8_639_999, 8_640_000].map(span);
        assert_eq!(
            spans,
            [
                "0s", "59s", "1m00s", "59m59s", "1h00m", "23h59m", "1d00h", "99d23h", "100d"
            ]
        );
        assert_eq!(
            [0, 999, 1000, 59_999, 60_000].map(short_span),
            ["0ms", "999ms", "1.0s", "59.9s", "1m00s"]
        );
    }

    #[test]
    fn counts_stay_short() {
        let counts = [
            0,
            99_999,
            100_000,
            999_999,
            1_000_000,
            12_345_678,
            999_999_999,
            u64::MAX,
        ];
        assert_eq!(
            counts.map(compact),
            [
                "0", "99999", "100k", "999k", "1.0M", "12.3M", "999M", "18.4E"
            ]
        );
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(grouped),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [0, 1, 2].map(|n| counted(n, "worker")),
            ["0 workers", "1 worker", "2 workers"]
        );
    }
}
