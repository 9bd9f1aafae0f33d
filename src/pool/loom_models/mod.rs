//! Models of the pool under loom: the very code that runs, over every order of steps and every value a weak
//! memory may show, up to the preemption bound. Part of `.ci/run`; `make mutations` shows what they are good for.

use loom::{sync::Arc, thread};

use crate::{
    roster::{SeatState, SeatWord},
    shared::{Publication, Suspects},
    sync::AtomicU64,
};

use super::{word::Place, words::*, *};

mod death;
mod meetings;
mod pause;
mod tokens;
mod windows;
