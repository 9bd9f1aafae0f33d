//! Which fields pass, in which form, and what is added to them.

use super::*;

#[test]
fn own_fields_pass_and_connection_fields_do_not() {
    let head = "GET /a?b HTTP/1.1\r\nHost: a\r\nauthorization: Basic x\r\nAuthorization: Basic y\r\nX-One: 1\r\n\
        Connection: keep-alive, x-two\r\nX-Two: 2\r\nKeep-Alive: 5\r\nTE: trailers\r\nTrailer: x\r\n\
        Proxy-Authorization: z\r\nUpgrade: h2c\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n\r\n";
    assert_eq!(
        forwarded(head),
        format!("GET /a?b HTTP/1.1\r\nHost: a\r\nX-One: 1\r\n{TAIL}")
    );
}

#[test]
fn forwarded_fields_are_kept_and_appended_to_when_trusted() {
    let trusting = Stamp {
        trust_forwarded: true,
        ..STAMP
    };
    let head = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https\r\n\
        x-forwarded-for: 2.2.2.2\r\nForwarded: for=1.1.1.1\r\nX_Forwarded_For: 3.3.3.3\r\nX-Real-IP: 1.1.1.1\r\n\
        X-Forwarded-Host: b\r\n\r\n";
    let (_, out) = read_as(head, trusting).unwrap().unwrap();
    assert_eq!(
        out,
        "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\nForwarded: for=1.1.1.1\r\nX-Real-IP: 1.1.1.1\r\n\
         X-Forwarded-Host: b\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2, 192.0.2.7\r\nVia: 1.1 tpp\r\n"
    );
}

#[test]
fn fields_that_frame_the_body_cannot_be_nominated_away() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: content-length, host\r\n\r\n";
    assert_eq!(
        forwarded(head),
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n{TAIL}")
    );
}

#[test]
fn who_claims_to_speak_for_another_is_not_heard_in_any_spelling() {
    let head = "GET / HTTP/1.1\r\nHost: a\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nX-Forwarded-Host: evil\r\n\
        X-Forwarded-Port: 6\r\nX_Forwarded_For: 6.6.6.6\r\nx_real_ip: 6.6.6.6\r\nTrue-Client-IP: 6.6.6.6\r\n\
        CF-Connecting-IP: 6.6.6.6\r\nTransfer_Encoding: chunked\r\nContent_Length: 9\r\nProxy: evil\r\n\
        user_id: 7\r\n\r\n";
    assert_eq!(
        forwarded(head),
        format!("GET / HTTP/1.1\r\nHost: a\r\nuser_id: 7\r\n{TAIL}")
    );
}

#[test]
fn hops_before_this_one_are_kept_and_counted() {
    let bytes = b"GET / HTTP/1.1\r\nHost: a\r\nVia: 1.0 x, 1.1 tpp\r\nVia: 1.1 tpp\r\n\r\n";
    let mut head = Head::default();
    assert!(read(bytes, &mut head).unwrap().is_some());
    assert_eq!(head.hops, 2);
    let out = forwarded(std::str::from_utf8(bytes).unwrap());
    assert!(
        out.contains("\r\nVia: 1.0 x, 1.1 tpp\r\nVia: 1.1 tpp\r\n")
            && out.ends_with("\r\nVia: 1.1 tpp\r\n"),
        "{out}"
    );
    assert!(forwarded("GET / HTTP/1.0\r\n\r\n").ends_with("\r\nVia: 1.0 tpp\r\n"));
}

#[test]
fn an_expectation_of_http_1_0_is_not_passed_on() {
    let head = |version| {
        forwarded(&format!(
            "POST / HTTP/{version}\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"
        ))
    };
    assert!(head("1.1").contains("Expect: 100-continue"));
    assert!(!head("1.0").contains("Expect"));
}

#[test]
fn lines_are_written_in_one_form_however_they_came() {
    let head =
        "GET / HTTP/1.1\r\nHost:a\r\nA: 1\r\nB:2\r\nC: 3  \r\nD:\t4\r\nE:\r\nF: 6\r\nG: 7\r\n\r\n";
    assert_eq!(
        forwarded(head),
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: \r\nF: 6\r\nG: 7\r\n{TAIL}"
        )
    );
}

#[test]
fn a_request_of_http_1_0_gets_a_host_and_is_not_kept_alive() {
    let (request, out) = read_as("GET / HTTP/1.0\r\n\r\n", STAMP).unwrap().unwrap();
    assert!(request.is_old && !request.keep_alive);
    assert!(
        out.starts_with("GET / HTTP/1.1\r\nHost: db.example:8848\r\n"),
        "{out}"
    );
    let (request, _) = read_as("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", STAMP)
        .unwrap()
        .unwrap();
    assert!(request.keep_alive);
}

#[test]
fn the_first_lines_are_written_plainly_however_they_came() {
    for (came, written) in [
        // As they came: nothing would be written otherwise.
        ("HOST: a\r\nX: 1\r\n", "HOST: a\r\nX: 1\r\n"),
        ("Host: a\r\nConnection: x\r\nX: 1\r\n", "Host: a\r\n"),
        ("Host:a\r\nX: 1\r\n", "Host: a\r\nX: 1\r\n"),
        ("Host: \ta \r\nX: 1\r\n", "Host: a\r\nX: 1\r\n"),
        ("X: 1\r\nhost: a\r\nY: 2\r\n", "Host: a\r\nX: 1\r\nY: 2\r\n"),
    ] {
        let out = forwarded(&format!("GET /?b HTTP/1.1\r\n{came}\r\n"));
        assert_eq!(
            out,
            format!("GET /?b HTTP/1.1\r\n{written}{TAIL}"),
            "{came:?}"
        );
    }
    let plain = format!("GET /b HTTP/1.1\r\nHost: a\r\n{TAIL}");
    for first in [
        "GET /b HTTP/1.2\r\nHost: a",
        "GET http://a/b HTTP/1.1\r\nHost: other",
        "\r\nGET /b HTTP/1.1\r\nHost: a",
    ] {
        assert_eq!(forwarded(&format!("{first}\r\n\r\n")), plain, "{first:?}");
    }
}

#[test]
fn the_upstreams_own_host_takes_the_place_of_the_clients_where_it_is_to() {
    let own = Stamp {
        host: Host::Upstream("db.example"),
        ..STAMP
    };
    let (_, out) = read_as("GET / HTTP/1.1\r\nHost: a\r\n\r\n", own)
        .unwrap()
        .unwrap();
    assert_eq!(out, format!("GET / HTTP/1.1\r\nHost: db.example\r\n{TAIL}"));
}

#[test]
fn a_made_id_takes_the_place_of_the_clients_however_it_is_spelled() {
    let head = "GET / HTTP/1.1\r\nHost: a\r\nX-Request-ID: a b\r\nX_Request_Id: c\r\n\r\n";
    let made = Stamp {
        request_id: Some(b"X-Request-Id: made\r\n"),
        ..STAMP
    };
    let (_, out) = read_as(head, made).unwrap().unwrap();
    let made = "X-Request-Id: made\r\n";
    assert_eq!(out, format!("GET / HTTP/1.1\r\nHost: a\r\n{made}{TAIL}"));
    let kept = forwarded("GET / HTTP/1.1\r\nHost: a\r\nX-Request-ID: own\r\n\r\n");
    assert_eq!(
        kept,
        format!("GET / HTTP/1.1\r\nHost: a\r\nX-Request-ID: own\r\n{TAIL}")
    );
}

#[test]
fn only_a_websocket_is_upgraded() {
    let head = |fields: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let (request, out) = read_as(
        &head("Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"),
        STAMP,
    )
    .unwrap()
    .unwrap();
    assert!(request.is_websocket);
    assert!(
        out.contains("\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"),
        "{out}"
    );
    for fields in [
        "Upgrade: websocket\r\n",
        "Connection: Upgrade\r\nUpgrade: h2c\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n",
    ] {
        let (request, out) = read_as(&head(fields), STAMP).unwrap().unwrap();
        assert!(
            !request.is_websocket && !out.contains("Upgrade"),
            "{fields}: {out}"
        );
    }
}
