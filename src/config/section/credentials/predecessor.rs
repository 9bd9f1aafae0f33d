//! The first tpp's one account, read in YAML alone: its `credential`, and `token.pool_size` for its sessions.

use super::{Accounts, LIST, MAX_SESSIONS, SESSIONS, list};
use crate::config::{
    section::{self, Section, token::Token},
    text::{
        key::Key,
        notation::Format,
        reader::{Reader, Table},
        values::Read,
    },
};

const CREDENTIAL: &str = "credential";
const POOL_SIZE: Key = Key::number("token.pool_size", (1, MAX_SESSIONS as u64), 10);

/// The names that a file of this format may have at its top besides the others.
pub(in crate::config) fn names_at_top(format: Format) -> Option<&'static str> {
    (format == Format::Yaml).then_some(CREDENTIAL)
}

/// The same for a section.
pub(in crate::config) fn names_in(section: &str, format: Format) -> Option<&'static str> {
    (format == Format::Yaml && section == Token::NAME).then(|| POOL_SIZE.leaf())
}

/// The predecessor's `credential`, whose `token.pool_size` says how many sessions to draw.
pub(super) fn read(
    reader: &mut Reader<'_>,
    top: &Table<'_>,
    token: &Table<'_>,
    accounts: &mut Accounts,
) {
    if reader.format != Format::Yaml {
        return;
    }
    let key = &POOL_SIZE;
    let Some(node) = top.named(CREDENTIAL) else {
        if let Some(size) = token.find(key) {
            let allowed =
                "pool_size beside credential alone; with credentials write sessions in each";
            reader.note(Some(size.origin), key.path, size.value.describe(), allowed);
        }
        return;
    };
    accounts.any = true;
    let known: Vec<_> = section::names_in(LIST)
        .into_iter()
        .filter(|name| *name != SESSIONS.leaf())
        .collect();
    let sessions = usize::read(reader, token, key);
    if let Some(table) = list::account_table(reader, top, node, CREDENTIAL.to_owned(), &known) {
        list::read_account(reader, &table, sessions, accounts);
    }
}
