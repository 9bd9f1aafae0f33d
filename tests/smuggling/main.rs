//! Request smuggling: bytes that one server takes for one request and another for two. Each is sent through tpp with a
//! second request hidden in it; the upstream must never see that one, and never more requests than the client sent.
//!
//! The tables follow the families known from public lists: CL.TE, TE.CL, TE.TE, CL.0, 0.CL, chunk extensions and
//! terminators, folding, control bytes, request lines, hosts, expectations, upgrades, trailers.
//! `malformed.rs` and `framing.rs` hold what is wrong in itself.

mod bodies;
#[path = "../common/mod.rs"]
mod common;
mod heads;

use std::io::ErrorKind;

use common::{
    client::Client, proxy::Proxy, refusal::is_refusal, settings::Settings, upstream::Upstream,
};

/// What must never arrive as a request of its own.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: a\r\nX: ";

/// What must become of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// 4xx, 501 or 505, and nothing reaches the upstream.
    Refused,
    /// The head may reach the upstream, a whole request does not: it is answered 4xx or cut off.
    Cut,
    /// Served as the one request it is, whatever then becomes of the connection.
    OneRequest,
}

type Case<'a> = (Fate, &'a str, Vec<u8>);

/// A POST with these field lines, and `rest` behind its head.
fn post(fields: &str, rest: &str) -> Vec<u8> {
    format!("POST /sum HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{rest}").into_bytes()
}

fn get(fields: &str) -> Vec<u8> {
    format!("GET /who HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n").into_bytes()
}

/// What the client is answered in the end; empty: it is cut off without a word.
fn read_final(client: &mut Client) -> String {
    match client.try_read_answer() {
        Ok(answer) => format!("{} {}", answer.head.line, answer.text()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            "neither answered nor cut off".to_owned()
        }
        Err(_) => String::new(),
    }
}

/// Sends each case over a connection of its own and judges what came of it on both sides.
#[track_caller]
fn meet_their_fates(cases: &[Case<'_>]) {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 2));
    let mut wrong = Vec::new();
    for (fate, what, bytes) in cases {
        let before = upstream.seen().len();
        let mut client = Client::connect(proxy.address());
        // It may be cut off before it has sent all.
        drop(client.try_send_raw(bytes));
        if *fate == Fate::Cut {
            client.half_close();
        }
        let answer = read_final(&mut client);
        drop(client);
        let seen = upstream.seen().split_off(before);
        let was_served = answer.starts_with("HTTP/1.1 2");
        let is_met = !answer.starts_with("neither")
            && match fate {
                Fate::Refused => !was_served && seen.is_empty() && is_refusal(&answer),
                Fate::Cut => !was_served && seen.len() <= 1,
                Fate::OneRequest => was_served && seen.len() == 1,
            };
        if !is_met || seen.iter().any(|seen| seen.target.contains("hidden")) {
            wrong.push(format!(
                "{what}: not {fate:?}: {answer:?}; upstream: {seen:?}"
            ));
        }
        // Whoever comes next over the same upstream connection gets an answer of its own.
        let mut next = proxy.client(&upstream);
        let conn = next.id();
        let next = next.get("/who");
        if next.status != 200 || next.json()["conn"] != conn {
            wrong.push(format!("{what}: the next one was answered {next:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    proxy.wait_until_all_is_back(2);
    let hidden = upstream
        .seen()
        .into_iter()
        .filter(|seen| seen.target.contains("hidden"));
    assert_eq!(hidden.count(), 0);
    upstream.assert_clean();
}
