//! The worker on loopback: a real pool in a real region, real sockets, and both peers played by the test.

mod faults;
mod framing;
mod leases;
mod play;
mod refresh;
mod take_back;
mod tls;
