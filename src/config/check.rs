//! Tree to [`Config`]: one walk that gathers every problem.
//!
//! A value that does not fit is noted and its default taken in its stead, so that the walk goes on. The
//! configuration that comes out counts only when nothing was noted.

use super::{
    Config,
    front::{Elsewhere, Front},
    gateway::{Conflict, plain::Top},
    section::{
        self, Section,
        api::{self, Api, ApiListen},
        backend::Backend,
        credentials,
        hosts::{self, Hosts},
        listen::{self, Listen},
        metrics::{self, Metrics},
        telemetry::Telemetry,
        token::Token,
        upstream::{self, Upstream},
    },
    text::{
        reader::{Overrides, Reader, Table},
        tree::{Entry, Node, Origin, Value},
        unknown,
    },
};
use crate::api_tokens::ApiTokens;

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
    reader.gateway = top.named(Backend::NAME).is_some();
    let mut checked = sections(reader, &top);
    let config = &mut checked.config;
    listen::note_overlap_of_api(reader, &top, config);
    note_conflicts(reader, root, config);
    if reader.gateway && config.upstream.host == NO_HOST {
        // Who looks for one server finds the first.
        if let Some(first) = config.gateway.backends.first() {
            config.upstream.host.clone_from(&first.upstream.host);
            config.upstream.port = first.upstream.port;
        }
    }
    checked
}

fn sections(reader: &mut Reader<'_>, top: &Table<'_>) -> Checked {
    let listen = Listen::read(reader, top);
    let workers = section::read(reader, top);
    let upstream = upstream(reader, top);
    let token_table = section::open::<Token>(reader, top);
    let accounts = credentials::read(reader, top, &token_table);
    let client = section::read(reader, top);
    let token = Token::read_table(reader, &token_table, None);
    let lease = section::read(reader, top);
    let telemetry: Telemetry = section::read(reader, top);
    let metrics_table = section::open::<Metrics>(reader, top);
    let metrics = Metrics::read_table(reader, &metrics_table, None);
    let has_inline_token = metrics_table.find(&metrics::TOKEN).is_some();
    let declared = Top {
        upstream: &upstream,
        token: &token,
        lease: &lease,
        credentials: &accounts.list,
    };
    let gateway = declared.gateway(reader, top);
    let (api, api_tokens) = api(reader, top);
    let front = Front::read(reader, top);
    let has_inline_key =
        front.acme.eab_hmac_key.is_some() && front.acme.eab_hmac_key_file.is_none();
    let has_inline_headers =
        telemetry.otlp_headers.is_some() && telemetry.otlp_headers_file.is_none();
    let hosts = hosts(reader, top);
    let config = Config {
        listen: listen.listen,
        trust_forwarded: listen.trust_forwarded,
        trusted_proxies: listen.trusted_proxies,
        health_listen: listen.health_listen,
        control_socket: listen.control_socket,
        state_directory: listen.state_directory,
        workers,
        upstream,
        client,
        token,
        lease,
        credentials: accounts.list,
        telemetry,
        front,
        metrics,
        gateway,
        api,
        api_tokens,
        hosts,
        load_warnings: Vec::new(),
    };
    Checked {
        config,
        inline_passwords: accounts.inline_passwords
            || has_inline_token
            || has_inline_key
            || has_inline_headers,
    }
}

/// Stands for the host of a file that has none, and whose backends bring their own.
const NO_HOST: &str = "none";

/// With backends there need be no host.
fn upstream(reader: &mut Reader<'_>, top: &Table<'_>) -> Upstream {
    let mut table = section::open::<Upstream>(reader, top);
    if !reader.gateway || table.find(&upstream::HOST).is_some() {
        return Upstream::read_table(reader, &table, None);
    }
    let mut entries = table.entries.to_vec();
    entries.push(Entry {
        name: upstream::HOST.leaf().to_owned(),
        node: Node::text(Origin::Line(1), NO_HOST),
    });
    table.entries = &entries;
    Upstream::read_table(reader, &table, None)
}

/// There is none where it listens nowhere.
fn api(reader: &mut Reader<'_>, top: &Table<'_>) -> (Option<Api>, Option<ApiTokens>) {
    let table = section::open::<Api>(reader, top);
    let api = Api::read_table(reader, &table, None);
    let tokens = api::tokens(reader, &table, &api);
    (table.find(&api::LISTEN).map(|_| api), tokens)
}

/// There are none where nothing stands in the table.
fn hosts(reader: &mut Reader<'_>, top: &Table<'_>) -> Option<Hosts> {
    let table = section::open::<Hosts>(reader, top);
    if table.entries.is_empty() {
        return None;
    }
    let hosts = Hosts::read_table(reader, &table, None);
    hosts::check_password(reader, &table, &hosts);
    Some(hosts)
}

/// Notes what entries have wrong with each other, but for what has been found wrong by itself.
fn note_conflicts(reader: &mut Reader<'_>, root: &Node, config: &Config) {
    let conflicts = config.conflicts(&config.gateway).into_iter();
    for conflict in conflicts.chain(of_front(config)) {
        let field = conflict.field();
        if reader
            .problems
            .iter()
            .any(|noted| noted.key.starts_with(&field))
        {
            continue;
        }
        let origin = origin_of(root, &conflict);
        reader.note(origin, &field, conflict.found, conflict.allowed);
    }
}

fn of_front(config: &Config) -> Vec<Conflict> {
    let mut others = vec![(listen::HEALTH_LISTEN.path, config.health_listen)];
    if let Some(ApiListen::Tcp(address)) = config.api.as_ref().map(|api| &api.listen) {
        others.push((api::LISTEN.path, *address));
    }
    let elsewhere = Elsewhere {
        listen: &config.listen,
        others,
    };
    config.front.check(&elsewhere, &config.trusted_proxies)
}

/// Where the key stands, or its entry if it does not.
fn origin_of(root: &Node, conflict: &Conflict) -> Option<Origin> {
    let Value::List(items) = &named(root, conflict.list)?.value else {
        return None;
    };
    let entry = items.get(conflict.index)?;
    Some(named(entry, conflict.key).unwrap_or(entry).origin)
}

fn named<'n>(table: &'n Node, name: &str) -> Option<&'n Node> {
    let Value::Table(entries) = &table.value else {
        return None;
    };
    let entry = entries.iter().find(|entry| entry.name == name)?;
    Some(&entry.node)
}
