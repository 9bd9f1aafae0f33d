//! What is to be in force around the pools: what the file declares, and what was changed by API. One door for every change.
//!
//! A change is checked, compiled, kept, put in force, and answered when the workers act on it; or it is refused, and nothing has
//! changed. What one is, is pure ([`State`], `edit`, `overlay`); [`Desired`] does the rest, one change at a time.

mod door;
mod edit;
mod lay;
mod overlay;
mod resource;
mod state;
mod store;

pub use door::{Desired, Done};
pub(crate) use door::{DoorTurn, first_state};
pub use edit::{Refusal, tagged};
pub use overlay::{Change, Changes, Overlay, Source};
pub use resource::Resource;
pub use state::State;
pub use store::{Rejected, SavedChange};

pub use crate::plans::Reached;
