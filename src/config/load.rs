//! From a path, or a text, to a checked configuration.

use std::path::Path;

use super::{
    Config, Format, Problems, Vars, check, credentials, env, file,
    paths::Paths,
    problem::{Place, Problem},
    reader::Check,
};

/// Reads and checks the configuration in `path`, with the variables of `vars` laid over it. Names that
/// end in `.yaml` or `.yml` are YAML, all others TOML; relative paths within are relative to its directory.
///
/// # Errors
/// All that is wrong, at once. [`Problems::is_unreadable`] tells a file that could not be read from one
/// with wrong content.
pub fn load(path: &Path, vars: &dyn Vars) -> Result<Config, Problems> {
    let content = file::read(path).map_err(|reason| {
        Problems::unreadable(Problem {
            place: Place::file(path, None),
            key: String::new(),
            found: format!("an unreadable file ({reason})"),
            allowed: "a configuration file in TOML or YAML".to_owned(),
        })
    })?;
    let base_dir = path.parent().unwrap_or(Path::new(""));
    let checked = check_text(&content.text, path, Format::of(path), base_dir, vars)?;
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
    check_text(text, file_name, format, base_dir, vars).map(|checked| checked.config)
}

struct Checked {
    config: Config,
    /// Whether the file itself holds passwords, not only the names of files that do.
    inline_passwords: bool,
}

fn check_text(
    text: &str,
    file_name: &Path,
    format: Format,
    base_dir: &Path,
    vars: &dyn Vars,
) -> Result<Checked, Problems> {
    let root =
        file::parse(text, file_name, format).map_err(|list| Problems::new(list, file_name))?;
    let mut check = Check {
        file: file_name,
        format,
        paths: Paths::new(base_dir, vars),
        problems: Vec::new(),
        warnings: env::gone(vars),
        inline_passwords: false,
    };
    let overrides = env::overrides(vars, &mut check.problems);
    let mut config = check::config(&mut check, &root, &overrides);
    if !check.problems.is_empty() {
        return Err(Problems::new(check.problems, file_name));
    }
    config.load_warnings = check.warnings;
    Ok(Checked {
        config,
        inline_passwords: check.inline_passwords,
    })
}
