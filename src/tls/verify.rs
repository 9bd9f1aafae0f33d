//! Whether a certificate will do.

use std::{fmt, sync::Arc};

use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};

/// What is wrong with a certificate, for whoever has to make another one.
#[derive(Debug)]
struct Advice(&'static str);

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Advice {}

const NO_NAME: &str = "the upstream's certificate has no subjectAltName: a common name does not count (RFC 9525), \
    it needs one with upstream.host in it";
const OLD_VERSION: &str = "the upstream's certificate is of X.509 version 1, it must be of version 3 \
    (with OpenSSL: `openssl x509 -req -extfile FILE`, a subjectAltName in the file)";
const NOT_IN_FILE: &str = "the upstream's certificate calls itself an authority (CA:TRUE): it is good for a server only if it \
    stands itself in upstream.ca_file";

/// What a server showed in a handshake, for which name and when.
#[derive(Debug)]
pub(super) struct Shown<'a> {
    end_entity: &'a CertificateDer<'a>,
    intermediates: &'a [CertificateDer<'a>],
    server_name: &'a ServerName<'a>,
    ocsp_response: &'a [u8],
    now: UnixTime,
}

/// Who is taken for the upstream.
pub(super) trait Trust: fmt::Debug + Send + Sync {
    /// Whether what the server showed will do for its name.
    fn judge(&self, shown: &Shown<'_>) -> Result<ServerCertVerified, Error>;
}

/// Checks certificates as `T` has it, and that their holder owns their key.
#[derive(Debug)]
pub(super) struct Verifier<T> {
    trust: T,
    algorithms: WebPkiSupportedAlgorithms,
}

impl<T: Trust> Verifier<T> {
    pub(super) fn new(trust: T, provider: &CryptoProvider) -> Self {
        Self {
            trust,
            algorithms: provider.signature_verification_algorithms,
        }
    }
}

impl<T: Trust> ServerCertVerifier for Verifier<T> {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.trust.judge(&Shown {
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Trusts what the roots vouch for, and the very certificates that stand in `upstream.ca_file`.
#[derive(Debug)]
pub(super) struct TrustOwn {
    chains: Arc<WebPkiServerVerifier>,
    own: Vec<CertificateDer<'static>>,
}

impl TrustOwn {
    pub(super) fn new(
        chains: Arc<WebPkiServerVerifier>,
        own: Vec<CertificateDer<'static>>,
    ) -> Self {
        Self { chains, own }
    }
}

impl Trust for TrustOwn {
    fn judge(&self, shown: &Shown<'_>) -> Result<ServerCertVerified, Error> {
        let end_entity = shown.end_entity;
        let verdict = self.chains.verify_server_cert(
            end_entity,
            shown.intermediates,
            shown.server_name,
            shown.ocsp_response,
            shown.now,
        );
        let Err(error) = verdict else { return verdict };
        // webpki looks at the dates before it looks at this, so they fit.
        if pki_error(&error) == Some(&webpki::Error::CaUsedAsEndEntity) {
            if !self.own.iter().any(|own| own == end_entity) {
                return Err(advice(NOT_IN_FILE));
            }
            let certificate = ParsedCertificate::try_from(end_entity)?;
            return verify_server_name(&certificate, shown.server_name)
                .map(|()| ServerCertVerified::assertion())
                .map_err(explained);
        }
        Err(explained(error))
    }
}

/// What the library that checks chains said, where the TLS library has no words of its own for it.
fn pki_error(error: &Error) -> Option<&webpki::Error> {
    match error {
        Error::InvalidCertificate(CertificateError::Other(OtherError(cause))) => {
            cause.downcast_ref()
        }
        _ => None,
    }
}

fn advice(text: &'static str) -> Error {
    CertificateError::Other(OtherError(Arc::new(Advice(text)))).into()
}

/// The same error in words that say what to do, where we know.
fn explained(error: Error) -> Error {
    match &error {
        Error::InvalidCertificate(CertificateError::NotValidForNameContext {
            presented, ..
        }) if presented.is_empty() => advice(NO_NAME),
        _ if pki_error(&error) == Some(&webpki::Error::UnsupportedCertVersion) => {
            advice(OLD_VERSION)
        }
        _ => error,
    }
}

/// `upstream.verify = false`: any certificate will do.
#[derive(Debug)]
pub(super) struct TrustAnyone;

impl Trust for TrustAnyone {
    fn judge(&self, _shown: &Shown<'_>) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }
}
