//! The core against worlds: all that can happen in small ones, and much of what can happen in large ones.
mod float;
mod formats;
mod host;
mod life;
mod lost_store;
mod mutations;
mod operator;
mod orderings;
mod random;
mod search;
mod small_worlds;
mod strange;
mod world;
