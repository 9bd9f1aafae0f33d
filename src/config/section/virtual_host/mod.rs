//! `[[virtual_hosts]]`.

use std::collections::BTreeMap;

use super::{YEAR, section};
use crate::config::text::{
    key::{Default as Absent, Key, Kind},
    reader::{Reader, Table},
    shape,
};

mod selection;
mod tables;

pub use selection::{Affinity, Balance, HashKey, Selector};
pub use tables::{CircuitBreaker, Queue, TimeoutOverride, Timeouts};

section! {
    /// `[[virtual_hosts]]`: a host name that clients ask for, and which backends serve it.
    #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    pub struct VirtualHost in "virtual_hosts", then with_split {
        /// In lower case, without a dot at its end; an IPv6 literal in brackets. `*.` and a name stand for all
        /// below that name; `default` for what no other matches. Unique.
        pub domain: String = Key::text(
            "virtual_hosts.domain",
            "a host name or address without a port, \"*.\" and a host name, or \"default\"",
            shape::domain,
            Absent::Required,
        );
        /// The backends with this tag serve it.
        pub enabled_backends_tag: String = Key::text(
            "virtual_hosts.enabled_backends_tag",
            shape::NAME,
            shape::name,
            Absent::Required,
        );
        /// Percent of the clients that the backends with another tag serve, by that tag; together at most 100.
        pub split: BTreeMap<String, u32> = SPLIT;
        /// By what clients are told apart in a split.
        pub split_by: Selector = Key::spelled::<Selector>(
            "virtual_hosts.split_by",
            "\"random\", \"cookie:NAME\", \"header:NAME\" or \"address\"",
            "random",
        );
        /// Which backend of the tag gets a request.
        pub balance: Balance = Key::spelled::<Balance>(
            "virtual_hosts.balance",
            "\"round_robin\", \"least_connections\", \"random_two\", \"hash:address\", \"hash:header:NAME\" or \"hash:cookie:NAME\"",
            "round_robin",
        );
        /// Whether a client stays with its backend.
        pub affinity: Affinity = Key::choice("virtual_hosts.affinity", Affinity::WORDS);
        /// Whether requests without TLS are sent to the same host with it.
        pub http_to_https: bool = Key::flag("virtual_hosts.http_to_https", false);
        /// For how long browsers are told to come with TLS alone; 0: they are not.
        pub hsts_seconds: u64 =
            Key::number("virtual_hosts.hsts_seconds", (0, 10 * YEAR), 0).zero("they are not told");
        /// Most requests under way at once, over all workers; `None`: no bound.
        pub max_concurrent: Option<usize> =
            Key::number("virtual_hosts.max_concurrent", (0, 65_536), 0).zero("no limit");
        /// Who may wait when there are that many.
        pub queue: Queue = Key::table("virtual_hosts.queue");
        /// Status of the answer to who may not: 429 or 503.
        pub reject_status: u16 = Key::new(
            "virtual_hosts.reject_status",
            Kind::OneOf(&[429, 503]),
            Absent::Whole(429),
        );
        /// When its backends are left alone.
        pub circuit_breaker: CircuitBreaker = Key::table("virtual_hosts.circuit_breaker");
        /// Bounds other than its backends' own.
        pub timeouts: Timeouts = Key::table("virtual_hosts.timeouts");
        /// Name of the rate limit that holds for each of its clients.
        pub rate_limit: Option<String> = Key::text(
            "virtual_hosts.rate_limit",
            "a name of [[rate_limits]]",
            shape::name,
            Absent::Unset,
        );
        /// Name of the access list that its clients must pass.
        pub access: Option<String> = Key::text(
            "virtual_hosts.access",
            "a name of [[access]]",
            shape::name,
            Absent::Unset,
        );
        /// `auto`: chosen by its names; `acme`: its own; else one of a certificate's names.
        pub certificate: String = Key::text(
            "virtual_hosts.certificate",
            "\"auto\", \"acme\" or a name of a certificate",
            shape::domain,
            Absent::Text("auto"),
        );
    }
}

const SPLIT: Key = Key::new("virtual_hosts.split", Kind::Percents, Absent::Unset);

/// The domain of the host that takes what no other matches.
pub const DEFAULT_DOMAIN: &str = "default";

impl VirtualHost {
    /// One whose backends are those with `tag`, all else by default.
    #[must_use]
    pub fn of(domain: &str, tag: &str) -> Self {
        Self {
            domain: canonical(domain),
            enabled_backends_tag: tag.to_owned(),
            ..super::defaults()
        }
    }

    /// Every tag whose backends may serve it: the enabled one first.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        let others = self.split.keys().map(String::as_str);
        std::iter::once(self.enabled_backends_tag.as_str())
            .chain(others.filter(|tag| **tag != self.enabled_backends_tag))
    }
}

/// Names are compared without regard to case, and a dot at their end says nothing.
pub(in crate::config) fn canonical(domain: &str) -> String {
    domain
        .strip_suffix('.')
        .unwrap_or(domain)
        .to_ascii_lowercase()
}

fn with_split(host: VirtualHost, reader: &mut Reader<'_>, table: &Table<'_>) -> VirtualHost {
    let origin = table.find(&SPLIT).map(|node| node.origin);
    let name = table.dotted(SPLIT.leaf());
    for tag in host.split.keys().filter(|tag| !shape::name(tag)) {
        let found = crate::config::text::tree::quoted(tag);
        reader.note(origin, &name, found, format!("tags, each {}", shape::NAME));
    }
    let total: u32 = host.split.values().sum();
    if total > 100 {
        let found = format!("{total} percent in all");
        reader.note(origin, &name, found, "at most 100 percent in all");
    }
    VirtualHost {
        domain: canonical(&host.domain),
        ..host
    }
}
