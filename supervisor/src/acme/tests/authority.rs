//! An authority that does what no real one can be brought to: it knows accounts no more, wants to be left alone, talks nonsense.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::http::{Method, Request, Response};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What is answered where something else than the usual is.
pub(super) struct Said {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) retry_after: Option<u64>,
    pub(super) body: String,
}

impl Said {
    /// A problem of this type.
    pub(super) fn problem(status: u16, what: &str, retry_after: Option<u64>) -> Self {
        let body = json!({
            "type": format!("urn:ietf:params:acme:error:{what}"), "detail": "so it is", "status": status,
        });
        Self {
            status,
            content_type: "application/problem+json",
            retry_after,
            body: body.to_string(),
        }
    }
}

/// What it says to a request for a path, of an account (its URL's path), if that is not the usual.
type Mood = dyn Fn(&str, Option<&str>) -> Option<Said> + Send + Sync;

/// The authority, on loopback.
pub(super) struct Authority {
    pub(super) address: SocketAddr,
    /// Whom it is trusted by.
    pub(super) certificate: CertificateDer<'static>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Authority {
    pub(super) async fn start(
        mood: impl Fn(&str, Option<&str>) -> Option<Said> + Send + Sync + 'static,
    ) -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let certificate = made.cert.der().clone();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let settings = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key.into())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(settings));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let (noted, mood) = (
            Arc::clone(&asked),
            Arc::<Mood>::from(Box::new(mood) as Box<Mood>),
        );
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, noted, mood) =
                    (acceptor.clone(), Arc::clone(&noted), Arc::clone(&mood));
                tokio::spawn(async move {
                    let stream = acceptor.accept(tcp).await?;
                    let service = service_fn(|request| answer(address, &noted, &*mood, request));
                    let served =
                        http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                    served.await.map_err(std::io::Error::other)
                });
            }
        });
        Self {
            address,
            certificate,
            asked,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("https://{}/dir", self.address)
    }

    /// How often a path was asked for.
    pub(super) fn asked(&self, path: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|one| *one == path).count()
    }
}

async fn answer(
    address: SocketAddr,
    asked: &Mutex<Vec<String>>,
    mood: &Mood,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let is_head = request.method() == Method::HEAD;
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let account = account(&body);
    let (number, is_final) = {
        let mut asked = asked.lock().unwrap();
        asked.push(path.clone());
        let number = asked.iter().filter(|one| *one == "/account").count();
        (number, asked.iter().any(|one| one == "/finalize"))
    };
    let said = mood(&path, account.as_deref());
    let said = said.unwrap_or_else(|| usual(address, &path, is_final));
    let response = Response::builder()
        .status(said.status)
        .header("content-type", said.content_type)
        .header("replay-nonce", "nonce");
    let response = match path.as_str() {
        "/account" => response.header("location", format!("https://{address}/account/{number}")),
        "/order" => response.header("location", format!("https://{address}/order/1")),
        _ => response,
    };
    let response = match said.retry_after {
        Some(seconds) => response.header("retry-after", seconds),
        None => response,
    };
    let body = if is_head { String::new() } else { said.body };
    Ok(response.body(Full::from(body)).unwrap())
}

/// Whose request it is.
fn account(body: &[u8]) -> Option<String> {
    let signed: Value = serde_json::from_slice(body).ok()?;
    let head = BASE64_URL_SAFE_NO_PAD
        .decode(signed["protected"].as_str()?)
        .ok()?;
    let head: Value = serde_json::from_slice(&head).ok()?;
    let url = head["kid"].as_str()?;
    url.rsplit_once('/').map(|(_, number)| number.to_owned())
}

/// All goes well, and the certificate that is given in the end is left to the mood.
fn usual(address: SocketAddr, path: &str, is_final: bool) -> Said {
    let at = |path: &str| format!("https://{address}/{path}");
    let order = |status: &str| {
        json!({
            "status": status, "identifiers": [{"type": "dns", "value": "a.test"}],
            "authorizations": [at("proof")], "finalize": at("finalize"), "certificate": at("certificate"),
        })
    };
    let (status, body) = match path {
        "/dir" => (
            200,
            json!({
                "newNonce": at("nonce"), "newAccount": at("account"), "newOrder": at("order"),
                "revokeCert": at("revoke"), "keyChange": at("key"), "renewalInfo": at("renewal"),
            }),
        ),
        "/account" => (201, json!({"status": "valid"})),
        "/order" => (201, order("pending")),
        "/order/1" => (200, order(if is_final { "valid" } else { "ready" })),
        "/finalize" => (200, order("valid")),
        "/proof" => {
            let challenge = json!({
                "type": "http-01", "url": at("challenge"), "token": "token", "status": "pending",
            });
            let host = json!({"type": "dns", "value": "a.test"});
            (
                200,
                json!({"identifier": host, "status": "pending", "challenges": [challenge]}),
            )
        }
        "/challenge" => (
            200,
            json!({"type": "http-01", "url": at("challenge"), "token": "token", "status": "valid"}),
        ),
        _ => (200, json!({})),
    };
    Said {
        status,
        content_type: "application/json",
        retry_after: None,
        body: body.to_string(),
    }
}
