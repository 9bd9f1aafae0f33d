//! What the core notes, as lines of the log.

use tpp_hosts::Note;
use tracing::{error, info, warn};

use super::local::Names;

/// Says it.
pub(super) fn say(pool: &str, note: &Note, names: &Names) {
    match note {
        Note::Joined(generation) => info!(pool, generation, "this host is in its cluster"),
        Note::NameWaits { own: true } => info!(
            pool,
            "this host's earlier life was seen a short time ago: waiting until nothing of it can be under way"
        ),
        Note::NameWaits { own: false } => warn!(
            pool,
            "this host's name is another machine's: waiting until that has been silent for hosts.home_takeover_seconds"
        ),
        Note::Raised(format) => info!(
            pool,
            format, "all hosts speak this format of records: it is in force from now on"
        ),
        Note::Fenced(generation) => warn!(
            pool,
            generation, "other hosts have taken this one's floating sessions: in again"
        ),
        Note::Lapsed => error!(
            pool,
            "etcd was not reached for too long: floating sessions are not lent"
        ),
        Note::Lending => info!(
            pool,
            "floating sessions are lent: this host has shown itself in etcd"
        ),
        Note::FencedOther(host) => warn!(
            pool,
            host, "a host is silent: its floating sessions may be taken"
        ),
        Note::Ended(host) => warn!(
            pool,
            host, "a host has been silent for long: all its sessions may be taken"
        ),
        Note::Took(sessions, reason) => {
            info!(pool, sessions, ?reason, "sessions came to this host");
        }
        Note::Gave(sessions, to, reason) => {
            info!(pool, sessions, to, ?reason, "sessions went from this host");
        }
        Note::OtherStore(why) => error!(
            pool,
            why, "etcd is not what this host knew: see tppctl hosts"
        ),
        Note::Shunned(account) => warn!(
            pool,
            user = names.user(*account),
            "an account that is refused here is left to other hosts"
        ),
        Note::Unreadable(key) => warn!(pool, key, "a record in etcd cannot be read"),
    }
}
