//! Each way of getting tokens, as a whole: the configurations of docs/providers.md before login servers that follow the
//! documentation of each kind to the letter.

#[path = "../common/mod.rs"]
mod common;

mod certified;
mod check;
mod crowd;
mod feishu;
mod identity;
mod json;
mod judges;
mod keys;
mod numbers;
mod oauth2;
mod recipes;
mod scene;
mod tickets;
