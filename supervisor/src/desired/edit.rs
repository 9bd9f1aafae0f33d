//! The changes that the API makes, each from one state to the next. Pure.

use serde_json::Value;
use tpp::config::{self, Backend, BackendState, Gateway, Place, Problem, VirtualHost};

use super::{
    overlay::Source,
    resource::Resource,
    state::{State, shown},
};

/// Why a change is not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such entry.
    NotFound,
    /// There is one of that name.
    Exists,
    /// It cannot be, as things are.
    Conflict(String),
    /// The entry is not the one that the change was meant for, but this version.
    Stale(u64),
    /// What was given is wrong.
    Invalid(Vec<Problem>),
    /// It is right, and cannot be kept or put in force.
    Failed(String),
}

type Next = Result<State, Refusal>;

impl State {
    /// Makes the entry that stands in `json`; its name comes along.
    pub fn create<T: Resource>(&self, json: &Value) -> Result<(Self, String), Refusal> {
        let entry = T::of_json(json, &self.file).map_err(Refusal::Invalid)?;
        let name = entry.name().to_owned();
        if self.find::<T>(&name).is_some() {
            return Err(Refusal::Exists);
        }
        let next = self.with(entry).map_err(Refusal::Invalid)?;
        Ok((next, name))
    }

    /// Lays `body` over the entry `name`: what it leaves out stays, a null clears. If a version is `expected` the entry must be it.
    pub fn edit<T: Resource>(
        &self,
        name: &str,
        (body, how): (&Value, config::Overlay),
        expected: Option<u64>,
    ) -> Next {
        let before = self.expect::<T>(name, expected)?;
        let entry = before
            .laid_over(body, how, &self.file)
            .map_err(Refusal::Invalid)?;
        if entry.name() != name {
            let found = format!("{:?}", entry.name());
            let problem = problem(T::NAME_KEY, found, format!("{name:?}: names do not change"));
            return Err(Refusal::Invalid(vec![problem]));
        }
        self.with(entry).map_err(Refusal::Invalid)
    }

    /// Takes the entry `name` away. `force`: even if it is the last backend of a tag in use.
    pub fn delete<T: Resource>(&self, name: &str, expected: Option<u64>, force: bool) -> Next {
        self.expect::<T>(name, expected)?;
        if self.source::<T>(name) != Source::Api {
            let what = format!("{} {name} stands in the configuration file", T::KIND);
            return Err(Refusal::Conflict(what));
        }
        self.without::<T>(name, force).map_err(|problems| {
            let lines: Vec<_> = problems.iter().map(shown).collect();
            Refusal::Conflict(lines.join("; "))
        })
    }

    /// Has backends with `tag` serve `domain`: all of its clients, or so many percent.
    pub fn switch(&self, domain: &str, tag: &str, percent: Option<u32>) -> Next {
        let host = self.expect::<VirtualHost>(domain, None)?;
        if tagged(&self.gateway, tag).next().is_none() {
            return Err(Refusal::Conflict(format!("no backend has the tag {tag:?}")));
        }
        let mut host = host.clone();
        match percent {
            None | Some(100) => {
                tag.clone_into(&mut host.enabled_backends_tag);
                host.split.clear();
            }
            Some(0) => {
                host.split.remove(tag);
            }
            Some(percent) if tag != host.enabled_backends_tag => {
                host.split.insert(tag.to_owned(), percent);
            }
            Some(percent) => {
                let problem = problem("percent", percent.to_string(), "100 for the enabled tag");
                return Err(Refusal::Invalid(vec![problem]));
            }
        }
        self.with(host).map_err(Refusal::Invalid)
    }

    /// Says what an administrator wants of backend `id`.
    pub fn set_state(&self, id: &str, state: BackendState) -> Next {
        let before = self.expect::<Backend>(id, None)?;
        let backend = Backend {
            state,
            ..before.clone()
        };
        self.with(backend).map_err(Refusal::Invalid)
    }

    fn expect<T: Resource>(&self, name: &str, expected: Option<u64>) -> Result<&T, Refusal> {
        let entry = self.find::<T>(name).ok_or(Refusal::NotFound)?;
        let version = expected.map(|_| entry.version());
        match version {
            Some(version) if expected != Some(version) => Err(Refusal::Stale(version)),
            _ => Ok(entry),
        }
    }
}

/// The backends that have `tag`.
pub fn tagged<'a>(gateway: &'a Gateway, tag: &'a str) -> impl Iterator<Item = &'a Backend> + 'a {
    let has = move |one: &&Backend| one.tags.iter().any(|own| own == tag);
    gateway.backends.iter().filter(has)
}

fn problem(key: &str, found: impl Into<String>, allowed: impl Into<String>) -> Problem {
    Problem {
        place: Place::Body,
        key: key.to_owned(),
        found: found.into(),
        allowed: allowed.into(),
    }
}
