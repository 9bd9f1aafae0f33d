//! A tpp that gets its certificates from a pebble.

use std::fs;

use rustls::pki_types::CertificateDer;
use tpp::control::{CertificateStatus, Renewal};

use super::{
    browser::Browser,
    common::{origin::Origin, proxy::Proxy, settings::Settings},
    pebble::Pebble,
};

/// A tpp that is not started yet.
pub(crate) struct Scene {
    pub(crate) pebble: Pebble,
    pub(crate) settings: Settings,
    _origin: Origin,
}

/// The table of a host that gets its own, ending with `further`.
pub(crate) fn host(domain: &str, further: &str) -> String {
    format!(
        "\n[[virtual_hosts]]\ndomain = \"{domain}\"\nenabled_backends_tag = \"a\"\ncertificate = \"acme\"\n{further}\n"
    )
}

impl Scene {
    /// By http-01, at an address without TLS beside the one with.
    pub(crate) fn plain(pebble: Pebble, hosts: &str) -> Self {
        let listen = pebble.plain.address;
        let scene = Self::new(pebble, "", hosts);
        let settings = scene.settings.set("listen", format!("\"{listen}\""));
        Self { settings, ..scene }
    }

    /// By tls-alpn-01, with an address that is for others.
    pub(crate) fn secure(pebble: Pebble, listener: &str, hosts: &str) -> Self {
        let scene = Self::new(pebble, listener, hosts);
        let settings = scene.settings.set("acme.challenge", "\"tls-alpn-01\"");
        Self { settings, ..scene }
    }

    fn new(pebble: Pebble, listener: &str, hosts: &str) -> Self {
        let origin = Origin::start("one");
        let tls = pebble.tls.address;
        let tables = format!("\n[[listeners]]\naddress = \"{tls}\"\ntls = true\n{listener}\n");
        let directory = pebble.orders.address;
        let settings = Settings::of_gateway()
            .set("acme.enabled", true)
            .set("acme.accept_terms", true)
            .set("acme.email", "\"ops@acme.test\"")
            .set("acme.directory", format!("\"https://{directory}/dir\""))
            .set("acme.ca_file", "\"pebble.pem\"")
            .further(&(tables + hosts + &origin.table("\"a\"", "")))
            .file("pebble.pem", &pebble.authority.pem());
        Self {
            pebble,
            settings,
            _origin: origin,
        }
    }

    /// With a file beside the configuration.
    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        let settings = self.settings.file(name, text);
        Self { settings, ..self }
    }

    pub(crate) fn start(&self) -> Proxy {
        Proxy::start_without_tokens(&self.settings)
    }

    /// What a client that asks for `host` is shown, which `browser` trusts; `None`: nothing that it would.
    pub(crate) fn shown(&self, browser: &Browser, host: &str) -> Option<CertificateDer<'static>> {
        let secure = browser.connect(self.pebble.tls.address, host).ok()?;
        Some(secure.shown())
    }
}

/// What is said of the certificate of `host`.
pub(crate) fn status(proxy: &Proxy, host: &str) -> CertificateStatus {
    let name = format!("acme:{host}");
    let mut all = proxy.status().certificates.into_iter();
    all.find(|one| one.name == name).expect("it is told of")
}

/// How it stands with the next one.
pub(crate) fn renewal(proxy: &Proxy, host: &str) -> Renewal {
    status(proxy, host).renewal.expect("it is tpp's own")
}

/// Orders that came to `result`.
pub(crate) fn orders(proxy: &Proxy, result: &str) -> u64 {
    let name = format!("tpp_acme_orders_total{{result=\"{result}\"}}");
    proxy.metric(&name).expect("it is counted") as u64
}

/// How many files tpp keeps in this directory of its own.
pub(crate) fn kept(proxy: &Proxy, directory: &str) -> usize {
    let path = proxy.directory().join("state/acme").join(directory);
    fs::read_dir(path).map_or(0, Iterator::count)
}
