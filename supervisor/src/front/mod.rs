//! The front door of this supervisor's workers: what they are given, and what of it changes by itself.
//!
//! A reload brings another one whole. Between reloads the files of certificates are looked at (`watch`): one that has changed is
//! taken, one that is broken is told of once, and the old one stays. Keys of session tickets (`tickets`) are made here alone, so that a
//! client resumes at whichever worker it meets. What tpp gets by itself, and what it must show for that, is laid over the files' by
//! whoever gets it ([`FrontDoor::show`]).

mod tickets;
mod watch;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tpp::{
    clock::unix_seconds,
    config::{self, Config},
    control::CertificateStatus,
    front::{Challenges, Front, Gate, SealedFront, Shown, TicketKey},
};

use crate::{
    fleet::{FleetHandle, Order},
    system::sockets::Listening,
};

pub(crate) use watch::watch;

/// What is wanted of the front door: the configuration's part, and what each socket is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    config: config::Front,
    gates: Vec<Gate>,
}

impl Wanted {
    /// What `config` wants. `listeners` are its sockets: first one for each of its addresses, in their order; then others that are left
    /// open beside one of those.
    pub(crate) fn of(config: &Config, listeners: &[Listening]) -> Self {
        let addresses = config.addresses();
        let plain = config.listen.len();
        let gates = listeners.iter().enumerate().filter_map(|(index, socket)| {
            let index = if index < addresses.len() {
                index
            } else {
                addresses.iter().position(|one| *one == socket.wanted)?
            };
            let listener = config.front.listeners.get(index.checked_sub(plain)?)?;
            Some(Gate::of(listener, socket.bound))
        });
        Self {
            gates: gates.collect(),
            config: config.front.clone(),
        }
    }
}

/// What is shown besides what files hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Own {
    /// Certificates of single hosts. Each goes before others that are for its host, too.
    pub(crate) certificates: Vec<Shown>,
    /// To authorities.
    pub(crate) challenges: Challenges,
}

/// The front door.
#[derive(Debug)]
pub(crate) struct FrontDoor {
    fleet: FleetHandle,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    wanted: Wanted,
    own: Own,
    tickets: Vec<TicketKey>,
    /// Of the one that was given out last; 0: none was.
    number: u64,
    /// Why a file as it is now cannot be taken, by the name of its certificate, or of its own.
    broken: BTreeMap<String, String>,
}

impl FrontDoor {
    /// The first one of this supervisor, and its file, if there is anything to say. The keys in `predecessor`'s go on.
    ///
    /// # Errors
    /// If the system has no memory, no descriptor or no randomness left.
    pub(crate) fn first(
        fleet: FleetHandle,
        (wanted, own): (Wanted, Own),
        predecessor: Option<Front>,
    ) -> anyhow::Result<(Self, Option<Arc<SealedFront>>)> {
        let was_there = predecessor.is_some();
        let mut state = State {
            wanted,
            own,
            tickets: predecessor.map_or_else(Vec::new, |front| front.ticket_keys),
            number: 0,
            broken: BTreeMap::new(),
        };
        // Its workers must be told, too, that there is none any more.
        let sealed = if was_there || !state.wanted.gates.is_empty() {
            Some(Arc::new(state.seal()?))
        } else {
            None
        };
        let state = Mutex::new(state);
        Ok((Self { fleet, state }, sealed))
    }

    /// Has the workers let clients in as `wanted` says. Returns what was wanted before.
    ///
    /// # Errors
    /// If the system has no memory, no descriptor or no randomness left; then all is as it was.
    pub(crate) fn publish(&self, wanted: Wanted) -> Result<Wanted, String> {
        let mut state = self.state();
        let before = std::mem::replace(&mut state.wanted, wanted);
        if state.number == 0 && state.wanted.gates.is_empty() {
            return Ok(before);
        }
        match state.seal() {
            Ok(sealed) => {
                state.broken.clear();
                // A fleet that has ended needs none.
                self.fleet.tell(Order::Front(Arc::new(sealed)));
                Ok(before)
            }
            Err(error) => {
                state.wanted = before;
                Err(format!("{error:#}"))
            }
        }
    }

    /// Has the workers show `own` besides what files hold.
    ///
    /// # Errors
    /// If the system has no memory, no descriptor or no randomness left; then all is as it was.
    pub(crate) fn show(&self, own: Own) -> Result<(), String> {
        let mut state = self.state();
        if state.own == own {
            return Ok(());
        }
        let before = std::mem::replace(&mut state.own, own);
        if state.number == 0 && state.wanted.gates.is_empty() {
            return Ok(());
        }
        match state.seal() {
            Ok(sealed) => {
                // A fleet that has ended needs none.
                self.fleet.tell(Order::Front(Arc::new(sealed)));
                Ok(())
            }
            Err(error) => {
                state.own = before;
                Err(format!("{error:#}"))
            }
        }
    }

    /// Each certificate that files hold.
    pub(crate) fn certificates(&self) -> Vec<CertificateStatus> {
        let state = self.state();
        let certificates = state.wanted.config.certificates.iter();
        certificates
            .map(|one| {
                let about = one.certified.about();
                let addresses = about.addresses.iter().map(ToString::to_string);
                CertificateStatus {
                    name: one.files.name.clone(),
                    hosts: about.names.iter().cloned().chain(addresses).collect(),
                    issuer: about.issuer.clone(),
                    source: one.files.cert_file.display().to_string(),
                    not_after: about.not_after,
                    error: state.broken.get(&one.files.name).cloned(),
                    renewal: None,
                }
            })
            .collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the guard can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Writes down what is wanted, as the next one.
    fn seal(&mut self) -> anyhow::Result<SealedFront> {
        if self.wanted.gates.iter().any(|gate| gate.tls) {
            tickets::renew(&mut self.tickets, unix_seconds())?;
        }
        let config = &self.wanted.config;
        let of_files = config.certificates.iter().map(|one| Shown {
            name: one.files.name.clone(),
            certified: Arc::clone(&one.certified),
        });
        let own = self.own.certificates.iter().cloned();
        let front = Front {
            gates: self.wanted.gates.clone(),
            tls: config.tls.clone(),
            http2: config.http2,
            certificates: own.chain(of_files).collect(),
            ticket_keys: self.tickets.clone(),
            challenges: self.own.challenges.clone(),
        };
        let sealed = SealedFront::of(&front, self.number + 1)?;
        self.number += 1;
        Ok(sealed)
    }
}
