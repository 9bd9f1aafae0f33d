//! Who works here: a seat for each worker, with its state, its epoch and its heartbeat. What they wait for is the pools'.

mod seat;

pub use seat::{Seat, SeatState, SeatWord};
