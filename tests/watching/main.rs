//! What packaging/ has for those who watch tpp: alerts for Prometheus and a board for Grafana. Every name in them is one that a running
//! tpp serves, and each alert fires in a real Prometheus once tpp is in the state that it speaks of.

#[path = "../common/mod.rs"]
mod common;

mod names;
mod prometheus;
mod scene;
