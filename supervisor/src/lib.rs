//! The tpp supervisor: it draws tokens from the upstream, keeps them fresh, and owns what the workers share.
//!
//! | room | what it does |
//! |---|---|
//! | [`run`], `prepare` | the supervisor's life: what is taken over or opened, what is started, and the end |
//! | `fleet`, `process` | the worker processes: started, watched, replaced, drained |
//! | `front` | the front door: certificates, keys of session tickets |
//! | `acme` | certificates that tpp gets by itself: ordered, proved, renewed, kept |
//! | `refresh` | runs the logins that are due and installs their tokens |
//! | [`provider`] | one credential in, one token or one clear error out |
//! | [`schedule`] | pure rules: which slot logs in when |
//! | [`desired`] | what is to be in force: the file, and what was changed by API; one door for every change |
//! | `plans`, [`resolve`] | that, with addresses and health, compiled to the plan that tells the workers |
//! | `pools` | the pools of tokens, each with its refresher |
//! | [`outlook`] | what there is to see: one snapshot, and pure views of it |
//! | `hosts` | other hosts before the same servers: which sessions are this one's |
//! | [`health`] | active checks: which backends answer |
//! | `export` | spans and metrics to a collector, by OTLP |
//! | `orders` | what can be ordered: reload, restart, refresh, upgrade |
//! | [`doors`] | who asks and orders: the control socket, the health endpoint |
//! | [`succession`] | from one supervisor to the next: taking over, upgrading in place |
//! | [`system`] | signals, sockets, limits, log lines, systemd |
//! | `doorbell` | passes the workers' rings on |
//! | [`dev`] | the whole thing in front of a stand-in for DolphinDB |
#![forbid(unsafe_code)]

mod acme;
pub mod desired;
pub mod dev;
mod doorbell;
pub mod doors;
mod export;
mod fleet;
mod front;
pub mod health;
mod hosts;
mod in_force;
mod orders;
pub mod outlook;
mod plans;
mod pools;
mod prepare;
mod process;
pub mod provider;
mod proxy;
mod refresh;
pub mod rehearsal;
mod reports;
pub mod resolve;
pub mod run;
pub mod schedule;
pub mod succession;
pub mod system;
