//! Certificates as people make them, made anew for each test.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rustls::pki_types::{ServerName, UnixTime};

use super::*;

/// Some time in 2026.
const NOW: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(1_780_000_000));

fn params(names: &[&str], is_ca: IsCa) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params
        .distinguished_name
        .push(DnType::CommonName, "localhost");
    params.is_ca = is_ca;
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2040, 1, 1);
    params
}

fn self_signed(params: &CertificateParams) -> CertificateDer<'static> {
    let key = KeyPair::generate().unwrap();
    params.self_signed(&key).unwrap().der().clone()
}

const AUTHORITY: IsCa = IsCa::Ca(BasicConstraints::Unconstrained);

/// What is said of `presented` by one who trusts `own`.
fn verdict(
    own: &CertificateDer<'static>,
    presented: &CertificateDer<'static>,
    name: &'static str,
) -> Result<(), String> {
    let mut roots = RootCertStore::empty();
    roots.add(own.clone()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let chains =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .unwrap();
    let name = ServerName::try_from(name).unwrap();
    Verifier::new(TrustOwn::new(chains, vec![own.clone()]), &provider)
        .verify_server_cert(presented, &[], &name, &[], NOW)
        .map(|_| ())
        .map_err(|error| error.to_string())
}

#[test]
fn a_self_signed_certificate_that_stands_in_the_file_is_good_for_its_name() {
    for is_ca in [AUTHORITY, IsCa::ExplicitNoCa, IsCa::NoCa] {
        let certificate = self_signed(&params(&["localhost"], is_ca));
        assert_eq!(
            verdict(&certificate, &certificate, "localhost"),
            Ok(()),
            "{is_ca:?}"
        );
        assert!(verdict(&certificate, &certificate, "elsewhere").is_err());
    }
}

#[test]
fn a_self_signed_certificate_whose_time_is_over_or_to_come_is_not() {
    for (from, to) in [(2010, 2020), (2030, 2040)] {
        for is_ca in [AUTHORITY, IsCa::ExplicitNoCa] {
            let mut params = params(&["localhost"], is_ca);
            params.not_before = date_time_ymd(from, 1, 1);
            params.not_after = date_time_ymd(to, 1, 1);
            let certificate = self_signed(&params);
            assert!(verdict(&certificate, &certificate, "localhost").is_err());
        }
    }
}

#[test]
fn another_self_signed_certificate_is_not_trusted_for_its_likeness() {
    for is_ca in [AUTHORITY, IsCa::ExplicitNoCa] {
        let params = params(&["localhost"], is_ca);
        let (own, other) = (self_signed(&params), self_signed(&params));
        assert!(verdict(&own, &other, "localhost").is_err());
    }
    let authority = params(&["localhost"], AUTHORITY);
    let said = verdict(
        &self_signed(&authority),
        &self_signed(&authority),
        "localhost",
    );
    assert!(said.unwrap_err().contains("upstream.ca_file"));
}

#[test]
fn a_certificate_without_a_name_or_of_version_1_is_refused_with_what_to_do() {
    let key = KeyPair::generate().unwrap();
    let root = params(&[], AUTHORITY);
    let root: CertifiedIssuer<'_, _> = CertifiedIssuer::self_signed(root, key).unwrap();
    let issuer: &Issuer<'_, _> = &root;
    let leaf_key = KeyPair::generate().unwrap();
    let leaf = params(&[], IsCa::NoCa)
        .signed_by(&leaf_key, issuer)
        .unwrap();
    let root: &rcgen::Certificate = root.as_ref();
    let said = verdict(root.der(), leaf.der(), "localhost").unwrap_err();
    assert!(said.contains("subjectAltName"), "{said}");
    let said = verdict(root.der(), &version_1(), "localhost").unwrap_err();
    assert!(said.contains("version 1"), "{said}");
}

/// `openssl x509 -req` without extensions made it.
fn version_1() -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(include_bytes!("tests/version-1.pem")).unwrap()
}
