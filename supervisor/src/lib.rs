//! The tpp supervisor: it draws tokens from the upstream, keeps them fresh, and owns what the workers share.
//!
//! | room | what it does |
//! |---|---|
//! | [`run`] | the supervisor's life: open, publish, start the parts, follow the signals |
//! | `fleet`, `process` | the worker processes: started, watched, replaced, drained |
//! | `refresh` | runs the logins that are due and installs their tokens |
//! | [`provider`] | one credential in, one token or one clear error out |
//! | [`schedule`] | pure rules: which slot logs in when |
//! | [`resolve`], `upstream` | the upstream's name to addresses, kept fresh, told to the workers |
//! | `reload` | puts another configuration in force, all of it or nothing |
//! | `succession` | from one supervisor to the next: taking over, upgrading in place |
//! | `signals`, `systemd` | what the system asks of it, and is told |
//! | `doorbell` | passes the workers' rings on |
//! | `panel` | the picture of the whole, and the door for orders |
//! | [`control`] | the socket that `tppctl` asks |
//! | [`http`] | the health endpoint |
//! | [`health`] | pure rules: healthy, ready, and why not |
//! | [`metrics`] | all numbers as Prometheus text |
//! | [`standin`], [`dev`] | a stand-in for DolphinDB, and the whole thing in front of it |
#![forbid(unsafe_code)]

mod accept;
mod announce;
pub mod control;
pub mod dev;
mod doorbell;
mod fleet;
pub mod health;
pub mod http;
pub mod limits;
pub mod logging;
pub mod metrics;
mod panel;
mod prepare;
mod process;
pub mod provider;
mod refresh;
mod reload;
pub mod resolve;
pub mod run;
pub mod schedule;
mod signals;
mod sockets;
pub mod standin;
pub mod succession;
mod systemd;
mod upstream;
