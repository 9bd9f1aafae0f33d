//! tpp's data plane: one worker process, a Pingora proxy that lends each connection a token.
//!
//! - `run`: takes over what was inherited, serves, drains, ends;
//! - `worker`: what all connections of the process share, and the settings in force;
//! - `relay`: a connection from accept to close, around Pingora's proxy;
//! - `client`: the client's stream, which knows where its exchange stands and for how long;
//! - `proxy`: the phases of a request, in Pingora's terms;
//! - `acquire`, `held`: waiting for a slot, and having one;
//! - `headers`, `reply`, `failure`: what is refused, and in which words.
//!
//! The worker cannot log in and never sees a password.

mod acquire;
mod authority;
mod client;
mod client_stream;
mod connection;
mod failure;
mod headers;
mod held;
mod logging;
mod proxy;
mod relay;
mod reply;
mod run;
mod signals;
mod upstream;
mod worker;

#[cfg(test)]
mod tests;

pub use run::{WorkerArgs, run};
