//! Requests that must come to nothing.

use super::{client::Client, proxy::Proxy, settings::Settings, upstream::Upstream};

/// Sends `bytes` over a connection of its own and returns what comes back. The sending side is not shut:
/// a malformed request is answered or cut off without the client's help.
pub(crate) fn exchange(proxy: &Proxy, bytes: &[u8]) -> String {
    let mut client = Client::connect(proxy.address());
    drop(client.try_send_raw(bytes));
    client.read_verdict()
}

/// Whether an answer's line is that of a refusal: 4xx, or what no server needs to do (501, 505).
pub(crate) fn is_refusal(answer: &str) -> bool {
    ["HTTP/1.1 4", "HTTP/1.1 501 ", "HTTP/1.1 505 "]
        .iter()
        .any(|refusal| answer.starts_with(refusal))
}

/// Each of `requests` gets a refusal or a closed connection, nothing of it reaches the upstream, and good requests
/// are served afterwards.
#[track_caller]
pub(crate) fn are_refused(requests: &[(&str, Vec<u8>)]) {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 2));
    let mut wrong = Vec::new();
    for (what, bytes) in requests {
        let before = upstream.seen().len();
        let answer = exchange(&proxy, bytes);
        if !(answer.is_empty() || is_refusal(&answer)) {
            wrong.push(format!("{what}: answered {answer:?}"));
        }
        let good = proxy.client(&upstream).get("/who").status;
        let reached = upstream.seen().split_off(before);
        if good != 200 || reached.len() != 1 {
            wrong.push(format!(
                "{what}: then {good}, and the upstream saw {reached:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    proxy.wait_until_all_is_back(2);
    assert_eq!(proxy.status().worker_restarts, 0);
    upstream.assert_clean();
}
