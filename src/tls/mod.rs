//! Whom to trust at the upstream: one answer for logins and for requests.

mod verify;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::config::{CaFile, Upstream};
use verify::{TrustAnyone, TrustOwn, Verifier};

/// Why nobody can be trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// `upstream.ca_file` cannot be read as PEM.
    #[error("upstream.ca_file {}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// `upstream.ca_file` has no certificate in it.
    #[error("upstream.ca_file {} holds no certificate", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// A certificate of `upstream.ca_file` is not one that can be trusted as a root.
    #[error("upstream.ca_file {}", path.display())]
    BadCertificate {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// TLS is asked for, and this machine has no trusted roots.
    #[error("no trusted roots on this system: install ca-certificates or name a ca_file")]
    NoRoots,
    /// The TLS library would not take its settings.
    #[error("TLS settings")]
    Library(#[from] rustls::Error),
    /// The same.
    #[error("TLS settings")]
    Verifier(#[from] rustls::client::VerifierBuilderError),
}

/// The settings for `upstream`. Without `upstream.tls` they are never used, so nothing is loaded for them.
///
/// A certificate that stands in `upstream.ca_file` is trusted itself, too, whatever it says of its own use: a self-signed
/// one often calls itself an authority.
///
/// # Errors
/// If the roots cannot be had.
pub fn client_config(upstream: &Upstream) -> Result<ClientConfig, TrustError> {
    let provider = Arc::new(ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match (upstream.tls, &upstream.ca_file) {
        (false, _) => return config_of(RootCertStore::empty()),
        (true, _) if !upstream.verify => Arc::new(Verifier::new(TrustAnyone, &provider)),
        (true, ca_file) => {
            let (roots, own) = match ca_file {
                Some(path) => roots_of_file(path)?,
                None => (roots_of_system()?, Vec::new()),
            };
            let roots = Arc::new(roots);
            let chains = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
                .build()?;
            Arc::new(Verifier::new(TrustOwn::new(chains, own), &provider))
        }
    };
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}

/// The settings for a server that one of `roots` vouches for.
///
/// # Errors
/// If the TLS library does not take its settings.
pub fn config_of(roots: RootCertStore) -> Result<ClientConfig, TrustError> {
    let provider = Arc::new(ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// Those that a file names, as roots and as they are.
fn roots_of_file(path: &Path) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), TrustError> {
    let unreadable = |source| TrustError::CaFile {
        path: path.to_owned(),
        source,
    };
    let mut roots = RootCertStore::empty();
    let mut own = Vec::new();
    for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
        let certificate = certificate.map_err(unreadable)?;
        roots
            .add(certificate.clone())
            .map_err(|source| TrustError::BadCertificate {
                path: path.to_owned(),
                source,
            })?;
        own.push(certificate);
    }
    if own.is_empty() {
        return Err(TrustError::NoCertificate {
            path: path.to_owned(),
        });
    }
    Ok((roots, own))
}

/// Those of a file, or this machine's.
///
/// # Errors
/// If there are none, or one is none that can be trusted as a root.
pub fn roots_of(file: Option<&CaFile>) -> Result<RootCertStore, TrustError> {
    let Some(file) = file else {
        return roots_of_system();
    };
    let mut roots = RootCertStore::empty();
    for certificate in &file.certificates {
        roots.add(certificate.clone())?;
    }
    Ok(roots)
}

/// This machine's. Some may be unreadable or odd; what is left counts, as long as it is not nothing.
///
/// # Errors
/// If there are none.
fn roots_of_system() -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        Err(TrustError::NoRoots)
    } else {
        Ok(roots)
    }
}

#[cfg(test)]
mod tests;
