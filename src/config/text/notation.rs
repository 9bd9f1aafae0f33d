//! The two notations: text to tree.

use std::path::Path;

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
pub(in crate::config) fn parse(
    text: &str,
    file: &Path,
    format: Format,
) -> Result<Node, Vec<Problem>> {
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
