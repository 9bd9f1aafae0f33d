//! What an authority is told that wants proof that a host is ours (ACME), as the supervisor's front door has it: by http-01 for a path
//! that nobody else is told of, by tls-alpn-01 in a handshake that is for nothing else.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use anyhow::Context as _;
use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    pki_types::PrivatePkcs8KeyDer,
    server::{ClientHello, NoServerSessionStorage},
    sign::{CertifiedKey, SingleCertAndKey},
    version::{TLS12, TLS13},
};
use tpp::front::Front;

/// Where answers of http-01 are asked for (RFC 8555, 8.3).
const PLACE: &[u8] = b"/.well-known/acme-challenge/";
/// What a handshake of tls-alpn-01 asks for (RFC 8737, 4).
const PROTOCOL: &[u8] = b"acme-tls/1";

/// The challenges that are open.
#[derive(Debug)]
pub(crate) struct Challenges {
    answers: BTreeMap<String, String>,
    /// By the name of the host, in lower case.
    proofs: HashMap<String, Arc<ServerConfig>>,
}

impl Challenges {
    /// Those of `front`.
    ///
    /// # Errors
    /// If the TLS library does not take a certificate.
    pub(super) fn new(front: &Front, provider: &Arc<CryptoProvider>) -> anyhow::Result<Self> {
        let mut proofs = HashMap::new();
        for proof in &front.challenges.proofs {
            // The library's own way looks into the certificate, and turns down what it does not know there.
            let key = PrivatePkcs8KeyDer::from(proof.expose_key().to_vec());
            let key = provider.key_provider.load_private_key(key.into());
            let key = key.with_context(|| format!("proof for {}", proof.host))?;
            let key = CertifiedKey::new(vec![proof.certificate.clone()], key);
            let mut settings = ServerConfig::builder_with_provider(Arc::clone(provider))
                .with_protocol_versions(&[&TLS13, &TLS12])?
                .with_no_client_auth()
                .with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
            settings.alpn_protocols = vec![PROTOCOL.to_vec()];
            settings.session_storage = Arc::new(NoServerSessionStorage {});
            proofs.insert(proof.host.clone(), Arc::new(settings));
        }
        Ok(Self {
            answers: front.challenges.answers.clone(),
            proofs,
        })
    }

    /// Whether an answer of http-01 may be asked for.
    pub(crate) fn has_answers(&self) -> bool {
        !self.answers.is_empty()
    }

    /// What is answered to a request for `path`, as it stands in the request; `None`: it is a request like any other.
    pub(crate) fn answer(&self, path: &[u8]) -> Option<&str> {
        let token = std::str::from_utf8(path.strip_prefix(PLACE)?).ok()?;
        self.answers.get(token).map(String::as_str)
    }

    /// How the handshake that `hello` begins is gone on with, if it is one of a challenge.
    pub(crate) fn proof(&self, hello: &ClientHello<'_>) -> Option<Arc<ServerConfig>> {
        if self.proofs.is_empty() || !hello.alpn()?.any(|one| one == PROTOCOL) {
            return None;
        }
        let host = hello.server_name()?.to_ascii_lowercase();
        self.proofs.get(&host).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_for_the_very_path_of_its_token() {
        let answers = [("a-token_1".to_owned(), "a-token_1.thumb".to_owned())];
        let challenges = Challenges {
            answers: answers.into(),
            proofs: HashMap::new(),
        };
        let at = |token: &str| format!("/.well-known/acme-challenge/{token}").into_bytes();
        assert_eq!(challenges.answer(&at("a-token_1")), Some("a-token_1.thumb"));
        for other in [
            "",
            "a-token_",
            "a-token_1?x",
            "a-token_1/",
            "../a-token_1",
            "A-token_1",
        ] {
            assert_eq!(challenges.answer(&at(other)), None, "{other}");
        }
        for path in [
            &b"/a-token_1"[..],
            b"*",
            b"/.well-known/acme-challenge",
            b"//.well-known/acme-challenge/a-token_1",
        ] {
            assert_eq!(challenges.answer(path), None);
        }
        assert_eq!(challenges.answer(b"/.well-known/acme-challenge/\xff"), None);
    }
}
