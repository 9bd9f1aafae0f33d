//! An answer of tpp's own.

use bytes::BytesMut;

use super::{
    answer::{Seal, put_connection},
    put, put_length,
};
use crate::{
    http1::request::Request,
    message::{grpc, head::Head, reply::Reply},
};

/// After how many seconds a client may try again that was sent away for a reason that passes at once.
const SOON: u64 = 1;
/// Methods that are known to be passed on; those that are refused are not among them (RFC 9110, 15.5.6).
const ALLOW: &[u8] = b"Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n";

/// Appends an answer of tpp's own to `out`. `asked` is what it answers, if that could be read. Returns how long its body is.
pub(crate) fn reply(
    reply: &Reply,
    asked: Option<(&Request, &Head)>,
    seal: Seal<'_>,
    out: &mut BytesMut,
) -> usize {
    let request = asked.map(|(request, _)| request);
    if let Some(content_type) = asked.and_then(|(_, head)| grpc::content_type(head)) {
        put_grpc(reply, content_type, seal, out);
        return 0;
    }
    let body = reply.body();
    put(
        out,
        &[
            b"HTTP/1.1 ",
            reply.status_line().as_bytes(),
            b"\r\nContent-Type: ",
            reply.content_type().as_bytes(),
            b"\r\n",
            seal.date,
        ],
    );
    put_length(out, body.len() as u64);
    if reply.status() == 405 {
        put(out, &[ALLOW]);
    }
    put_retry_after(reply, out);
    put(
        out,
        &[reply.fields().as_bytes(), seal.hsts, seal.request_id],
    );
    put_connection(request.is_some_and(|request| request.is_old), seal, out);
    put(out, &[b"\r\n"]);
    if request.is_some_and(|request| request.is_head) {
        return 0;
    }
    put(out, &[body.as_bytes()]);
    body.len()
}

/// The same for a caller of gRPC, who looks for its own status and not for that of HTTP: a head that is all of the answer.
fn put_grpc(reply: &Reply, content_type: &str, seal: Seal<'_>, out: &mut BytesMut) {
    use std::fmt::Write as _;
    // Writing to a buffer that grows cannot fail.
    let _ = write!(
        out,
        "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\ngrpc-status: {}\r\ngrpc-message: ",
        grpc::status(reply.status()),
    );
    grpc::put_message(reply.details(), out);
    put(out, &[b"\r\n", seal.date]);
    put_length(out, 0);
    put_retry_after(reply, out);
    put(
        out,
        &[reply.fields().as_bytes(), seal.hsts, seal.request_id],
    );
    put_connection(false, seal, out);
    put(out, &[b"\r\n"]);
}

/// When it is worth coming again, for one that was told to wait.
fn put_retry_after(reply: &Reply, out: &mut BytesMut) {
    use std::fmt::Write as _;
    if matches!(reply.status(), 429 | 503) {
        let seconds = reply.retry_after().unwrap_or(SOON);
        // Writing to a buffer that grows cannot fail.
        let _ = write!(out, "Retry-After: {seconds}\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use crate::{http1::request, message::reply::Malformed};

    const SEAL: Seal<'_> = Seal::PLAIN;
    const GET: Request = Request::GET;

    fn written(what: &Reply, request: Option<&Request>, seal: Seal<'_>) -> String {
        let mut out = BytesMut::new();
        let head = Head::default();
        reply(
            what,
            request.map(|request| (request, &head)),
            seal,
            &mut out,
        );
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn a_reply_is_json_of_the_announced_length() {
        let reply = Reply::bad_gateway("it said \"no\"");
        let body = "{\"error\":\"bad gateway\",\"details\":\"it said \\\"no\\\"\"}";
        let head = format!(
            "HTTP/1.1 502 Bad Gateway\r\nContent-Type: application/json\r\nDate: now\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            body.len()
        );
        let close = Seal {
            close: true,
            ..SEAL
        };
        assert_eq!(written(&reply, None, close), format!("{head}{body}"));
        let is_head = Request {
            is_head: true,
            ..GET
        };
        assert_eq!(written(&reply, Some(&is_head), close), head);
    }

    #[test]
    fn who_is_refused_is_told_what_would_do() {
        let busy = written(&Reply::no_token("x"), Some(&GET), SEAL);
        assert!(busy.contains("\r\nRetry-After: 1\r\n"), "{busy}");
        let later = written(&Reply::no_token("x").after(17), Some(&GET), SEAL);
        assert!(later.contains("\r\nRetry-After: 17\r\n"), "{later}");
        let not_allowed = Malformed {
            status: 405,
            details: "x",
        };
        let not_allowed = written(&not_allowed.into(), None, SEAL);
        assert!(not_allowed.contains("\r\nAllow: GET, "), "{not_allowed}");
    }

    #[test]
    fn a_caller_of_grpc_is_told_by_a_status_of_its_own() {
        let mut head = Head::default();
        let text =
            b"POST /a.B/C HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc+proto\r\n\r\n";
        let (request, _) = request::read(text, &mut head).unwrap().unwrap();
        let mut out = BytesMut::new();
        let what = Reply::too_many_requests("too many: 100 %").after(7);
        assert_eq!(reply(&what, Some((&request, &head)), SEAL, &mut out), 0);
        assert_eq!(
            String::from_utf8_lossy(&out),
            "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\ngrpc-status: 8\r\n\
             grpc-message: too many: 100 %25\r\nDate: now\r\nContent-Length: 0\r\nRetry-After: 7\r\n\r\n"
        );
        // The rest is what any client is told.
        out.clear();
        let seal = Seal {
            hsts: b"Strict-Transport-Security: max-age=1\r\n",
            ..SEAL
        };
        reply(
            &Reply::no_token("x"),
            Some((&request, &head)),
            seal,
            &mut out,
        );
        let told = String::from_utf8_lossy(&out);
        assert!(
            told.contains("\r\nRetry-After: 1\r\nStrict-Transport-Security: max-age=1\r\n"),
            "{told}"
        );
    }

    #[test]
    fn a_client_is_told_of_its_connection_what_it_would_not_take_for_granted() {
        let old = Request {
            is_old: true,
            ..GET
        };
        let connection = |request: &Request, seal| {
            let reply = written(&Reply::no_token("x"), Some(request), seal);
            let lines = reply
                .split("\r\n")
                .filter(|line| line.contains("onnection:") || line.starts_with("Keep"));
            lines.collect::<Vec<_>>().join(", ")
        };
        let hint = Seal {
            keep_alive: Some(Duration::from_secs(60)),
            ..SEAL
        };
        assert_eq!(connection(&GET, SEAL), "");
        assert_eq!(connection(&old, SEAL), "Connection: keep-alive");
        assert_eq!(
            connection(&GET, hint),
            "Connection: keep-alive, Keep-Alive: timeout=60"
        );
        assert_eq!(
            connection(
                &GET,
                Seal {
                    close: true,
                    ..hint
                }
            ),
            "Connection: close"
        );
        assert_eq!(
            connection(
                &old,
                Seal {
                    close: true,
                    ..SEAL
                }
            ),
            "Connection: close"
        );
    }
}
