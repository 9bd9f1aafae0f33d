//! The certificate that all servers show over TLS, and what is spoken with them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{CertificateParams, KeyPair};

use crate::Result;

/// Whom the certificate is for. It leads to 127.0.0.1.
pub(crate) const HOST: &str = "localhost";
/// What is spoken, as OpenSSL calls it.
pub(crate) const CIPHER: &str = "TLS_AES_128_GCM_SHA256";
/// The file that holds the certificate.
pub(crate) const CERTIFICATE: &str = "front.pem";

/// The certificate that all show, with an ECDSA key, in files.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// One after the other in one file.
    pub(crate) both: PathBuf,
}

impl Shown {
    /// A new one, in `dir`.
    pub(crate) fn make(dir: &Path) -> Result<Self> {
        let key = KeyPair::generate()?;
        let params = CertificateParams::new(vec![HOST.to_owned()])?;
        let certificate = params.self_signed(&key)?.pem();
        let key = key.serialize_pem();
        let file = |name: &str, text: &str| -> Result<PathBuf> {
            let path = dir.join(name);
            fs::write(&path, text)?;
            Ok(path)
        };
        // By which OpenSSL's clients, whatever their own words, are kept to the cipher.
        let section =
            "openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = own\n[own]\n";
        let terms = format!("{section}MinProtocol = TLSv1.3\nCiphersuites = {CIPHER}\n");
        file("openssl.cnf", &terms)?;
        Ok(Self {
            both: file("both.pem", &(certificate.clone() + &key))?,
            certificate: file(CERTIFICATE, &certificate)?,
            key: file("front.key", &key)?,
        })
    }
}
