//! The tpp supervisor: it draws tokens from the upstream, keeps them fresh, and owns what the workers share.
//!
//! | room | what it does |
//! |---|---|
//! | [`login`] | one credential in, one token or one clear error out |
//! | [`schedule`] | pure rules: which slot logs in when |
//! | [`resolve`] | the upstream's name to addresses, kept fresh |
//! | [`standin`] | a stand-in for DolphinDB, for `tpp dev` and tests |
//! | [`control`] | the socket that `tppctl` asks |
//! | [`http`] | the health endpoint |
//! | [`health`] | pure rules: healthy, ready, and why not |
//! | [`metrics`] | all numbers as Prometheus text |
#![forbid(unsafe_code)]

mod accept;
pub mod control;
pub mod health;
pub mod http;
pub mod login;
pub mod metrics;
// pub mod resolve;
// pub mod schedule;
// pub mod standin;
