//! tpp, the library that supervisor, worker and tppctl share.

pub mod config;
pub mod control;
