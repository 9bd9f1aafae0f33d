//! Tables that keep within the page.

use super::{
    Page, Tone,
    text::{fit, width},
};

/// Narrowest that an elastic column gets.
const ELASTIC_MINIMUM: usize = 8;

/// Which way a column leans, and whether it gives way when the page is narrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Number,
    Word,
    Elastic,
}

/// One field.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) tone: Tone,
}

impl Cell {
    pub(super) fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: text.into(),
            tone,
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

/// One line, and one more below it if there is something to say.
#[derive(Debug)]
pub(super) struct Row<const N: usize> {
    pub(super) cells: [Cell; N],
    pub(super) note: Option<Cell>,
}

/// Rows under a line of titles.
#[derive(Debug)]
pub(super) struct Table<const N: usize> {
    pub(super) columns: [(&'static str, Kind); N],
    pub(super) rows: Vec<Row<N>>,
}

/// A table's columns and cells, for whoever lays it out otherwise.
#[derive(Debug, Default)]
pub(crate) struct Grid {
    pub(crate) titles: Vec<(&'static str, Kind)>,
    pub(crate) rows: Vec<Vec<Cell>>,
}

impl<const N: usize> Table<N> {
    /// The same without its notes.
    pub(super) fn grid(self) -> Grid {
        let rows = self.rows.into_iter();
        Grid {
            titles: self.columns.to_vec(),
            rows: rows.map(|row| row.cells.into()).collect(),
        }
    }

    /// The table as lines, each within the page as far as the columns that are not elastic allow.
    pub(super) fn render(&self, page: Page) -> String {
        let (widths, gap) = self.layout(page);
        let line = |cells: [(&str, Tone); N]| {
            let mut line = String::new();
            for (at, (text, tone)) in cells.into_iter().enumerate() {
                let text = fit(text, widths[at]);
                let padding = " ".repeat(widths[at] - width(&text));
                let text = page.paint(&text, tone);
                line += &if self.columns[at].1 == Kind::Number {
                    padding + &text
                } else {
                    text + &padding
                };
                line += &" ".repeat(gap);
            }
            line.truncate(line.trim_end().len());
            line + "\n"
        };
        let mut table = line(self.columns.map(|(title, _)| (title, Tone::Heading)));
        for row in &self.rows {
            table += &line(
                row.cells
                    .each_ref()
                    .map(|cell| (cell.text.as_str(), cell.tone)),
            );
            if let Some(note) = &row.note {
                let indent = widths[0] + gap;
                let text = fit(&note.text, page.width.saturating_sub(indent));
                table += &format!("{:indent$}{}\n", "", page.paint(&text, note.tone));
            }
        }
        table
    }

    /// Widths of the columns, and of the gap between them: first the gap gives way, then the elastic columns.
    fn layout(&self, page: Page) -> ([usize; N], usize) {
        let mut widths = self.columns.map(|(title, _)| width(title));
        for row in &self.rows {
            for (column, cell) in widths.iter_mut().zip(&row.cells) {
                *column = width(&cell.text).max(*column);
            }
        }
        let excess =
            |gap: usize| (widths.iter().sum::<usize>() + gap * (N - 1)).saturating_sub(page.width);
        let gap = if excess(2) == 0 { 2 } else { 1 };
        let mut excess = excess(gap);
        for (column, (_, kind)) in widths.iter_mut().zip(self.columns) {
            if kind == Kind::Elastic {
                let yielded = excess.min(column.saturating_sub(ELASTIC_MINIMUM));
                *column -= yielded;
                excess -= yielded;
            }
        }
        (widths, gap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table<3> {
        let row = |slot: &str, user: &str, uses: &str, note: Option<&str>| Row {
            cells: [slot.into(), user.into(), uses.into()],
            note: note.map(Cell::from),
        };
        Table {
            columns: [
                ("SLOT", Kind::Number),
                ("USER", Kind::Elastic),
                ("USES", Kind::Number),
            ],
            rows: vec![
                row("1", "user1", "7", None),
                row("2", "a name that is long", "123", Some("was refused")),
            ],
        }
    }

    fn drawn(width: usize) -> String {
        table().render(Page {
            width,
            colour: false,
        })
    }

    #[test]
    fn numbers_lean_right_and_words_left() {
        assert_eq!(
            drawn(80),
            "SLOT  USER                 USES\n   1  user1                   7\n   2  a name that is long   123\n      was refused\n"
        );
    }

    #[test]
    fn a_narrow_page_takes_the_gap_then_the_elastic_column_then_the_note() {
        assert_eq!(
            drawn(29),
            "SLOT USER                USES\n   1 user1                  7\n   2 a name that is long  123\n     was refused\n"
        );
        assert_eq!(
            drawn(20),
            "SLOT USER       USES\n   1 user1         7\n   2 a name th…  123\n     was refused\n"
        );
        assert_eq!(
            drawn(12),
            "SLOT USER     USES\n   1 user1       7\n   2 a name …  123\n     was re…\n"
        );
    }

    #[test]
    fn wide_characters_count_twice() {
        let mut table = table();
        table.rows[0].cells[1] = "用户".into();
        let lines: Vec<_> = table
            .render(Page {
                width: 80,
                colour: false,
            })
            .lines()
            .map(width)
            .collect();
        assert_eq!(lines[..3], [31, 31, 31]);
    }
}
