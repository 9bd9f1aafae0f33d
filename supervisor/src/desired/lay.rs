//! What was changed by API, laid over what the file declares. Pure.

use std::collections::BTreeMap;

use tpp::config::{Backend, Gateway, VirtualHost};

use super::{
    overlay::{Change, Overlay},
    resource::Resource,
};

/// The file with an overlay upon it.
#[derive(Debug)]
pub(crate) struct Laid {
    pub(crate) gateway: Gateway,
    /// What of the overlay holds.
    pub(crate) overlay: Overlay,
    /// What of it does not hold any more, a sentence each.
    pub(crate) dropped: Vec<String>,
}

/// Lays `overlay` over `file`.
pub(crate) fn lay(file: &Gateway, overlay: &Overlay) -> Laid {
    let mut laid = Laid {
        gateway: file.clone(),
        overlay: Overlay::default(),
        dropped: Vec::new(),
    };
    lay_kind::<Backend>(file, overlay, &mut laid);
    lay_kind::<VirtualHost>(file, overlay, &mut laid);
    laid
}

fn lay_kind<T: Resource>(file: &Gateway, overlay: &Overlay, laid: &mut Laid) {
    let declared: BTreeMap<_, _> = T::list(file)
        .iter()
        .enumerate()
        .map(|(at, entry)| (entry.name(), at))
        .collect();
    for (name, change) in T::changes(overlay) {
        let at = declared.get(name.as_str()).copied();
        let theirs = at.map(|at| &T::list(file)[at]);
        if theirs != change.declared.as_ref() {
            laid.dropped.push(why_dropped::<T>(name, change, theirs));
            continue;
        }
        let list = T::list_mut(&mut laid.gateway);
        match at {
            Some(at) => list[at] = change.entry.clone(),
            None => list.push(change.entry.clone()),
        }
        T::changes_mut(&mut laid.overlay).insert(name.clone(), change.clone());
    }
}

fn why_dropped<T: Resource>(name: &str, change: &Change<T>, declared: Option<&T>) -> String {
    let kind = T::KIND;
    match (&change.declared, declared) {
        (None, _) => format!("{kind} {name}, made by API: the file declares it now"),
        (_, None) => format!("{kind} {name}, changed by API: the file declares it no more"),
        _ => format!("{kind} {name}, changed by API: its entry in the file is another now"),
    }
}
