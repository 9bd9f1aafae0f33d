//! From a path, or a text, to a checked configuration.

use std::path::Path;

use super::{
    Config, Format, Problems, Vars,
    check::{self, Checked},
    env,
    section::{self, credentials},
    text::{
        file::Files,
        notation,
        paths::Paths,
        problem::{Place, Problem},
        reader::Reader,
    },
};

/// Reads and checks the configuration in `path`, with the variables of `vars` laid over it. Names that
/// end in `.yaml` or `.yml` are YAML, all others TOML; relative paths within are relative to its directory.
///
/// # Errors
/// All that is wrong, at once. [`Problems::is_unreadable`] tells a file that could not be read from one
/// with wrong content.
pub fn load(path: &Path, vars: &dyn Vars) -> Result<Config, Problems> {
    let mut files = Files::new();
    let content = files.read(path).map_err(|reason| {
        Problems::unreadable(Problem {
            place: Place::file(path, None),
            key: String::new(),
            found: format!("an unreadable file ({reason})"),
            allowed: "a configuration file in TOML or YAML".to_owned(),
        })
    })?;
    let base_dir = path.parent().unwrap_or(Path::new(""));
    let checked = check_text(
        &content.text,
        path,
        Format::of(path),
        base_dir,
        (files, vars),
    )?;
    let mut config = checked.config;
    if content.open_to_all && checked.inline_passwords {
        config
            .load_warnings
            .push(credentials::open_to_all(&path.display().to_string()));
    }
    Ok(config)
}

/// Checks the configuration in `text`. `file_name` stands in the messages, `base_dir` is what relative
/// paths are relative to.
///
/// # Errors
/// All that is wrong, at once.
pub fn parse(
    text: &str,
    file_name: &Path,
    format: Format,
    base_dir: &Path,
    vars: &dyn Vars,
) -> Result<Config, Problems> {
    check_text(text, file_name, format, base_dir, (Files::new(), vars))
        .map(|checked| checked.config)
}

fn check_text(
    text: &str,
    file_name: &Path,
    format: Format,
    base_dir: &Path,
    (files, vars): (Files, &dyn Vars),
) -> Result<Checked, Problems> {
    let root =
        notation::parse(text, file_name, format).map_err(|list| Problems::new(list, file_name))?;
    let mut reader = Reader {
        file: file_name,
        format,
        paths: Paths::new(base_dir, vars),
        files,
        keys: section::KEYS,
        gateway: false,
        problems: Vec::new(),
        warnings: env::gone(vars),
    };
    let overrides = env::overrides(vars, &mut reader.problems);
    let checked = check::config(&mut reader, &root, &overrides);
    if !reader.problems.is_empty() {
        return Err(Problems::new(reader.problems, file_name));
    }
    let config = Config {
        load_warnings: reader.warnings,
        ..checked.config
    };
    Ok(Checked { config, ..checked })
}
