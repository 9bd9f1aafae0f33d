//! Bytes to tree: reading a file within bounds, and the two notations.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::Path,
};

use zeroize::Zeroizing;

use super::{
    problem::{Place, Problem},
    tree::Node,
};

mod toml;
mod yaml;

/// In what notation a configuration is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// TOML, the notation of `tpp.toml`.
    Toml,
    /// YAML, the notation of the predecessor's `config.yaml`; its keys are read too.
    Yaml,
}

impl Format {
    /// YAML for names that end in `.yaml` or `.yml`, TOML for all others.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let extension = path.extension().unwrap_or_default();
        if extension.eq_ignore_ascii_case("yaml") || extension.eq_ignore_ascii_case("yml") {
            Self::Yaml
        } else {
            Self::Toml
        }
    }
}

/// Parses `text` into a tree, or says where its syntax breaks.
///
/// # Errors
/// Each break with line and column. The line itself is never repeated: a password may stand in it.
pub(super) fn parse(text: &str, file: &Path, format: Format) -> Result<Node, Vec<Problem>> {
    let breaks = match format {
        Format::Toml => match toml::parse(text) {
            Ok(node) => return Ok(node),
            Err(breaks) => breaks,
        },
        Format::Yaml => match yaml::parse(text) {
            Ok(node) => return Ok(node),
            Err(one) => vec![one],
        },
    };
    let allowed = match format {
        Format::Toml => "TOML",
        Format::Yaml => "YAML",
    };
    let problem = |found: Break| Problem {
        place: Place::File {
            file: file.to_owned(),
            line: Some(found.line),
            column: Some(found.column),
        },
        key: String::new(),
        found: format!("a syntax error ({})", found.what),
        allowed: allowed.to_owned(),
    };
    Err(breaks.into_iter().map(problem).collect())
}

/// A place where the syntax breaks. `what` is the parser's own words, never the file's.
struct Break {
    line: usize,
    column: usize,
    what: String,
}

/// A file's text, and whether every user of the machine may read it.
pub(super) struct Content {
    pub(super) text: Zeroizing<String>,
    pub(super) open_to_all: bool,
}

/// No file that belongs to a configuration comes near this, in bytes. A device or a log named by mistake does.
const LARGEST: u64 = 4 << 20;

/// Reads a whole text file of at most 4 MiB.
///
/// # Errors
/// Why it cannot be read, as a noun phrase.
pub(super) fn read(path: &Path) -> Result<Content, String> {
    let file = File::open(path).map_err(|error| reason(&error))?;
    let about = file.metadata().map_err(|error| reason(&error))?;
    // All the room at once: a buffer that grows leaves copies of a password behind.
    let room = about.len().min(LARGEST) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(room).unwrap_or(0)));
    file.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| reason(&error))?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("more than {} MiB", LARGEST >> 20));
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Content {
            text: Zeroizing::new(text.to_owned()),
            open_to_all: about.mode() & 0o004 != 0,
        }),
        Err(error) => {
            let before = &bytes[..error.valid_up_to()];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            Err(format!("line {line} is not UTF-8"))
        }
    }
}

/// The system's own words, without the number that it appends.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
