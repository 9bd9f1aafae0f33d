//! What standard output is.

use std::{
    env,
    ffi::OsStr,
    io::{self, IsTerminal, Write},
};

use crate::render::Page;

/// Columns where nobody says how many there are.
const DEFAULT_WIDTH: usize = 80;

/// What is known of standard output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terminal {
    /// Lines; `None` if it is not a terminal.
    pub(crate) height: Option<usize>,
    /// Columns and colours.
    pub(crate) page: Page,
}

impl Terminal {
    /// Standard output as it is now.
    pub(crate) fn stdout() -> Self {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        let size = terminal_size::terminal_size_of(&stdout).filter(|_| is_terminal);
        let width = size
            .map(|(columns, _)| usize::from(columns.0))
            .filter(|&columns| columns > 0);
        let height = size.map_or(24, |(_, lines)| usize::from(lines.0).max(2));
        let wants_colour = wants_colour(
            env::var_os("NO_COLOR").as_deref(),
            env::var_os("TERM").as_deref(),
        );
        Self {
            height: is_terminal.then_some(height),
            page: Page {
                width: width.or_else(columns).unwrap_or(DEFAULT_WIDTH),
                colour: is_terminal && wants_colour,
            },
        }
    }

    /// Writes `text` to standard output, at once.
    pub(crate) fn print(text: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }
}

fn columns() -> Option<usize> {
    env::var_os("COLUMNS")?
        .to_str()?
        .parse()
        .ok()
        .filter(|&columns| columns > 0)
}

/// `NO_COLOR` counts if it is not empty (no-color.org).
fn wants_colour(no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    no_color.is_none_or(OsStr::is_empty) && term.is_some_and(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_needs_a_term_that_is_not_dumb_and_no_objection() {
        let wants = |no_color: Option<&str>, term: Option<&str>| {
            wants_colour(no_color.map(OsStr::new), term.map(OsStr::new))
        };
        assert!(wants(None, Some("xterm")));
        assert!(wants(Some(""), Some("xterm")));
        assert!(!wants(Some("1"), Some("xterm")));
        assert!(!wants(None, Some("dumb")));
        assert!(!wants(None, None));
    }
}
