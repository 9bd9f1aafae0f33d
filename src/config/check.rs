//! Tree to [`Config`]: one walk that gathers every problem.
//!
//! A value that does not fit is noted and its default taken in its stead, so that the walk goes on. The
//! configuration that comes out counts only when nothing was noted.

use super::{
    Config,
    section::{self, Section, credentials, listen::Listen, token::Token},
    text::{
        reader::{Overrides, Reader, Table},
        tree::{Node, Value},
        unknown,
    },
};

/// What came out of a file.
pub(super) struct Checked {
    pub(super) config: Config,
    /// Whether the file itself holds passwords, not only the names of files that do.
    pub(super) inline_passwords: bool,
}

/// Walks the whole tree.
pub(super) fn config(reader: &mut Reader<'_>, root: &Node, overrides: &Overrides) -> Checked {
    let entries = match &root.value {
        Value::Table(entries) => entries.as_slice(),
        Value::Null => &[],
        other => {
            // Its text is not shown: this may be a file of passwords, named by mistake.
            reader.note(Some(root.origin), "", other.kind(), "a table of keys");
            &[]
        }
    };
    let top = Table {
        name: String::new(),
        origin: None,
        entries,
        overrides,
    };
    let names = section::names_at_top(reader.format);
    unknown::note(reader, &top, &names);
    let listen = Listen::read(reader, &top);
    let workers = read(reader, &top);
    let upstream = read(reader, &top);
    let token_table = section::open::<Token>(reader, &top);
    let accounts = credentials::read(reader, &top, &token_table);
    let config = Config {
        listen: listen.listen,
        trust_forwarded: listen.trust_forwarded,
        health_listen: listen.health_listen,
        control_socket: listen.control_socket,
        workers,
        upstream,
        client: read(reader, &top),
        token: Token::read(reader, &token_table),
        lease: read(reader, &top),
        credentials: accounts.list,
        telemetry: read(reader, &top),
        load_warnings: Vec::new(),
    };
    Checked {
        config,
        inline_passwords: accounts.inline_passwords,
    }
}

fn read<S: Section>(reader: &mut Reader<'_>, top: &Table<'_>) -> S {
    let table = section::open::<S>(reader, top);
    S::read(reader, &table)
}
