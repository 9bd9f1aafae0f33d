//! The management API as scripts use it: over HTTP, on a running tpp.

#[path = "../common/mod.rs"]
mod common;

mod asking;
mod backends;
mod console;
mod domains;
mod door;
mod kept;
mod live;
mod pools;
mod service;
mod slow;
mod switch;
mod tokens;
