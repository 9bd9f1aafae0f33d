//! The protocol between `tppctl` and the supervisor: one request, one reply, over a Unix stream socket.
//!
//! A frame is a 4-byte big-endian length and that many bytes of JSON. The length is checked before
//! anything is allocated. A connection carries one exchange and is then closed.

mod message;

pub use message::*;
