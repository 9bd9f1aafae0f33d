//! Replies as text: pure functions of the reply, the width and the colours.

mod certificates;
mod changes;
mod gateway;
mod holders;
mod hosts;
mod pools;
mod report;
mod slow;
mod status;
mod table;
mod text;
mod tokens;
mod workers;

pub(crate) use self::{
    gateway::{backends, backends_grid, domains, domains_grid},
    holders::{holders, holders_grid},
    hosts::hosts,
    pools::{pools, pools_grid},
    report::{report, times},
    status::status,
    table::{Grid, Kind},
    text::{counted, short_span, span, visible},
    tokens::tokens,
    workers::{workers, workers_grid},
};

use serde::Serialize;

/// What the text is made for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    /// Columns.
    pub(crate) width: usize,
    /// Whether escape sequences for colours may be used.
    pub(crate) colour: bool,
}

/// What a piece of text says to the eye.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Heading,
    Good,
    Warning,
    Bad,
    Faint,
}

impl Page {
    /// `text` in the colour of `tone`, if this page has colours.
    fn paint(self, text: &str, tone: Tone) -> String {
        let code = match tone {
            Tone::Heading => "1",
            Tone::Good => "32",
            Tone::Warning => "33",
            Tone::Bad => "31",
            Tone::Faint => "2",
            Tone::Plain => return text.to_owned(),
        };
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// `reply` as indented JSON, every character that could drive a terminal escaped.
pub(crate) fn json(reply: &impl Serialize) -> Result<String, serde_json::Error> {
    let mut text = String::new();
    for c in serde_json::to_string_pretty(reply)?.chars() {
        // What is hidden can only stand within a string, where JSON knows this escape.
        if text::is_hidden(c) && c != '\n' {
            let mut units = [0; 2];
            text.extend(
                c.encode_utf16(&mut units)
                    .iter()
                    .map(|unit| format!("\\u{unit:04x}")),
            );
        } else {
            text.push(c);
        }
    }
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests;
