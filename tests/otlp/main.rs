//! What leaves by OTLP: spans and metrics, to a collector that speaks both protocols, held against the access log, `/metrics`, and what
//! client and upstream saw.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/tls.rs"]
mod tls;

mod away;
mod collector;
mod numbers;
mod scene;
mod traces;
