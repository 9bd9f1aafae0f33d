//! Upstreams with TLS that may speak HTTP/2: what is spoken is what the handshake agrees on.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use pingora_core::tls::{
    ServerConfig, TlsAcceptor, install_default_crypto_provider, load_certs_and_key_files,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tpp::config::UpstreamHttp2;

use super::{
    play::{GET, Stage, soon},
    tls::certificates,
};

/// Serves one request with 200 and the protocol that was agreed on, of those it `offers`.
async fn answer(stream: TcpStream, offers: &[&str]) {
    install_default_crypto_provider();
    let file = |name| certificates(name).to_str().unwrap().to_owned();
    let (chain, key) = load_certs_and_key_files(&file("certificate.pem"), &file("key.pem"))
        .unwrap()
        .unwrap();
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = offers.iter().map(|one| one.as_bytes().to_vec()).collect();
    let Ok(mut tls) = TlsAcceptor::from(Arc::new(config)).accept(stream).await else {
        return;
    };
    if tls.get_ref().1.alpn_protocol() == Some(b"h2") {
        let mut connection = h2::server::handshake(tls).await.unwrap();
        while let Some(asked) = connection.accept().await {
            let (request, mut to) = asked.unwrap();
            assert_eq!(request.uri().scheme_str(), Some("https"));
            let mut body = to.send_response(Response::new(()), false).unwrap();
            body.send_data(Bytes::from_static(b"two"), true).unwrap();
        }
        return;
    }
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        if tls.read_buf(&mut read).await.unwrap() == 0 {
            return;
        }
    }
    let said = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none";
    tls.write_all(said).await.unwrap();
    tls.flush().await.unwrap();
}

/// What a client is answered, its upstream's table saying `http2` and the upstream offering so much.
async fn answered(http2: UpstreamHttp2, offers: &'static [&'static str]) -> String {
    let mut stage = Stage::new(1, |settings| {
        settings.upstream.tls = true;
        settings.upstream.host = "localhost".into();
        settings.upstream.ca_file = Some(certificates("root.pem"));
        settings.upstream.http2 = http2;
    })
    .await;
    let mut client = stage.client().await;
    client
        .send(GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"))
        .await;
    let upstream = stage.upstream_socket().await;
    stage.play(answer(upstream, offers));
    soon("an answer", client.rest()).await
}

#[tokio::test]
async fn what_the_handshake_agrees_on_is_spoken() {
    for (http2, offers, said) in [
        (UpstreamHttp2::Only, &["h2"][..], "two"),
        (UpstreamHttp2::Only, &["http/1.1", "h2"], "two"),
        (UpstreamHttp2::On, &["h2", "http/1.1"], "two"),
        (UpstreamHttp2::On, &["http/1.1"], "one"),
        // It knows nothing of such agreements.
        (UpstreamHttp2::On, &[], "one"),
        (UpstreamHttp2::Off, &["h2", "http/1.1"], "one"),
    ] {
        let answer = answered(http2, offers).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{http2:?}: {answer}");
        assert!(answer.contains(said), "{http2:?} {offers:?}: {answer}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_agree_is_not_spoken_to_in_another_way() {
    for offers in [&[][..], &["http/1.1"]] {
        let answer = answered(UpstreamHttp2::Only, offers).await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{offers:?}: {answer}");
    }
}
