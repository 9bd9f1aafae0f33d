//! HTTP/2 over TLS: agreed on where it may be, and what a host is told of its certificate.

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{
    browser::Browser,
    common::proxy::Proxy,
    scene::{DEFAULT_HOST, Scene, secure},
    speaks::{Http2, runtime},
};

/// What was agreed on with a client that speaks both, and its connection.
pub(crate) async fn agreed(
    proxy: &Proxy,
    scene: &Scene,
) -> (Option<Vec<u8>>, tokio_rustls::client::TlsStream<TcpStream>) {
    let mut config = (*Browser::trusting(&scene.authority).config()).clone();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let tcp = TcpStream::connect(secure(proxy)).await.expect("connect");
    let name = "a.test".try_into().expect("a name");
    let tls = TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await;
    let tls = tls.expect("a handshake");
    let protocol = tls.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
    (protocol, tls)
}

#[test]
fn http2_is_agreed_on_and_takes_the_way_of_any_request() {
    let (scene, _) = Scene::new("", DEFAULT_HOST).certificate("one", &["a.test"]);
    let proxy = scene.start();
    runtime().block_on(async {
        let (protocol, tls) = agreed(&proxy, &scene).await;
        assert_eq!(protocol.as_deref(), Some(&b"h2"[..]));
        let client = Http2::over(tls).await;
        for (host, status) in [("a.test", 200), ("b.test", 421)] {
            let request = http::Request::get(format!("https://{host}/")).body(());
            let answer = client.ask(request.expect("a request"), None).await;
            let answer = answer.expect(host);
            assert_eq!(answer.head.status(), status, "{host}");
            assert_eq!(answer.body == b"one", status == 200, "{host}");
        }
    });
    let heads = scene.origin.asked();
    assert_eq!(heads.len(), 1, "{heads:?}");
    for line in ["\r\nX-Forwarded-Proto: https\r\n", "\r\nVia: 2.0 tpp\r\n"] {
        assert!(heads[0].contains(line), "{}", heads[0]);
    }
}

#[test]
fn where_http2_is_off_it_is_not_offered() {
    let (scene, _) = Scene::new("http2 = false", DEFAULT_HOST).certificate("one", &["a.test"]);
    let proxy = scene.start();
    let (protocol, _) = runtime().block_on(agreed(&proxy, &scene));
    assert_eq!(protocol.as_deref(), Some(&b"http/1.1"[..]));
}
