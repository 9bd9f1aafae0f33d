//! Certificates that tpp gets by itself (ACME, RFC 8555), for hosts with `certificate = "acme"`.
//!
//! When something is done is decided in `schedule`, which is pure; one order is made in `order`; what must outlive the process lies in
//! `store`: a certificate is never ordered anew because a process ended, and neither is a pause cut short by that. One host at a time has its
//! turn, so that one that fails costs the others no more than its try. Workers know nothing of it but what they are to show.

mod failure;
mod order;
mod record;
mod run;
mod schedule;
mod speaker;
mod store;

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tpp::{
    config,
    control::{CertificateStatus, Renewal},
    front::Challenges,
};

use crate::{desired::State, front::Own};
use order::With;
use record::{Record, name_of};
use schedule::Trouble;
use store::Store;

pub(crate) use run::run;

/// The certificates that tpp gets by itself.
#[derive(Debug)]
pub(crate) struct Acme(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    settings: config::Acme,
    store: Store,
    hosts: BTreeMap<String, Host>,
    challenges: Challenges,
    counts: Orders,
}

#[derive(Debug)]
struct Host {
    record: Record,
    is_ordering: bool,
    /// The tries in vain before the one that is under way.
    before: Option<Trouble>,
}

/// Orders by what came of them, since the supervisor began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Orders {
    /// A certificate was given.
    pub issued: u64,
    /// The authority refused, or what it gave could not be used.
    pub refused: u64,
    /// It said that there were too many.
    pub limited: u64,
    /// It could not be reached, or had troubles of its own.
    pub unreachable: u64,
}

/// What is to be done for a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Order,
    Ask,
}

impl Acme {
    /// What `state` wants, with what is kept of it.
    pub(crate) fn first(state: &State) -> Self {
        let acme = Self(Mutex::new(Inner {
            settings: state.file.front.acme.clone(),
            store: Store::new(&state.file.state_directory),
            hosts: BTreeMap::new(),
            challenges: Challenges::default(),
            counts: Orders::default(),
        }));
        acme.take(state);
        acme
    }

    /// What is wanted from now on. It reads the files of hosts that are new.
    fn take(&self, state: &State) {
        let wanted = || state.gateway.own_hosts();
        let store = self.inner().store.clone();
        let known = |domain: &str| self.inner().hosts.contains_key(domain);
        let new = wanted().filter(|domain| !known(domain));
        // Without the lock: whoever asks how things are does not wait for a disk.
        let mut loaded: BTreeMap<_, _> = new.map(|domain| (domain, store.load(domain))).collect();
        let mut inner = self.inner();
        let mut before = std::mem::take(&mut inner.hosts);
        inner.settings = state.file.front.acme.clone();
        for domain in wanted() {
            let host = before.remove(domain).unwrap_or_else(|| Host {
                record: loaded.remove(domain).unwrap_or_default(),
                is_ordering: false,
                before: None,
            });
            inner.hosts.insert(domain.to_owned(), host);
        }
    }

    /// What clients, and authorities, are to be shown.
    pub(crate) fn own(&self) -> Own {
        let inner = self.inner();
        let hosts = inner.hosts.iter();
        Own {
            certificates: hosts
                .filter_map(|(domain, host)| Some(host.record.held.as_ref()?.shown(domain)))
                .collect(),
            challenges: inner.challenges.clone(),
        }
    }

    /// How each certificate stands.
    pub(crate) fn certificates(&self) -> Vec<CertificateStatus> {
        let inner = self.inner();
        let with = with(&inner.settings);
        let hosts = inner.hosts.iter();
        hosts
            .map(|(domain, host)| {
                let about = host.record.held.as_ref().map(|held| held.certified.about());
                CertificateStatus {
                    name: name_of(domain),
                    hosts: about.map_or_else(|| vec![domain.clone()], |about| about.names.clone()),
                    issuer: about.map_or_else(String::new, |about| about.issuer.clone()),
                    source: inner.settings.url().to_owned(),
                    not_after: about.map_or(0, |about| about.not_after),
                    error: None,
                    renewal: Some(host.renewal(inner.settings.url(), &with)),
                }
            })
            .collect()
    }

    /// Orders so far; `None`: there are none, and never were.
    pub(crate) fn orders(&self) -> Option<Orders> {
        let inner = self.inner();
        (inner.settings.enabled || inner.counts != Orders::default()).then_some(inner.counts)
    }

    /// What is to be done first, when, and for whom.
    fn next(&self) -> Option<(u64, Step, String)> {
        let inner = self.inner();
        let with = with(&inner.settings);
        let steps = inner.hosts.iter().flat_map(|(domain, host)| {
            let case = host.record.case(inner.settings.url(), &with);
            let order = (case.order_at(), Step::Order, domain.clone());
            let ask = case.ask_at().map(|at| (at, Step::Ask, domain.clone()));
            ask.into_iter().chain([order])
        });
        steps.min()
    }

    /// By what orders are made now.
    fn with(&self) -> With {
        let inner = self.inner();
        With {
            settings: inner.settings.clone(),
            store: inner.store.clone(),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing that holds the guard can panic half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// With what a certificate is ordered: after a change of it, pauses after tries in vain are over.
fn with(settings: &config::Acme) -> String {
    let bound = settings.eab_kid.as_deref().unwrap_or_default();
    format!("{} {} {bound}", settings.url(), settings.challenge.word())
}

impl Host {
    fn renewal(&self, authority: &str, with: &str) -> Renewal {
        let trouble = if self.is_ordering {
            self.before.as_ref()
        } else {
            self.record.trouble.as_ref()
        };
        let state = match trouble {
            _ if self.is_ordering => "ordering",
            Some(_) => "failing",
            None => "waiting",
        };
        Renewal {
            state: state.to_owned(),
            next_at: self.record.case(authority, with).order_at(),
            failures: trouble.map_or(0, |trouble| trouble.failures),
            error: trouble.map(|trouble| trouble.words.clone()),
        }
    }
}

#[cfg(test)]
mod tests;
