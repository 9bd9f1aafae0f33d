//! A password: in the table of its account, or in a file of its own.

use std::path::PathBuf;

use crate::config::{
    Secret,
    text::{
        file::Content,
        key::Key,
        reader::{Reader, Table},
        tree::{Node, Value},
    },
};

/// The two keys of a secret: one for itself, one for a file that holds it.
pub(in crate::config::section) type Keys = (&'static Key, &'static Key);

/// The secret of the account in `table`, and its file if it has one; none if something is wrong with it, which is noted.
pub(in crate::config::section) fn read(
    reader: &mut Reader<'_>,
    table: &Table<'_>,
    (inline, file): Keys,
) -> Option<(Secret, Option<PathBuf>)> {
    match (table.find(inline), table.find(file)) {
        (Some(_), None) => {
            let secret = reader.read(table, inline, |value| match value {
                Value::Text(text) if !text.is_empty() => Some(Secret::new(text.to_string())),
                _ => None,
            });
            secret.map(|secret| (secret, None))
        }
        (None, Some(node)) => {
            from_file(reader, table, node, file).map(|(secret, path)| (secret, Some(path)))
        }
        (given, _) => {
            let (inline, file) = (inline.leaf(), file.leaf());
            let found = match given {
                Some(_) => format!("{inline} and {file}"),
                None => format!("neither {inline} nor {file}"),
            };
            reader.note(table.origin, &table.name, found, "one of the two");
            None
        }
    }
}

fn from_file(
    reader: &mut Reader<'_>,
    table: &Table<'_>,
    node: &Node,
    key: &Key,
) -> Option<(Secret, PathBuf)> {
    let text = reader.text(table, key)?;
    let path = reader.paths.resolve_secret(text);
    let reason = match reader.files.read(&path) {
        Err(reason) => reason,
        Ok(content) => match password_in(&content) {
            "" => "empty".to_owned(),
            password => {
                let shown = path.display().to_string();
                warn_of(reader, &shown, &content, std::iter::once(password));
                return Some((Secret::new(password.to_owned()), path));
            }
        },
    };
    let found = format!("{path:?} ({reason})");
    let name = table.dotted(key.leaf());
    reader.note(Some(node.origin), &name, found, key.kind.allowed());
    None
}

/// The whole content, less the mark with which some editors begin a file and the line break with which they end it.
fn password_in(content: &Content) -> &str {
    let text = content.text.as_str();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

/// Notes what is odd about a file of passwords, but no error: such a login is refused by the server, and nobody sees why.
pub(super) fn warn_of<'p>(
    reader: &mut Reader<'_>,
    path: &str,
    content: &Content,
    passwords: impl Iterator<Item = &'p str>,
) {
    if content.open_to_all {
        reader.warnings.push(open_to_all(path));
    }
    let (mut begins, mut ends) = (false, false);
    for password in passwords {
        begins |= password.starts_with(char::is_whitespace);
        ends |= password.ends_with(char::is_whitespace);
    }
    for (_, how) in [(begins, "begins with"), (ends, "ends in")]
        .into_iter()
        .filter(|(odd, _)| *odd)
    {
        reader.warnings.push(format!(
            "{path}: a password {how} white space, which is taken as part of it"
        ));
    }
}

/// The warning about a file that all users of the machine may read.
pub(in crate::config) fn open_to_all(path: &str) -> String {
    format!("{path} holds passwords and every user of this machine may read it; chmod o-r helps")
}
