//! `credentials_file`.

use std::{collections::BTreeMap, path::Path};

use super::{Accounts, CREDENTIALS_FILE, Credential, password::warn_of};
use crate::config::{
    Secret,
    text::{
        file::Content,
        problem::{Place, Problem},
        reader::{Reader, Table},
        shape,
    },
};

/// `credentials_file`: `user:password` lines, `#` comments, empty lines.
pub(super) fn read(reader: &mut Reader<'_>, top: &Table<'_>, accounts: &mut Accounts) {
    let key = &CREDENTIALS_FILE;
    let Some(node) = top.find(key) else {
        return;
    };
    accounts.any = true;
    let Some(text) = reader.text(top, key) else {
        return;
    };
    let path = reader.paths.resolve_secret(text);
    match reader.files.read(&path) {
        Ok(content) => read_lines(reader, &path, &content, accounts),
        Err(reason) => {
            let found = format!("{path:?} ({reason})");
            reader.note(Some(node.origin), key.path, found, key.kind.allowed());
        }
    }
}

fn read_lines(reader: &mut Reader<'_>, path: &Path, content: &Content, accounts: &mut Accounts) {
    let text = content.text.trim_start_matches('\u{feff}');
    let lines = (1..).zip(text.lines());
    let lines: Vec<_> = lines
        .filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
        .map(|(number, line)| (number, account_line(line)))
        .collect();
    for (number, account) in &lines {
        let place = Place::file(path, Some(*number));
        match account {
            Ok((username, password)) => {
                let account = Credential {
                    username: (*username).to_owned(),
                    password: Secret::new((*password).to_owned()),
                    sessions: 1,
                    extra: BTreeMap::new(),
                    file: None,
                };
                accounts.admit(reader, place, CREDENTIALS_FILE.path.to_owned(), account);
            }
            Err(found) => reader.problems.push(problem(place, found)),
        }
    }
    if lines.is_empty() && accounts.list.is_empty() {
        let place = Place::file(path, None);
        reader.problems.push(problem(place, "no account"));
    }
    let passwords = lines
        .iter()
        .filter_map(|(_, account)| account.as_ref().ok());
    let passwords = passwords.map(|(_, password)| *password);
    warn_of(reader, &path.display().to_string(), content, passwords);
}

/// Splits a line at its first colon. The error never holds the line, as it may be a password.
fn account_line(line: &str) -> Result<(&str, &str), &'static str> {
    let (username, password) = line.split_once(':').ok_or("a line without a colon")?;
    match username.trim() {
        "" => Err("a line without a user name"),
        name if !shape::user_name(name) => {
            Err("a user name over 256 bytes or with control characters")
        }
        _ if password.is_empty() => Err("a line without a password"),
        name => Ok((name, password)),
    }
}

fn problem(place: Place, found: &str) -> Problem {
    Problem {
        place,
        key: CREDENTIALS_FILE.path.to_owned(),
        found: found.to_owned(),
        allowed: "lines of user:password, # comments, empty lines".to_owned(),
    }
}
