//! `[[credentials]]`, and an account as it stands in a table.

use std::collections::BTreeMap;

use super::{Accounts, Credential, LIST, PASSWORD, PASSWORD_FILE, SESSIONS, USERNAME, password};
use crate::config::{
    section::names_in,
    text::{
        reader::{Reader, Table},
        tree::{Node, Value},
        unknown,
        values::Read,
    },
};

/// `[[credentials]]`.
pub(super) fn read(reader: &mut Reader<'_>, top: &Table<'_>, accounts: &mut Accounts) {
    let Some(node) = top.named(LIST) else {
        return;
    };
    let Value::List(items) = &node.value else {
        let allowed = "a list of accounts (in TOML each under a [[credentials]] of its own)";
        let name = top.dotted(LIST);
        reader.note(Some(node.origin), &name, node.value.kind(), allowed);
        accounts.any = true;
        return;
    };
    accounts.any |= !items.is_empty();
    let known = names_in(LIST);
    for (index, item) in items.iter().enumerate() {
        let name = format!("{}[{index}]", top.dotted(LIST));
        let Some(table) = account_table(reader, top, item, name, &known) else {
            continue;
        };
        let sessions = usize::read(reader, &table, &SESSIONS);
        read_account(reader, &table, sessions, accounts);
    }
}

pub(super) fn account_table<'t>(
    reader: &mut Reader<'_>,
    top: &Table<'t>,
    node: &'t Node,
    name: String,
    known: &[&str],
) -> Option<Table<'t>> {
    let Value::Table(entries) = &node.value else {
        reader.note(
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
    unknown::note(reader, &table, known);
    Some(table)
}

pub(super) fn read_account(
    reader: &mut Reader<'_>,
    table: &Table<'_>,
    sessions: usize,
    accounts: &mut Accounts,
) {
    let username = reader.text(table, &USERNAME);
    let password = password::read(reader, table, (&PASSWORD, &PASSWORD_FILE));
    accounts.inline_passwords |= table.find(&PASSWORD).is_some();
    if let (Some(username), Some((password, file))) = (username, password) {
        let origin = table.find(&USERNAME).map(|node| node.origin);
        let credential = Credential {
            username: username.to_owned(),
            password,
            sessions,
            extra: BTreeMap::new(),
            file,
        };
        accounts.admit(
            reader,
            reader.place(origin),
            table.dotted(USERNAME.leaf()),
            credential,
        );
    }
}
