//! The configuration in force: what orders replace, and what the outlook shows of it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tpp::{clock::unix_seconds, config::Config};

use crate::system::sockets::Listening;

/// The configuration in force, and how it came to be.
#[derive(Debug)]
pub(crate) struct Configured {
    pub(crate) config: Config,
    /// Addresses that take clients.
    pub(crate) listeners: Vec<Listening>,
    /// How often one was put in force, the first included, by all supervisors of this pool.
    pub(crate) generation: u64,
    /// When, Unix seconds.
    pub(crate) loaded_at: u64,
    /// What the last reload changed, or why it was refused.
    pub(crate) last_reload: Option<Result<String, String>>,
}

/// The one that is in force now.
#[derive(Debug)]
pub(crate) struct InForce(Mutex<Configured>);

impl InForce {
    /// The first one of this supervisor.
    pub(crate) fn first(config: Config, listeners: Vec<Listening>, generation: u64) -> Self {
        Self(Mutex::new(Configured {
            config,
            listeners,
            generation,
            loaded_at: unix_seconds(),
            last_reload: None,
        }))
    }

    /// What is in force. The guard must not be held over an await.
    pub(crate) fn now(&self) -> MutexGuard<'_, Configured> {
        // Nothing that holds the guard can panic half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts another configuration in force, of which `changes` says what it changes.
    pub(crate) fn replace(
        &self,
        config: Config,
        listeners: Vec<Listening>,
        generation: u64,
        changes: String,
    ) {
        *self.now() = Configured {
            config,
            listeners,
            generation,
            loaded_at: unix_seconds(),
            last_reload: Some(Ok(changes)),
        };
    }

    /// Notes that another configuration was refused.
    pub(crate) fn refuse(&self, reason: String) {
        self.now().last_reload = Some(Err(reason));
    }
}
