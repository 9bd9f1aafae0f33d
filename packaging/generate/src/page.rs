//! The parts that our manual pages are made of.

use roff::{Inline, Roff, bold, roman};

/// Lets an apostrophe stay one. Once a page is enough, though roff writes it with every piece.
const APOSTROPHE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";

/// The title line of the page `name` in `section`. It bears no date: the version says what it describes, and
/// the same code makes the same page.
pub(crate) fn title(name: &str, section: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!("{APOSTROPHE}.TH \"{name}\" \"{section}\" \"\" \"tpp {version}\" \"\"\n")
}

/// `text` as roff wrote it, to stand within a page.
pub(crate) fn piece(text: &str) -> String {
    text.replacen(APOSTROPHE, "", 1)
}

/// A piece of a page in the making.
#[derive(Debug, Default)]
pub(crate) struct Page {
    roff: Roff,
    /// A heading came last: it has space below it already.
    headed: bool,
}

impl Page {
    pub(crate) fn section(&mut self, title: &str) {
        self.roff.control("SH", [title]);
        self.headed = true;
    }

    pub(crate) fn subsection(&mut self, title: &str) {
        self.roff.control("SS", [title]);
        self.headed = true;
    }

    /// A paragraph.
    pub(crate) fn paragraph(&mut self, text: &str) {
        if !std::mem::take(&mut self.headed) {
            self.roff.control("PP", []);
        }
        self.roff.text([roman(text)]);
    }

    /// Text as it is, line by line.
    pub(crate) fn verbatim(&mut self, text: &str) {
        self.headed = false;
        self.roff.control("RS", ["4"]).control("nf", []);
        for line in text.lines() {
            self.roff.text([roman(line)]);
        }
        self.roff.control("fi", []).control("RE", []);
    }

    /// A word and what it means, in as many paragraphs as given.
    pub(crate) fn entry(&mut self, word: &str, paragraphs: &[&str]) {
        self.headed = false;
        self.roff.control("TP", []).text([bold(word)]);
        for (index, text) in paragraphs.iter().enumerate() {
            if index > 0 {
                self.roff.control("br", []);
            }
            self.roff.text([roman(*text)]);
        }
    }

    /// Other pages, each with its section.
    pub(crate) fn see_also(&mut self, pages: &[(&str, &str)]) {
        self.section("SEE ALSO");
        let mut line: Vec<Inline> = Vec::new();
        for (index, (name, section)) in pages.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            line.extend([roman(comma), bold(*name), roman(format!("({section})"))]);
        }
        self.roff.text(line);
    }

    pub(crate) fn finish(self) -> String {
        piece(&self.roff.render())
    }
}
