//! One line in the log for each order: who, what, and the generation of the plan at the end of it. Changes of entries write theirs
//! where they are made.

use tracing::info;

use super::auth::Caller;

/// Notes that `what` was done.
pub(super) fn note(caller: &Caller, what: &str, generation: u64) {
    info!(who = %caller, what, generation, "changed by API");
}
