//! The worker on loopback: a real pool in a real region, real sockets, and both peers played by the test. What is about time
//! is played in memory, on a clock that jumps (`memory`).

mod answers;
mod bounds;
mod crowd;
mod exchanges;
mod faults;
mod framing;
mod guards;
mod holds;
mod hosts;
mod http2;
mod http2_abuse;
mod http2_client;
mod http2_tls;
mod http2_turned_away;
mod http2_upstream;
mod keys;
mod leases;
mod leftovers;
mod memory;
mod origin;
mod peer;
pub(crate) mod play;
mod refresh;
mod spans;
mod spread;
mod take_back;
mod tenures;
mod tls;
