//! The accounts: `[[credentials]]`, the lines of `credentials_file`, and the predecessor's `credential`.

use std::collections::BTreeMap;

use super::{
    Credential, MAX_SESSIONS, Secret,
    file::{self, Content},
    key::Key,
    problem::{Place, Problem},
    reader::{Check, Table},
    schema, shape,
    tree::{Node, Value},
    unknown,
};

/// Reads all accounts. `token` is the section in which the predecessor kept its number of sessions.
pub(super) fn read(check: &mut Check<'_>, top: &Table<'_>, token: &Table<'_>) -> Vec<Credential> {
    let mut accounts = Accounts::default();
    read_single(check, top, token, &mut accounts);
    read_list(check, top, &mut accounts);
    read_file(check, top, &mut accounts);
    accounts.finish(check)
}

/// What has been read so far.
#[derive(Default)]
struct Accounts {
    list: Vec<Credential>,
    /// Where each user name was met first.
    first: BTreeMap<String, Place>,
    /// Whether there was an account at all, sound or not.
    any: bool,
}

impl Accounts {
    /// Takes an account in, unless its user has one already.
    fn admit(&mut self, check: &mut Check<'_>, place: Place, key: String, credential: Credential) {
        if let Some(first) = self.first.get(&credential.username) {
            let found = format!("{:?} again (first in {first})", credential.username);
            let allowed = "each user name once; sessions sets how many tokens it draws".to_owned();
            check.problems.push(Problem {
                place,
                key,
                found,
                allowed,
            });
            return;
        }
        self.first.insert(credential.username.clone(), place);
        self.list.push(credential);
    }

    fn finish(self, check: &mut Check<'_>) -> Vec<Credential> {
        let total: usize = self
            .list
            .iter()
            .map(|one| one.sessions)
            .fold(0, usize::saturating_add);
        if !self.any {
            let allowed = "at least one account, in [[credentials]] or credentials_file";
            check.note(None, schema::CREDENTIALS, "nothing", allowed);
        } else if total > MAX_SESSIONS {
            let allowed = format!("at most {MAX_SESSIONS} sessions in all");
            check.note(
                None,
                schema::CREDENTIALS,
                format!("{total} sessions in all"),
                allowed,
            );
        }
        self.list
    }
}

/// `[[credentials]]`.
fn read_list(check: &mut Check<'_>, top: &Table<'_>, accounts: &mut Accounts) {
    let Some(node) = top.named(schema::CREDENTIALS) else {
        return;
    };
    let Value::List(items) = &node.value else {
        let allowed = "a list of accounts (in TOML each under a [[credentials]] of its own)";
        check.note(
            Some(node.origin),
            schema::CREDENTIALS,
            node.value.kind(),
            allowed,
        );
        accounts.any = true;
        return;
    };
    accounts.any |= !items.is_empty();
    for (index, item) in items.iter().enumerate() {
        let name = format!("{}[{index}]", schema::CREDENTIALS);
        let known = unknown::names_in(schema::CREDENTIALS, check.format);
        let Some(table) = account_table(check, top, item, name, &known) else {
            continue;
        };
        let sessions = check.count(&table, &schema::SESSIONS);
        read_account(check, &table, sessions, accounts);
    }
}

/// The predecessor's `credential`, whose `token.pool_size` says how many sessions to draw.
fn read_single(check: &mut Check<'_>, top: &Table<'_>, token: &Table<'_>, accounts: &mut Accounts) {
    if check.format != file::Format::Yaml {
        return;
    }
    let key = &schema::POOL_SIZE;
    let Some(node) = top.named(schema::CREDENTIAL) else {
        if let Some(size) = token.find(key) {
            let allowed =
                "pool_size beside credential alone; with credentials write sessions in each";
            check.note(Some(size.origin), key.path, size.value.describe(), allowed);
        }
        return;
    };
    accounts.any = true;
    let known: Vec<_> = unknown::names_in(schema::CREDENTIALS, check.format)
        .into_iter()
        .filter(|name| *name != schema::SESSIONS.leaf())
        .collect();
    let sessions = check.count(token, key);
    if let Some(table) = account_table(check, top, node, schema::CREDENTIAL.to_owned(), &known) {
        read_account(check, &table, sessions, accounts);
    }
}

fn account_table<'t>(
    check: &mut Check<'_>,
    top: &Table<'t>,
    node: &'t Node,
    name: String,
    known: &[&str],
) -> Option<Table<'t>> {
    let Value::Table(entries) = &node.value else {
        check.note(
            Some(node.origin),
            &name,
            node.value.kind(),
            "a table with username and password",
        );
        return None;
    };
    let origin = Some(node.origin);
    let table = Table {
        name,
        origin,
        entries,
        overrides: top.overrides,
    };
    unknown::note(check, &table, known);
    Some(table)
}

fn read_account(
    check: &mut Check<'_>,
    table: &Table<'_>,
    sessions: usize,
    accounts: &mut Accounts,
) {
    let username = check.text(table, &schema::USERNAME);
    let password = read_password(check, table);
    if let (Some(username), Some(password)) = (username, password) {
        let origin = table.find(&schema::USERNAME).map(|node| node.origin);
        let credential = Credential {
            username: username.to_owned(),
            password,
            sessions,
        };
        accounts.admit(
            check,
            check.place(origin),
            table.dotted(schema::USERNAME.leaf()),
            credential,
        );
    }
}

fn read_password(check: &mut Check<'_>, table: &Table<'_>) -> Option<Secret> {
    let (inline, file) = (&schema::PASSWORD, &schema::PASSWORD_FILE);
    match (table.find(inline), table.find(file)) {
        (Some(_), None) => {
            check.inline_passwords = true;
            check.read(table, inline, |value| match value {
                Value::Text(text) if !text.is_empty() => Some(Secret::new(text.to_string())),
                _ => None,
            })
        }
        (None, Some(node)) => {
            let text = check.text(table, file)?;
            let path = check.paths.resolve_secret(text);
            let refuse = |check: &mut Check<'_>, reason: &str| {
                let found = format!("{path:?} ({reason})");
                check.note(
                    Some(node.origin),
                    &table.dotted(file.leaf()),
                    found,
                    file.kind.allowed(),
                );
                None
            };
            match file::read(&path) {
                Err(reason) => refuse(check, &reason),
                Ok(content) => match password_in(&content) {
                    "" => refuse(check, "empty"),
                    password => {
                        warn_of(check, &path.display().to_string(), &content, &[password]);
                        Some(Secret::new(password.to_owned()))
                    }
                },
            }
        }
        (inline, _) => {
            let found = if inline.is_some() {
                "password and password_file"
            } else {
                "neither password nor password_file"
            };
            check.note(table.origin, &table.name, found, "one of the two");
            None
        }
    }
}

/// The whole content, less the line break with which editors end a file.
fn password_in(content: &Content) -> &str {
    let text = content.text.as_str();
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

/// `credentials_file`: `user:password` lines, `#` comments, empty lines.
fn read_file(check: &mut Check<'_>, top: &Table<'_>, accounts: &mut Accounts) {
    let key = &schema::CREDENTIALS_FILE;
    let Some(node) = top.find(key) else {
        return;
    };
    accounts.any = true;
    let Some(text) = check.text(top, key) else {
        return;
    };
    let path = check.paths.resolve_secret(text);
    let content = match file::read(&path) {
        Ok(content) => content,
        Err(reason) => {
            let found = format!("{path:?} ({reason})");
            return check.note(Some(node.origin), key.path, found, key.kind.allowed());
        }
    };
    let mut passwords = Vec::new();
    let mut lines = 0_usize;
    for (index, line) in content
        .text
        .trim_start_matches('\u{feff}')
        .lines()
        .enumerate()
    {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        lines += 1;
        let place = Place::file(&path, Some(index + 1));
        match account_line(line) {
            Ok((username, password)) => {
                passwords.push(password);
                let (username, password) = (username.to_owned(), Secret::new(password.to_owned()));
                accounts.admit(
                    check,
                    place,
                    key.path.to_owned(),
                    Credential {
                        username,
                        password,
                        sessions: 1,
                    },
                );
            }
            Err(found) => check.problems.push(line_problem(place, key, found)),
        }
    }
    if lines == 0 && accounts.list.is_empty() {
        check
            .problems
            .push(line_problem(Place::file(&path, None), key, "no account"));
    }
    warn_of(check, &path.display().to_string(), &content, &passwords);
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

fn line_problem(place: Place, key: &Key, found: &str) -> Problem {
    Problem {
        place,
        key: key.path.to_owned(),
        found: found.to_owned(),
        allowed: "lines of user:password, # comments, empty lines".to_owned(),
    }
}

/// What is odd about a file of passwords, but no error.
fn warn_of(check: &mut Check<'_>, path: &str, content: &Content, passwords: &[&str]) {
    if content.open_to_all {
        check.warnings.push(open_to_all(path));
    }
    if passwords
        .iter()
        .any(|password| password.ends_with(char::is_whitespace))
    {
        check.warnings.push(format!(
            "{path}: a password ends in white space, which is taken as part of it"
        ));
    }
}

/// The warning about a file that all users of the machine may read.
pub(super) fn open_to_all(path: &str) -> String {
    format!("{path} holds passwords and every user of this machine may read it; chmod o-r helps")
}
