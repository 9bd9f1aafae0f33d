//! tpp as its users have it, one process or many: one test program, for sixty would be sixty times linked. What takes tools that not
//! everybody has, minutes, or a bench of its own is a program of its own beside it.

mod common;
#[path = "common/connect_proxy.rs"]
mod connect_proxy;
#[path = "common/http2.rs"]
mod speaks;
#[path = "common/tls.rs"]
mod tls_door;

mod abuse;
mod access_log;
mod addresses;
mod backends;
mod capacity;
mod control;
mod crash;
mod crowd;
mod dev;
mod endings;
mod exact;
mod first_logins;
mod forward;
mod framing;
mod harness;
mod health;
mod http2;
mod lease;
mod limits;
mod listen;
mod login;
mod malformed;
mod order;
mod origin;
mod orphans;
mod outcomes;
mod outlier;
mod pools;
mod proxy;
mod refresh;
mod reload;
mod request_mode;
mod signals;
mod silent_network;
mod standstill;
mod startup;
mod startup_errors;
mod stop;
mod streams;
mod succession;
mod systemd;
mod taken_back;
mod tenures;
mod tls;
mod top;
mod tppctl;
mod upgrade;
mod upstream;
