//! The proof that a certificate's authority asks for (ACME's HTTP-01).

use std::sync::atomic::Ordering::Relaxed;

use crate::{gateway::client::Client, message::head::Head, message::reply::Reply};

/// What an authority is answered that checks on a host: whatever the host is, and before it is sent elsewhere or kept out.
pub(super) fn proof(client: &Client, head: &Head) -> Option<Reply> {
    // Relaxed: one thread sets and reads it.
    if !client.worker.has_answers.load(Relaxed) || !matches!(head.method(), b"GET" | b"HEAD") {
        return None;
    }
    let gates = client.worker.gates()?;
    let text = gates.challenges.answer(head.path())?;
    Some(Reply::proof(text.to_owned()))
}
