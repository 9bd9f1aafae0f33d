//! An upstream that speaks TLS. It calls itself `localhost`; its root is in `certificates/root.pem`.

use std::{path::PathBuf, sync::Arc};

use pingora_core::tls::{
    ServerConfig, TlsAcceptor, install_default_crypto_provider, load_certs_and_key_files,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tpp::lending::WorkerSettings;

use super::play::{GET, Stage, soon};

pub(super) fn certificates(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("src/tests/certificates")
        .join(file)
}

/// Answers one request with 204, if the handshake gets that far.
async fn answer_over_tls(stream: TcpStream) {
    install_default_crypto_provider();
    let file = |name| certificates(name).to_str().unwrap().to_owned();
    let (chain, key) = load_certs_and_key_files(&file("certificate.pem"), &file("key.pem"))
        .unwrap()
        .unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let Ok(mut tls) = TlsAcceptor::from(Arc::new(config)).accept(stream).await else {
        return;
    };
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        assert!(tls.read_buf(&mut read).await.unwrap() > 0);
    }
    assert!(read.windows(9).any(|window| window == b"token-0-1"));
    tls.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
        .await
        .unwrap();
    tls.flush().await.unwrap();
}

async fn status_with(change: impl FnOnce(&mut WorkerSettings)) -> String {
    let stage = Stage::new(1, |settings| {
        settings.upstream.tls = true;
        settings.upstream.host = "localhost".into();
        settings.upstream.ca_file = Some(certificates("root.pem"));
        change(settings);
    })
    .await;
    let mut client = stage.client().await;
    client.send(GET).await;
    let upstream = async {
        answer_over_tls(stage.upstream_socket().await).await;
        std::future::pending().await
    };
    let head = tokio::select! {
        head = client.head() => head,
        () = upstream => unreachable!("it waits for ever in the end"),
    };
    head["HTTP/1.1 ".len()..][..3].to_owned()
}

#[tokio::test]
async fn an_upstream_with_a_trusted_certificate_is_spoken_to() {
    assert_eq!(soon("an answer", status_with(|_| {})).await, "204");
}

#[tokio::test]
async fn a_certificate_of_another_name_is_refused() {
    assert_eq!(
        status_with(|settings| settings.upstream.host = "127.0.0.1".into()).await,
        "502"
    );
}

#[tokio::test]
async fn a_certificate_of_an_unknown_root_is_refused() {
    // Another root: the leaf itself, which signed nothing.
    assert_eq!(
        status_with(|settings| settings.upstream.ca_file = Some(certificates("certificate.pem")))
            .await,
        "502"
    );
}

#[tokio::test]
async fn without_verification_any_certificate_will_do() {
    let status = status_with(|settings| {
        settings.upstream.host = "another.example".into();
        settings.upstream.ca_file = Some(certificates("certificate.pem"));
        settings.upstream.verify = false;
    });
    assert_eq!(status.await, "204");
}

#[tokio::test]
async fn roots_that_cannot_be_read_are_an_error_and_no_panic() {
    for file in ["none.pem", "key.pem"] {
        let stage = Stage::new(1, |settings| {
            settings.upstream.tls = true;
            settings.upstream.ca_file = Some(certificates(file));
        })
        .await;
        let mut client = stage.client().await;
        client.send(GET).await;
        assert!(client.head().await.starts_with("HTTP/1.1 502 "));
        assert!(stage.upstream_is_untouched().await);
    }
}
