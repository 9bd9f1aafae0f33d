//! A certificate with its chain and its key, as an administrator gives them: two texts in PEM.
//!
//! What comes out fits together: the key is the certificate's, and the TLS library takes both. Nothing here shows the key.

use std::{fmt, net::IpAddr};

use rustls::{
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    sign::CertifiedKey,
};
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer, X509Certificate},
};
use zeroize::{Zeroize, Zeroizing};

/// A certificate, those that vouch for it, and its key.
#[derive(Clone, PartialEq, Eq)]
pub struct Certified {
    chain: Vec<CertificateDer<'static>>,
    /// In DER, of whichever of the three kinds.
    key: Zeroizing<Vec<u8>>,
    about: About,
}

/// What stands in a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Host names that it is for, in lower case; `*.` and a name stand for all that have one label more.
    pub names: Vec<String>,
    /// Addresses that it is for.
    pub addresses: Vec<IpAddr>,
    /// Who vouches for it, as it stands there: `CN=R13, O=…`.
    pub issuer: String,
    /// From when it is good, Unix seconds.
    pub not_before: i64,
    /// Until when it is good, Unix seconds.
    pub not_after: i64,
    /// Whether each of the chain names the next one as its issuer.
    pub is_chain_in_order: bool,
}

/// Why two texts are no certificate with its key. None says anything of the key's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Something is wrong with the certificates.
    #[error("{0}")]
    Certificate(String),
    /// Something is wrong with the key.
    #[error("{0}")]
    Key(String),
}

impl Certified {
    /// Of the certificate and its chain, in this order, and of the key: PKCS#8, PKCS#1 or SEC1.
    ///
    /// # Errors
    /// If one of them cannot be read, or the key is another certificate's.
    pub fn from_pem(certificates: &str, key: &str) -> Result<Self, Flaw> {
        let chain = certificates_of(certificates).map_err(Flaw::Certificate)?;
        let mut key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| {
            Flaw::Key(match error {
                pem::Error::NoItemsFound => "no private key in it".to_owned(),
                error => error.to_string(),
            })
        })?;
        let kept = Zeroizing::new(key.secret_der().to_vec());
        key.zeroize();
        Self::of(chain, kept)
    }

    /// Of the same in DER.
    ///
    /// # Errors
    /// As [`Self::from_pem`].
    pub fn of(chain: Vec<CertificateDer<'static>>, key: Zeroizing<Vec<u8>>) -> Result<Self, Flaw> {
        let about = About::of(&chain).map_err(Flaw::Certificate)?;
        let certified = Self { chain, key, about };
        certified.signing()?;
        Ok(certified)
    }

    /// As the TLS library signs with it.
    ///
    /// # Errors
    /// If the library does not take it, or the key is another certificate's.
    pub fn signing(&self) -> Result<CertifiedKey, Flaw> {
        let key = PrivateKeyDer::try_from(self.key.as_slice());
        let key = key.map_err(|error| Flaw::Key(error.to_owned()))?;
        let provider = ring::default_provider();
        CertifiedKey::from_der(self.chain.clone(), key.clone_key(), &provider).map_err(|error| {
            match error {
                rustls::Error::InconsistentKeys(_) => {
                    Flaw::Key("the key of another certificate".to_owned())
                }
                error => Flaw::Key(error.to_string()),
            }
        })
    }

    /// What stands in the certificate itself.
    #[must_use]
    pub fn about(&self) -> &About {
        &self.about
    }

    /// The certificate and those that vouch for it, in DER.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The key, in DER. The name is long so that each use is seen in review.
    #[must_use]
    pub fn expose_key(&self) -> &[u8] {
        &self.key
    }
}

impl fmt::Debug for Certified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certified")
            .field("about", &self.about)
            .finish_non_exhaustive()
    }
}

/// All certificates in a PEM text.
///
/// # Errors
/// If there is none, or one cannot be read.
pub fn certificates_of(text: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates = CertificateDer::pem_slice_iter(text.as_bytes());
    let certificates: Vec<_> = certificates
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    if certificates.is_empty() {
        return Err("no certificate in it".to_owned());
    }
    Ok(certificates)
}

impl About {
    fn of(chain: &[CertificateDer<'_>]) -> Result<Self, String> {
        let parsed = chain.iter().enumerate().map(|(at, one)| {
            let parsed = X509Certificate::from_der(one);
            parsed
                .map(|(_, parsed)| parsed)
                .map_err(|error| format!("certificate {} of it: {error}", at + 1))
        });
        let parsed = parsed.collect::<Result<Vec<_>, _>>()?;
        let first = parsed.first().ok_or("no certificate in it")?;
        let (mut names, mut addresses) = (Vec::new(), Vec::new());
        let alternatives = first
            .subject_alternative_name()
            .map_err(|error| error.to_string())?;
        let alternatives = alternatives.map(|list| &list.value.general_names);
        for name in alternatives.into_iter().flatten() {
            match name {
                GeneralName::DNSName(name) => names.push(name.to_ascii_lowercase()),
                GeneralName::IPAddress(bytes) => addresses.extend(address(bytes)),
                _ => {}
            }
        }
        let is_next = |pair: &[X509Certificate<'_>]| pair[0].issuer() == pair[1].subject();
        Ok(Self {
            names,
            addresses,
            issuer: first.issuer().to_string(),
            not_before: first.validity().not_before.timestamp(),
            not_after: first.validity().not_after.timestamp(),
            is_chain_in_order: parsed.windows(2).all(is_next),
        })
    }

    /// Whether it is for `host`: a name in any case, with or without a dot at its end, or an address, an IPv6 one in
    /// brackets; no port.
    #[must_use]
    pub fn covers(&self, host: &[u8]) -> bool {
        let host = host.strip_suffix(b".").unwrap_or(host);
        let is_same = |name: &str, host: &[u8]| name.as_bytes().eq_ignore_ascii_case(host);
        // `*` stands for one label that is not empty (RFC 9525, 6.3).
        let parent = host
            .iter()
            .position(|byte| *byte == b'.')
            .filter(|at| *at > 0)
            .map(|at| &host[at + 1..]);
        let covers = |name: &String| match name.strip_prefix("*.") {
            Some(suffix) => parent.is_some_and(|parent| is_same(suffix, parent)),
            None => is_same(name, host),
        };
        self.names.iter().any(covers) || self.covers_address(host)
    }

    fn covers_address(&self, host: &[u8]) -> bool {
        if self.addresses.is_empty() {
            return false;
        }
        let bare = host
            .strip_prefix(b"[")
            .and_then(|host| host.strip_suffix(b"]"))
            .unwrap_or(host);
        let text = std::str::from_utf8(bare).ok();
        text.and_then(|text| text.parse().ok())
            .is_some_and(|address: IpAddr| self.addresses.contains(&address))
    }

    /// Whole days from `now`, Unix seconds, until it is good no more; negative: it is not any more.
    #[must_use]
    pub fn days_left(&self, now: u64) -> i64 {
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        self.not_after.saturating_sub(now).div_euclid(24 * 3600)
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(four.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn made(names: &[&str]) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let names = names.iter().map(|name| (*name).to_owned());
        let params = CertificateParams::new(names.collect::<Vec<_>>()).unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn names_and_addresses_are_read_and_a_wildcard_is_one_label() {
        let (certificate, key) = made(&["A.example", "*.b.example", "127.0.0.1", "::1"]);
        let certified = Certified::from_pem(&certificate, &key).unwrap();
        let about = certified.about();
        for host in [
            "a.example",
            "A.EXAMPLE.",
            "x.b.example",
            "127.0.0.1",
            "[::1]",
        ] {
            assert!(about.covers(host.as_bytes()), "{host}");
        }
        for host in [
            "",
            "b.example",
            ".b.example",
            "x.y.b.example",
            "xa.example",
            "127.0.0.2",
            "*.example",
        ] {
            assert!(!about.covers(host.as_bytes()), "{host}");
        }
        assert!(about.issuer.starts_with("CN="), "{}", about.issuer);
        assert!(about.not_before < about.not_after);
        let end = u64::try_from(about.not_after).unwrap();
        assert_eq!(about.days_left(end - 3 * 24 * 3600 - 5), 3);
        assert_eq!(about.days_left(end + 1), -1);
    }

    #[test]
    fn the_key_of_another_certificate_is_told_from_one_that_is_none() {
        let (certificate, _) = made(&["a.example"]);
        let (_, other) = made(&["a.example"]);
        let flaw = Certified::from_pem(&certificate, &other).unwrap_err();
        assert_eq!(flaw, Flaw::Key("the key of another certificate".to_owned()));
        let flaw = Certified::from_pem(&certificate, "x").unwrap_err();
        assert_eq!(flaw, Flaw::Key("no private key in it".to_owned()));
        let flaw = Certified::from_pem(&other, &other).unwrap_err();
        assert_eq!(flaw, Flaw::Certificate("no certificate in it".to_owned()));
    }

    #[test]
    fn nobody_sees_the_key() {
        let (certificate, key) = made(&["a.example"]);
        let certified = Certified::from_pem(&certificate, &key).unwrap();
        let shown = format!("{certified:?}");
        assert!(shown.contains("a.example"), "{shown}");
        let bytes = format!("{:?}", certified.expose_key());
        assert!(!shown.contains(bytes.trim_matches(['[', ']'])), "{shown}");
        assert!(!shown.contains("key"), "{shown}");
    }
}
