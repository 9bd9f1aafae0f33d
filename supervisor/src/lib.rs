//! The tpp supervisor: it draws tokens from the upstream, keeps them fresh, and owns what the workers share.
//!
//! | room | what it does |
//! |---|---|
//! | [`login`] | one credential in, one token or one clear error out |
//! | [`schedule`] | pure rules: which slot logs in when |
//! | [`resolve`] | the upstream's name to addresses, kept fresh |
//! | [`standin`] | a stand-in for DolphinDB, for `tpp dev` and tests |
#![forbid(unsafe_code)]

pub mod login;
// pub mod resolve;
// pub mod schedule;
// pub mod standin;
