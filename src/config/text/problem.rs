//! What is wrong with a configuration, said so that it can be put right without the manual.

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// One thing that is wrong, where it stands, and what may stand there instead.
///
/// Its texts hold no password: of a key that bears one, `found` names the kind of value alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where the value came from.
    pub place: Place,
    /// Dotted name such as `credentials[1].password` (counted from 0); empty when no single key is at fault.
    pub key: String,
    /// What was found, as a noun phrase.
    pub found: String,
    /// What may stand there, as a noun phrase.
    pub allowed: String,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A file: the configuration itself, or one that it names.
    File {
        /// Its path, as given or as resolved.
        file: PathBuf,
        /// Line, counted from 1, where one is known.
        line: Option<usize>,
        /// Column in characters, counted from 1, where one is known.
        column: Option<usize>,
    },
    /// An environment variable.
    Variable(String),
    /// The body of a request to the management API.
    Body,
}

impl Place {
    /// A line of a file, or the file as a whole.
    pub(in crate::config) fn file(file: &Path, line: Option<usize>) -> Self {
        Self::File {
            file: file.to_owned(),
            line,
            column: None,
        }
    }
}

/// All that is wrong with a configuration: never empty, in the order of the lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    list: Vec<Problem>,
    unreadable: bool,
}

impl Problems {
    /// Orders what was found. The file's own lines come first, then other files, then variables.
    pub(in crate::config) fn new(mut list: Vec<Problem>, main: &Path) -> Self {
        list.sort_by(|a, b| rank(a, main).cmp(&rank(b, main)));
        Self {
            list,
            unreadable: false,
        }
    }

    /// The configuration file itself could not be read.
    pub(in crate::config) fn unreadable(problem: Problem) -> Self {
        Self {
            list: vec![problem],
            unreadable: true,
        }
    }

    /// Whether the configuration file itself could not be read, so that nothing is known of its content.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        self.unreadable
    }

    /// Each problem.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.list.iter()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

fn rank<'a>(problem: &'a Problem, main: &Path) -> (bool, &'a Place) {
    let elsewhere = !matches!(&problem.place, Place::File { file, .. } if file == main);
    (elsewhere, &problem.place)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => f.write_str(name),
            Self::Body => f.write_str("the body"),
            Self::File { file, line, column } => {
                write!(f, "{}", file.display())?;
                if let Some(line) = line {
                    write!(f, ":{line}")?;
                }
                if let Some(column) = column {
                    write!(f, ":{column}")?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "found {}; allowed: {}", self.found, self.allowed)
    }
}

/// One problem a line.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}
impl std::error::Error for Problems {}
