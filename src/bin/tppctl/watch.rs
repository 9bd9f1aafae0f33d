//! Showing something again and again.

use std::{io, thread, time::Duration};

use crate::terminal::Terminal;

/// Shows what `block` returns, now and then `every` so often, until the output is closed. On a terminal
/// each block takes the place of the one before; elsewhere an empty line parts them.
///
/// # Errors
/// The output's.
pub(crate) fn watch(every: Duration, mut block: impl FnMut() -> String) -> io::Result<()> {
    let mut first = true;
    loop {
        let text = block();
        // Asked each time: the window may have changed.
        match Terminal::stdout().height {
            Some(height) => Terminal::print(&redraw(&text, height, first))?,
            None if first => Terminal::print(&text)?,
            None => Terminal::print(&format!("\n{text}"))?,
        }
        first = false;
        thread::sleep(every);
    }
}

/// `text` over what is on the screen, without the flicker of clearing it, cut to `height` lines: a
/// longer one would scroll, and the next would not cover it.
fn redraw(text: &str, height: usize, first: bool) -> String {
    let mut screen = String::from(if first { "\x1b[2J\x1b[H" } else { "\x1b[H" });
    for line in text.lines().take(height.saturating_sub(1)) {
        screen += line;
        screen += "\x1b[K\n";
    }
    screen + "\x1b[J"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redraw_covers_each_line_and_clears_what_is_below() {
        assert_eq!(
            redraw("a\nb\n", 24, false),
            "\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J"
        );
        assert_eq!(redraw("a\n", 24, true), "\x1b[2J\x1b[Ha\x1b[K\n\x1b[J");
    }

    #[test]
    fn a_redraw_never_scrolls() {
        assert_eq!(redraw("a\nb\nc\n", 3, false).matches('\n').count(), 2);
    }
}
