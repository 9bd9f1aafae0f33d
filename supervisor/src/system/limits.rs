//! What the process asks of the system before it begins.

use nix::sys::{
    prctl,
    resource::{Resource, getrlimit, setrlimit},
};
use tracing::warn;

/// Raises the limit on open descriptors as far as it goes, and rules out core dumps, which would hold
/// passwords and tokens. Workers inherit both.
pub fn prepare() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(errno) = raised {
        warn!(error = %errno, "limit on open descriptors not raised");
    }
    if let Err(errno) =
        setrlimit(Resource::RLIMIT_CORE, 0, 0).and_then(|()| prctl::set_dumpable(false))
    {
        warn!(error = %errno, "core dumps not ruled out");
    }
}
