//! Requests and answers pass through as they are, in both directions, but for what a proxy must change.

use crate::common::{
    http::{Head, pattern},
    message::Request,
    proxy::Proxy,
    settings::Settings,
    upstream::Upstream,
    wait_until,
};
use serde_json::Value;

/// An upstream and a tpp with two tokens in front of it.
fn pair() -> (Upstream, Proxy) {
    let upstream = Upstream::start();
    let proxy = Proxy::start(&Settings::in_front_of(&upstream).accounts(&upstream, 2));
    (upstream, proxy)
}

/// The head of `request` as the upstream got it.
fn head_as_forwarded(proxy: &Proxy, upstream: &Upstream, request: &Request) -> Head {
    let head = proxy.client(upstream).ask(request).ok().json();
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let fields = head["fields"].as_array().expect("a list").iter();
    Head {
        line: text(&head["line"]),
        fields: fields
            .map(|pair| (text(&pair[0]), text(&pair[1])))
            .collect(),
    }
}

#[test]
fn the_clients_authorization_is_replaced_by_the_token() {
    let (upstream, proxy) = pair();
    let request = Request::get("/head");
    let request = request
        .field("Authorization", "Basic dXNlcjpwYXNz")
        .field("authorization", "Bearer mine");
    let head = head_as_forwarded(&proxy, &upstream, &request);
    let [bearer] = head.all("authorization")[..] else {
        panic!("{head:?}")
    };
    let token = bearer
        .strip_prefix("Bearer ")
        .expect("a bearer token")
        .to_owned();
    assert!(upstream.tokens().contains(&token));
    upstream.assert_clean();
}

#[test]
fn method_path_query_and_fields_pass_unchanged() {
    let (upstream, proxy) = pair();
    let request =
        Request::new("PATCH", "/head?a=1&b=%20c/../d").field("X-Mixed-CASE", "a, b;c=\"d\"");
    let request = request
        .field("Accept-Encoding", "gzip")
        .field("Cookie", "a=b")
        .field("Cookie", "c=d");
    let head = head_as_forwarded(&proxy, &upstream, &request);
    assert_eq!(head.line, "PATCH /head?a=1&b=%20c/../d HTTP/1.1");
    assert_eq!(head.all("host"), ["tpp.test"]);
    assert_eq!(head.all("x-mixed-case"), ["a, b;c=\"d\""]);
    assert_eq!(head.all("accept-encoding"), ["gzip"]);
    assert_eq!(head.all("cookie").join("; "), "a=b; c=d");
}

#[test]
fn who_the_client_is_is_said_and_what_it_claims_is_not() {
    let (upstream, proxy) = pair();
    let request = Request::get("/head")
        .field("X-Forwarded-For", "6.6.6.6")
        .field("X-Forwarded-Proto", "https");
    let head = head_as_forwarded(&proxy, &upstream, &request);
    assert_eq!(head.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(head.all("x-forwarded-proto"), ["http"]);
}

#[test]
fn no_other_name_for_who_the_client_is_is_believed() {
    let (upstream, proxy) = pair();
    let forged = [
        "Forwarded",
        "X-Real-IP",
        "X-Client-IP",
        "True-Client-IP",
        "CF-Connecting-IP",
        "X-Forwarded-Port",
        "X-Forwarded-Prefix",
        "X_Forwarded_For",
        "X_Real_IP",
        "Transfer_Encoding",
        "Content_Length",
        "Proxy",
    ];
    let request = Request::get("/head")
        .field("X-Forwarded-Host", "evil.test")
        .field("user_id", "7");
    let request = forged
        .iter()
        .fold(request, |request, name| request.field(name, "6.6.6.6"));
    let head = head_as_forwarded(&proxy, &upstream, &request);
    for name in forged {
        assert_eq!(head.all(&name.to_ascii_lowercase()), [""; 0], "{name}");
    }
    assert_eq!(head.all("x-forwarded-host"), ["tpp.test"]);
    assert_eq!(head.all("via"), ["1.1 tpp"]);
    assert_eq!(head.all("user_id"), ["7"], "other names may have one");
}

#[test]
fn a_uri_in_place_of_a_path_says_which_host_is_asked() {
    let (upstream, proxy) = pair();
    let head = head_as_forwarded(&proxy, &upstream, &Request::get("http://b.test:80/head?q"));
    assert_eq!(head.line, "GET /head?q HTTP/1.1");
    assert_eq!(head.all("host"), ["b.test:80"]);
}

#[test]
fn a_path_passes_in_whatever_script_it_is() {
    let (upstream, proxy) = pair();
    let target = "/head?\u{8868}={\"a\":[1|2]}^~`<>";
    let head = head_as_forwarded(&proxy, &upstream, &Request::get(target));
    assert_eq!(head.line, format!("GET {target} HTTP/1.1"));
}

#[test]
fn what_a_trusted_client_claims_is_kept_and_its_address_appended() {
    let upstream = Upstream::start();
    let settings = Settings::in_front_of(&upstream).accounts(&upstream, 1);
    let proxy = Proxy::start(&settings.set("trust_forwarded", true));
    let request = Request::get("/head")
        .field("X-Forwarded-For", "6.6.6.6")
        .field("X-Forwarded-For", "7.7.7.7");
    let head = head_as_forwarded(&proxy, &upstream, &request);
    assert_eq!(
        head.all("x-forwarded-for").join(", "),
        "6.6.6.6, 7.7.7.7, 127.0.0.1"
    );
    let head = head_as_forwarded(&proxy, &upstream, &Request::get("/head"));
    assert_eq!(head.all("x-forwarded-for"), ["127.0.0.1"]);
}

#[test]
fn fields_of_one_hop_stay_on_their_hop() {
    let (upstream, proxy) = pair();
    let request = Request::get("/head")
        .field("Connection", "X-Private, keep-alive")
        .field("X-Private", "1");
    let request = request
        .field("Keep-Alive", "timeout=5")
        .field("Proxy-Authorization", "Basic x")
        .field("TE", "trailers");
    let head = head_as_forwarded(&proxy, &upstream, &request);
    for name in ["x-private", "keep-alive", "proxy-authorization", "te"] {
        assert_eq!(head.all(name), [""; 0], "{name} reached the upstream");
    }
    let answer = proxy.client(&upstream).get("/hop").ok();
    assert_eq!(answer.head.all("x-end"), ["for the client"]);
    assert_eq!(answer.head.all("x-hop"), [""; 0]);
    assert!(!answer.head.lists("connection", "x-hop"));
    assert!(!answer.head.all("keep-alive").contains(&"timeout=7"));
}

#[test]
fn a_connection_serves_many_requests_of_all_shapes() {
    let (upstream, proxy) = pair();
    let mut client = proxy.client(&upstream);
    for length in [0, 1, 1000, 65_536, 70_000] {
        let body = pattern(length);
        let chunks: Vec<&[u8]> = body.chunks(4000).collect();
        for request in [
            Request::post("/echo", body.clone()),
            Request::post_chunks("/echo", &chunks),
        ] {
            let answer = client.ask(&request).ok();
            assert!(
                answer.body == body,
                "{} bytes of {length} came back",
                answer.body.len()
            );
        }
        let answer = client.get(&format!("/bytes/{length}")).ok();
        assert!(
            answer.body == body,
            "{} bytes of {length} came",
            answer.body.len()
        );
    }
    assert_eq!(client.get("/status/204").status, 204);
    assert_eq!(client.get("/status/304").status, 304);
    assert_eq!(client.get("/status/418").status, 418);
    assert_eq!(client.get("/status/500").text(), "as you say");
    client.get("/who").ok();
    upstream.assert_clean();
}

#[test]
fn a_head_request_has_an_answer_without_a_body() {
    let (upstream, proxy) = pair();
    let mut client = proxy.client(&upstream);
    let answer = client.ask(&Request::new("HEAD", "/bytes/12345")).ok();
    assert_eq!(answer.head.field("content-length"), Some("12345"));
    client.get("/who").ok();
}

#[test]
fn a_client_of_http_1_0_is_served_and_its_connection_closed() {
    let (upstream, proxy) = pair();
    let mut client = proxy.client(&upstream);
    client.send_raw(b"GET /bytes/3 HTTP/1.0\r\nHost: a\r\n\r\n");
    let answer = String::from_utf8(client.read_to_close()).expect("text");
    assert!(
        answer.starts_with("HTTP/1.")
            && answer.contains(" 200 ")
            && answer.ends_with("\r\n\r\nabc"),
        "{answer}"
    );
    drop(client);
    proxy.wait_until_all_is_back(2);
}

#[test]
fn an_upstream_that_closes_after_each_answer_does_not_close_the_client() {
    let (upstream, proxy) = pair();
    let mut client = proxy.client(&upstream);
    for _ in 0..3 {
        assert_eq!(client.get("/close").ok().text(), "goodbye");
        assert_eq!(client.get("/until-close").ok().text(), "until the end");
    }
    client.get("/who").ok();
    wait_until("one connection serves on", || upstream.connections() <= 1);
    upstream.assert_clean();
}
