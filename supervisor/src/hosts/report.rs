//! What there is to see, in the words of the control socket and the API.

use std::collections::BTreeMap;

use serde::Serialize;
use tpp::control::{EtcdStatus, HostLine, HostsStatus, SharedPoolStatus};
use tpp_hosts::{
    Reason, Status,
    status::{HostRow, Sums},
};

use super::{Hosts, MemberStatus, SharedPool};

impl Hosts {
    /// All there is to see.
    pub(crate) fn status(&self) -> HostsStatus {
        let seen = self.common.seen().clone();
        HostsStatus {
            name: self.name().to_owned(),
            cluster: self.cluster().to_owned(),
            pools: seen
                .pools
                .iter()
                .map(|(name, pool)| (name.clone(), shown(pool)))
                .collect(),
            members: seen.members.iter().map(member).collect(),
        }
    }
}

fn shown(pool: &SharedPool) -> SharedPoolStatus {
    let Some(status) = &pool.status else {
        return SharedPoolStatus {
            phase: "starting".to_owned(),
            ready: false,
            waits_for: pool.waits_for.clone(),
            ..SharedPoolStatus::default()
        };
    };
    let Status {
        phase,
        lend_margin_ms,
        lend_limit_ms,
        home_margin_ms,
        hosts,
        sessions,
        unclaimed,
        format,
        newest_format,
        held_back_by,
        sums,
        remarks,
    } = status;
    SharedPoolStatus {
        phase: word(phase),
        ready: pool.is_ready,
        waits_for: None,
        lend_margin_ms: *lend_margin_ms,
        lend_limit_ms: *lend_limit_ms,
        home_margin_ms: *home_margin_ms,
        sessions: *sessions,
        unclaimed: *unclaimed,
        format: *format,
        newest_format: *newest_format,
        held_back_by: held_back_by.clone(),
        hosts: hosts.iter().map(line).collect(),
        moved: moved(sums),
        lapses: sums.lapses,
        fenced: sums.fenced,
        remarks: remarks.clone(),
    }
}

fn line(host: &HostRow) -> HostLine {
    HostLine {
        name: host.name.clone(),
        me: host.me,
        state: word(&host.state),
        beat_ms: host.beat_ms,
        floating: host.floating,
        home: host.home,
        in_use: host.in_use,
        idle: host.idle,
        waiting: host.waiting,
        oldest_ms: host.oldest_ms,
        version: host.version.clone(),
        formats: host.formats.into(),
        config: host.config.clone(),
        differs: host.differs,
    }
}

fn member(member: &MemberStatus) -> EtcdStatus {
    EtcdStatus {
        endpoint: member.endpoint.clone(),
        version: member.version.clone(),
        db_bytes: member.db_bytes,
        trouble: member.trouble.clone(),
    }
}

/// Those that came and those that went, by reason.
fn moved(sums: &Sums) -> BTreeMap<String, u64> {
    let mut moved: BTreeMap<String, u64> = BTreeMap::new();
    let both: [&BTreeMap<Reason, u64>; 2] = [&sums.took, &sums.gave];
    for (reason, count) in both.into_iter().flatten() {
        *moved.entry(word(reason)).or_default() += count;
    }
    moved
}

/// As it is written in JSON.
fn word(of: &impl Serialize) -> String {
    let value = serde_json::to_value(of).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}
