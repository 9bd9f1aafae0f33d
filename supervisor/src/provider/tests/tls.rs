//! Servers behind TLS, and the roots by which they are known.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use tokio::io::AsyncWriteExt;
use tpp::tls::TrustError;

use super::{
    server::{http, tls_once},
    transport::GRANT,
    *,
};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/tls")
        .join(name)
}

fn tls_upstream(address: SocketAddr, ca: &str) -> Upstream {
    Upstream {
        tls: true,
        ca_file: Some(fixture(ca)),
        ..upstream(address)
    }
}

async fn tls_login(upstream: Upstream) -> Result<Token, LoginError> {
    DolphinDb::new(&upstream, &rules())
        .unwrap()
        .login(&credential())
        .await
}

#[tokio::test]
async fn a_trusted_certificate_is_logged_in_to() {
    let address = tls_once(http("200 OK", GRANT));
    assert_eq!(
        granted(tls_login(tls_upstream(address, "ca.pem")).await),
        "tok"
    );
}

#[tokio::test]
async fn a_foreign_certificate_is_a_tls_error_unless_verify_is_off() {
    let error = tls_login(tls_upstream(
        tls_once(http("200 OK", GRANT)),
        "other-ca.pem",
    ))
    .await
    .unwrap_err();
    assert!(
        matches!(&error, LoginError::Tls { cause, .. } if cause.contains("certificate")),
        "{error:?}"
    );
    let upstream = Upstream {
        verify: false,
        ..tls_upstream(tls_once(http("200 OK", GRANT)), "other-ca.pem")
    };
    assert_eq!(granted(tls_login(upstream).await), "tok");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_a_tls_error() {
    // All of 127/8 is this machine; the certificate knows 127.0.0.1 alone.
    let listener = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
    let front = listener.local_addr().unwrap();
    let back = tls_once(http("200 OK", GRANT));
    std::thread::spawn(move || {
        let (mut near, _) = listener.accept().unwrap();
        let mut far = std::net::TcpStream::connect(back).unwrap();
        let (mut near_copy, mut far_copy) = (near.try_clone().unwrap(), far.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut far_copy, &mut near_copy));
        let _ = std::io::copy(&mut near, &mut far);
        let _ = far.flush();
    });
    let error = tls_login(tls_upstream(front, "ca.pem")).await.unwrap_err();
    assert!(
        matches!(&error, LoginError::Tls { cause, .. } if cause.contains("certificate")),
        "{error:?}"
    );
}

#[tokio::test]
async fn plain_http_on_a_tls_upstream_is_a_tls_error() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        std::future::pending::<()>().await;
    });
    let error = tls_login(tls_upstream(address, "ca.pem"))
        .await
        .unwrap_err();
    assert!(matches!(error, LoginError::Tls { .. }), "{error:?}");
}

#[test]
fn a_bad_ca_file_is_a_setup_error_that_names_it() {
    let address = "127.0.0.1:1".parse().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let set_up = |contents: Option<&str>| {
        let path = directory.path().join("roots.pem");
        if let Some(contents) = contents {
            std::fs::write(&path, contents).unwrap();
        }
        let upstream = Upstream {
            ca_file: Some(path),
            ..tls_upstream(address, "ca.pem")
        };
        DolphinDb::new(&upstream, &rules()).unwrap_err()
    };
    assert!(matches!(
        set_up(None),
        SetupError::Trust(TrustError::CaFile { .. })
    ));
    assert!(matches!(
        set_up(Some("nothing here")),
        SetupError::Trust(TrustError::NoCertificate { .. })
    ));
    let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(
        set_up(Some(junk)),
        SetupError::Trust(TrustError::BadCertificate { .. })
    ));
    let error = set_up(Some(
        "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
    ));
    assert!(error.to_string().contains("roots.pem"), "{error}");
}

#[test]
fn plain_http_asks_for_no_roots() {
    let upstream = Upstream {
        ca_file: Some("/nonexistent/ca.pem".into()),
        ..upstream("127.0.0.1:1".parse().unwrap())
    };
    assert!(DolphinDb::new(&upstream, &rules()).is_ok());
}
