//! The worker as a whole on loopback: a real region and pool, raw clients, a scripted upstream.

mod connections;
mod exchanges;
mod hostile;
mod refresh;
mod support;
mod waiting;
