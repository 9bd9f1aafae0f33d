//! Names to addresses, each followed by a task of its own: one that does not resolve keeps no other waiting.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, watch},
    task::{AbortHandle, JoinSet},
};
use tpp::{config::Upstream, lending::Stock, plan::Plan};

use super::compile::{Addresses, Name};
use crate::resolve::{Resolution, Resolver};

/// Longer than any look is put off: the wait when there is nothing to look up.
const NOTHING_DUE: Duration = Duration::from_secs(3600);

impl Name {
    fn resolver(&self) -> Resolver {
        Resolver::new(&Upstream::at(&self.host, self.port), Instant::now())
    }
}

/// The addresses of `names`, as far as they are known without a look: those of address literals, of `now`, or of `predecessor`'s plan.
pub(crate) fn known(
    names: impl Iterator<Item = Name>,
    now: &Addresses,
    predecessor: Option<&Plan>,
) -> Addresses {
    let before = |name: &Name| {
        let mut backends = predecessor.into_iter().flat_map(|plan| &plan.backends);
        let same = backends.find(|one| Name::of(&one.upstream) == *name)?;
        Some(same.places.iter().map(|place| place.address).collect())
    };
    let addresses = |name: &Name| match name.resolver().addresses() {
        [] => now.get(name).cloned().or_else(|| before(name)),
        literal => Some(literal.to_vec()),
    };
    let names: BTreeSet<_> = names.collect();
    let known = names
        .into_iter()
        .filter_map(|name| Some((addresses(&name)?, name)));
    known.map(|(addresses, name)| (name, addresses)).collect()
}

/// Looks up those of `names` that are not in `known`, all at once, and returns those that have no address.
pub(crate) async fn resolve(
    names: impl Iterator<Item = Name>,
    known: &mut Addresses,
) -> BTreeSet<Name> {
    let mut unresolved: BTreeSet<_> = names.filter(|name| !known.contains_key(name)).collect();
    let mut looks = JoinSet::new();
    for name in unresolved.clone() {
        looks.spawn(async move {
            let mut resolver = name.resolver();
            resolver.look(Instant::now()).await;
            (name, resolver.addresses().to_vec())
        });
    }
    while let Some(look) = looks.join_next().await {
        if let Ok((name, addresses)) = look
            && !addresses.is_empty()
        {
            unresolved.remove(&name);
            known.insert(name, addresses);
        }
    }
    unresolved
}

/// Follows names for as long as it is there.
#[derive(Debug)]
pub(super) struct Followed {
    stock: Arc<Stock>,
    /// Changes whenever a worker rang.
    bell: watch::Receiver<()>,
    tasks: BTreeMap<Name, AbortHandle>,
    found: mpsc::UnboundedSender<(Name, Vec<SocketAddr>)>,
}

impl Followed {
    /// Follows none yet; what is found out comes over the receiver.
    pub(super) fn new(
        stock: Arc<Stock>,
        bell: watch::Receiver<()>,
    ) -> (Self, mpsc::UnboundedReceiver<(Name, Vec<SocketAddr>)>) {
        let (found, finds) = mpsc::unbounded_channel();
        let followed = Self {
            stock,
            bell,
            tasks: BTreeMap::new(),
            found,
        };
        (followed, finds)
    }

    /// Follows these, and no others.
    pub(super) fn replace(&mut self, names: impl Iterator<Item = Name>) {
        // An address has nothing to be followed, and there may be a thousand.
        let names: BTreeSet<_> = names
            .filter(|name| name.resolver().next_look().is_some())
            .collect();
        self.tasks.retain(|name, task| {
            let is_wanted = names.contains(name);
            if !is_wanted {
                task.abort();
            }
            is_wanted
        });
        for name in names {
            if self.tasks.contains_key(&name) {
                continue;
            }
            let (stock, bell) = (Arc::clone(&self.stock), self.bell.clone());
            let following = follow(name.clone(), stock, bell, self.found.clone());
            let task = tokio::spawn(following);
            self.tasks.insert(name, task.abort_handle());
        }
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.tasks.values().for_each(AbortHandle::abort);
    }
}

/// Says whenever the addresses of `name` are others than it said before.
async fn follow(
    name: Name,
    stock: Arc<Stock>,
    mut bell: watch::Receiver<()>,
    found: mpsc::UnboundedSender<(Name, Vec<SocketAddr>)>,
) {
    let mut resolver = name.resolver();
    let mut reports = stock.region().unreachable_reports();
    loop {
        let due = resolver.next_look();
        let due = due.unwrap_or_else(|| Instant::now() + NOTHING_DUE);
        let resolution = tokio::select! {
            () = tokio::time::sleep_until(due.into()) => resolver.look(Instant::now()).await,
            Ok(()) = bell.changed() => {
                let before = std::mem::replace(&mut reports, stock.region().unreachable_reports());
                if reports == before {
                    continue;
                }
                resolver.look_on_request(Instant::now()).await
            }
        };
        let is_new = matches!(resolution, Resolution::Changed);
        if is_new
            && found
                .send((name.clone(), resolver.addresses().to_vec()))
                .is_err()
        {
            return;
        }
    }
}
