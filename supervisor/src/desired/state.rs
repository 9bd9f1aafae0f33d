//! The desired state: what the file declares and what was changed by API, as one value that never changes. Pure.

use std::{collections::BTreeSet, sync::Arc};

use tpp::config::{Backend, Config, Conflict, Gateway, Place, Problem, Rule, VirtualHost};

use super::{
    lay::{Laid, lay},
    overlay::{Change, Overlay, Source},
    resource::Resource,
    store::{Rejected, Saved, SavedChange},
};

/// The desired state.
#[derive(Debug, Clone)]
pub struct State {
    /// Changes made so far, over all supervisors.
    pub revision: u64,
    /// What the file says.
    pub file: Arc<Config>,
    overlay: Overlay,
    /// Both together: what is to be in force.
    pub gateway: Arc<Gateway>,
    /// What was kept and cannot be used.
    pub rejected: Vec<Rejected>,
    /// What another file has put an end to, a sentence each.
    pub dropped: Vec<String>,
    /// Pools that lend nothing for now; `None`: none was ever paused or resumed, as far as it was kept.
    pub(crate) paused: Option<BTreeSet<String>>,
}

impl State {
    /// What the file declares, and of what was kept all that can still be used.
    pub(crate) fn restored(file: Arc<Config>, saved: Option<Saved>) -> Self {
        let mut state = Self {
            revision: saved.as_ref().map_or(0, |saved| saved.revision),
            gateway: Arc::new(file.gateway.clone()),
            file,
            overlay: Overlay::default(),
            rejected: Vec::new(),
            dropped: Vec::new(),
            paused: saved.as_ref().and_then(|saved| saved.paused.clone()),
        };
        if let Some(saved) = saved {
            // What was set aside may fit again.
            let (of_backends, of_domains): (Vec<_>, Vec<_>) = saved
                .rejected
                .into_iter()
                .partition(|one| one.kind == Backend::KIND);
            state.read::<Backend>(saved.backends, of_backends);
            state.read::<VirtualHost>(saved.domains, of_domains);
            state.lay_anew();
            state.set_aside_what_conflicts();
        }
        state
    }

    fn read<T: Resource>(&mut self, saved: Vec<SavedChange>, set_aside: Vec<Rejected>) {
        let again = set_aside.into_iter().map(|one| one.change);
        for one in saved.into_iter().chain(again) {
            match read_change::<T>(&one, &self.file) {
                Ok(change) => {
                    let name = change.entry.name().to_owned();
                    T::changes_mut(&mut self.overlay).insert(name, change);
                }
                Err(reason) => self.reject::<T>(one, reason),
            }
        }
    }

    fn reject<T: Resource>(&mut self, change: SavedChange, reason: String) {
        let kind = T::KIND.to_owned();
        self.rejected.push(Rejected {
            kind,
            change,
            reason,
        });
    }

    fn lay_anew(&mut self) {
        let laid = lay(&self.file.gateway, &self.overlay);
        self.gateway = Arc::new(laid.gateway);
        self.overlay = laid.overlay;
        self.dropped.extend(laid.dropped);
    }

    /// The file alone goes together, so that something of the overlay is at fault in each conflict.
    fn set_aside_what_conflicts(&mut self) {
        while let Some(conflict) = conflicts(&self.file, &self.gateway).into_iter().next() {
            let at = conflict.index;
            let backends = self.gateway.backends.get(at);
            let domains = self.gateway.virtual_hosts.get(at);
            let reason = said(&conflict);
            let was_found = if conflict.list == "backends" {
                let name = backends.map(|one| one.id.clone());
                self.set_aside::<Backend>(name, &reason)
            } else {
                let name = domains.map(|one| one.domain.clone());
                self.set_aside::<VirtualHost>(name, &reason)
            };
            // One that the file declares is named, so that it is another one's fault.
            let someone = was_found
                || self
                    .set_aside::<VirtualHost>(self.overlay.domains.keys().last().cloned(), &reason)
                || self.set_aside::<Backend>(self.overlay.backends.keys().last().cloned(), &reason);
            if !someone {
                return;
            }
            self.lay_anew();
        }
    }

    fn set_aside<T: Resource>(&mut self, name: Option<String>, reason: &str) -> bool {
        let changes = T::changes_mut(&mut self.overlay);
        let change = name.and_then(|name| changes.remove(&name));
        let Some(change) = change else {
            return false;
        };
        self.reject::<T>(written(&change), reason.to_owned());
        true
    }

    /// The same under another file.
    ///
    /// # Errors
    /// If what was changed by API does not go together with it.
    pub(crate) fn under(&self, file: Arc<Config>) -> Result<Self, Vec<Problem>> {
        let laid = lay(&file.gateway, &self.overlay);
        self.next(file, laid, "")
    }

    /// The same with `entry` in place of the one of its name, or besides the others.
    ///
    /// # Errors
    /// If it does not go together with the others.
    pub(crate) fn with<T: Resource>(&self, entry: T) -> Result<Self, Vec<Problem>> {
        let mut overlay = self.overlay.clone();
        let name = entry.name().to_owned();
        let declared = find(T::list(&self.file.gateway), &name).cloned();
        let changes = T::changes_mut(&mut overlay);
        // What is again as the file has it overrides nothing.
        if declared.as_ref() == Some(&entry) {
            changes.remove(&name);
        } else {
            changes.insert(name.clone(), Change { entry, declared });
        }
        let laid = lay(&self.file.gateway, &overlay);
        self.next(Arc::clone(&self.file), laid, &name)
    }

    /// The same without the entry `name`, which was made by API.
    ///
    /// # Errors
    /// If the others need it, unless `force`.
    pub(crate) fn without<T: Resource>(
        &self,
        name: &str,
        force: bool,
    ) -> Result<Self, Vec<Problem>> {
        let mut overlay = self.overlay.clone();
        T::changes_mut(&mut overlay).remove(name);
        let laid = lay(&self.file.gateway, &overlay);
        let file = Arc::clone(&self.file);
        if force {
            return Ok(self.unchecked(file, laid));
        }
        self.next(file, laid, name)
    }

    /// `changed` is the entry that problems need not name.
    fn next(&self, file: Arc<Config>, laid: Laid, changed: &str) -> Result<Self, Vec<Problem>> {
        // What is wrong already (the last backend of a tag was taken away by force) keeps nobody from putting it right.
        let known = conflicts(&self.file, &self.gateway);
        let is_known = |new: &Conflict| {
            let same = |old: &Conflict| (old.rule, &old.found) == (new.rule, &new.found);
            known.iter().any(same)
        };
        let new: Vec<_> = conflicts(&file, &laid.gateway)
            .into_iter()
            .filter(|conflict| !is_known(conflict))
            .map(|conflict| problem_of(&conflict, &laid.gateway, changed))
            .collect();
        if new.is_empty() {
            Ok(self.unchecked(file, laid))
        } else {
            Err(new)
        }
    }

    fn unchecked(&self, file: Arc<Config>, laid: Laid) -> Self {
        Self {
            revision: self.revision + 1,
            file,
            gateway: Arc::new(laid.gateway),
            overlay: laid.overlay,
            rejected: self.rejected.clone(),
            dropped: laid.dropped,
            paused: self.paused.clone(),
        }
    }

    /// The same with the pool `name` paused, or not.
    pub(crate) fn with_paused(&self, name: &str, is_paused: bool) -> Self {
        let mut paused = self.paused.clone().unwrap_or_default();
        // Of pools that are gone nothing is kept.
        paused.retain(|one| self.gateway.pools.iter().any(|pool| pool.name == *one));
        if is_paused {
            paused.insert(name.to_owned());
        } else {
            paused.remove(name);
        }
        Self {
            revision: self.revision + 1,
            paused: Some(paused),
            ..self.clone()
        }
    }

    /// The entry `name`.
    pub fn find<T: Resource>(&self, name: &str) -> Option<&T> {
        find(T::list(&self.gateway), name)
    }

    /// Whose the entry `name` is.
    pub fn source<T: Resource>(&self, name: &str) -> Source {
        match T::changes(&self.overlay).get(name) {
            None => Source::File,
            Some(change) if change.declared.is_some() => Source::Override,
            Some(_) => Source::Api,
        }
    }

    /// What is to be kept of it.
    pub(crate) fn saved(&self) -> Saved {
        Saved::new(
            self.revision,
            self.overlay.backends.values().map(written).collect(),
            self.overlay.domains.values().map(written).collect(),
            self.rejected.clone(),
        )
        .with_paused(self.paused.clone())
    }
}

/// What is wrong with `gateway` under `file`, by the rules of a file, but for what harms nobody until the file has TLS.
fn conflicts(file: &Config, gateway: &Gateway) -> Vec<Conflict> {
    let mut all = file.conflicts(gateway);
    all.retain(|conflict| conflict.rule != Rule::NotYet);
    all
}

fn find<'a, T: Resource>(list: &'a [T], name: &str) -> Option<&'a T> {
    list.iter().find(|one| one.name() == name)
}

fn read_change<T: Resource>(saved: &SavedChange, file: &Config) -> Result<Change<T>, String> {
    let read = |json| {
        T::of_json(json, file).map_err(|problems| {
            let lines: Vec<_> = problems.iter().map(shown).collect();
            lines.join("; ")
        })
    };
    Ok(Change {
        entry: read(&saved.entry)?,
        // Read anew, so that a key that has come with another version makes it no other entry.
        declared: saved.declared.as_ref().map(read).transpose()?,
    })
}

fn written<T: Resource>(change: &Change<T>) -> SavedChange {
    SavedChange {
        entry: change.entry.to_json(),
        declared: change.declared.as_ref().map(T::to_json),
    }
}

/// As a problem of the entry `changed`, or of another one, which is named then.
fn problem_of(conflict: &Conflict, gateway: &Gateway, changed: &str) -> Problem {
    let at = conflict.index;
    let name = if conflict.list == "backends" {
        gateway.backends.get(at).map(Resource::name)
    } else {
        gateway.virtual_hosts.get(at).map(Resource::name)
    };
    let key = match name {
        Some(name) if name != changed => format!("{}[{name}].{}", conflict.list, conflict.key),
        _ => conflict.key.to_owned(),
    };
    Problem {
        place: Place::Body,
        key,
        found: conflict.found.clone(),
        allowed: conflict.allowed.clone(),
    }
}

fn said(conflict: &Conflict) -> String {
    let (key, found, allowed) = (conflict.key, &conflict.found, &conflict.allowed);
    format!("{key}: found {found}; allowed: {allowed}")
}

/// A problem in a line, for people who know what it is about.
pub(crate) fn shown(problem: &Problem) -> String {
    let (key, found, allowed) = (&problem.key, &problem.found, &problem.allowed);
    format!("{key}: found {found}; allowed: {allowed}")
}

#[cfg(test)]
mod tests;
