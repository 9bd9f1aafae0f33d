//! A virtual host, and the backends that serve it.

use std::sync::Arc;

use tpp::{
    config::{DEFAULT_DOMAIN, VirtualHost},
    ids::Origin,
    lending::WorkerSettings,
    plan::HostPlan,
};

use super::{
    balance::{Balancer, Turn},
    bounds::Bounds,
    lot,
    member::{Member, Parts},
    pool::TokenPool,
};

/// A virtual host.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) plan: HostPlan,
    /// Its requests are counted by themselves.
    pub(crate) is_counted: bool,
    /// What its requests are limited by; `None`: nothing.
    pub(crate) bounds: Option<Box<Bounds>>,
    /// The line that tells clients with TLS to come with it alone; empty: they are not told.
    pub(crate) hsts: Arc<[u8]>,
    /// The group of its enabled tag.
    enabled: Arc<Group>,
    /// Those that have a part of its clients, the enabled one among them; none if it has all.
    shares: Vec<Share>,
}

/// A group, and the percent of a host's clients that it serves.
#[derive(Debug)]
struct Share {
    group: Arc<Group>,
    percent: f64,
    salt: u64,
}

/// The backends of one tag, as one virtual host uses them.
#[derive(Debug)]
pub(crate) struct Group {
    tag: String,
    /// Where all of them draw their tokens; `None`: they are sent none.
    pub(crate) pool: Option<Arc<TokenPool>>,
    /// What holds before one of them is chosen.
    pub(crate) settings: Arc<WorkerSettings>,
    pub(crate) members: Vec<Member>,
    balancer: Balancer,
}

/// RFC 6797, 6.1.
fn hsts(host: &VirtualHost) -> String {
    match host.hsts_seconds {
        0 => String::new(),
        seconds => format!("Strict-Transport-Security: max-age={seconds}\r\n"),
    }
}

impl Site {
    /// That of `plan`; `before` is the same in an older one.
    pub(crate) fn new(
        (plan, bounds): (HostPlan, Option<Box<Bounds>>),
        parts: Parts<'_>,
        before: Option<&Arc<Self>>,
    ) -> Self {
        let host = &plan.host;
        let group = |tag: &str| {
            let before = before.and_then(|site| site.groups().find(|group| group.tag == tag));
            Arc::new(Group::new(tag, &plan, parts, before))
        };
        let enabled = group(&host.enabled_backends_tag);
        let mut shares: Vec<_> = host
            .split
            .iter()
            .filter(|(tag, percent)| **percent > 0 && **tag != enabled.tag)
            .map(|(tag, percent)| Share {
                group: group(tag),
                percent: f64::from(*percent),
                salt: lot::key(tag.as_bytes()),
            })
            .collect();
        let others: f64 = shares.iter().map(|share| share.percent).sum();
        if !shares.is_empty() && others < 100.0 {
            shares.push(Share {
                group: Arc::clone(&enabled),
                percent: 100.0 - others,
                salt: lot::key(enabled.tag.as_bytes()),
            });
        }
        Self {
            enabled,
            shares,
            is_counted: parts.is_counted,
            bounds,
            hsts: hsts(&plan.host).into_bytes().into(),
            plan,
        }
    }

    /// Its name, unless it stands for several.
    pub(crate) fn exact_name(&self) -> Option<&str> {
        let domain = self.plan.host.domain.as_str();
        (domain != DEFAULT_DOMAIN && !domain.starts_with('*')).then_some(domain)
    }

    fn groups(&self) -> impl Iterator<Item = &Arc<Group>> {
        let others = self.shares.iter().map(|share| &share.group);
        std::iter::once(&self.enabled).chain(others)
    }

    /// The group that serves a client of `key`.
    pub(crate) fn group(&self, key: impl FnOnce() -> u64) -> &Arc<Group> {
        if self.shares.is_empty() {
            return &self.enabled;
        }
        self.share_of(key())
    }

    // Apart from the way of those that divide their clients among no groups.
    #[inline(never)]
    fn share_of(&self, key: u64) -> &Arc<Group> {
        let score = |share: &Share| lot::score(key, share.salt, share.percent);
        let best = self
            .shares
            .iter()
            .max_by(|a, b| score(a).total_cmp(&score(b)));
        best.map_or(&self.enabled, |share| &share.group)
    }
}

impl Group {
    fn new(tag: &str, host: &HostPlan, parts: Parts<'_>, before: Option<&Arc<Self>>) -> Self {
        let members: Vec<_> = parts
            .backends
            .iter()
            .enumerate()
            .filter(|(_, backend)| backend.plan.tags.iter().any(|one| one == tag))
            .map(|(index, _)| Member::new(index, host, parts))
            .collect();
        let pool = members.first().and_then(|member| member.backend.plan.pool);
        let first = members.first().map(|member| &member.settings);
        let desk = members.first().map(|member| &member.backend.desk);
        let row = host.groups.iter().find(|group| group.tag == tag);
        let row = desk.zip(row.map(|group| group.row));
        let turn = Turn::new(row, before.map(|group| group.balancer.turn()));
        Self {
            tag: tag.to_owned(),
            pool: pool.and_then(|index| parts.pools.get(index).cloned()),
            settings: Arc::clone(first.unwrap_or(parts.settings)),
            balancer: Balancer::new(host.host.balance.clone(), &members, turn),
            members,
        }
    }

    /// Its tag.
    pub(crate) fn tag(&self) -> &str {
        &self.tag
    }

    /// Whether tokens of `origin` may be sent to any of them.
    pub(crate) fn serves(&self, origin: Origin) -> bool {
        let mut members = self.members.iter();
        members.any(|member| member.backend.upstream.serves(origin))
    }

    /// Whether the name of any of them has resolved.
    pub(crate) fn has_addresses(&self) -> bool {
        let mut members = self.members.iter();
        members.any(|member| member.backend.upstream.has_addresses())
    }

    /// The next one in turn that `fits`, for a client of `key`.
    pub(crate) fn pick(
        &self,
        key: impl FnOnce() -> u64,
        fits: impl Fn(&Member) -> bool,
    ) -> Option<&Member> {
        self.balancer.pick(&self.members, key, fits)
    }
}
