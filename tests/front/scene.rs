//! A tpp with a plain address and one with TLS, before one backend.

use std::net::SocketAddr;

use super::{
    browser::{Authority, Issued},
    common::{origin::Origin, proxy::Proxy, settings::Settings},
};

/// All that a test has to do with.
pub(crate) struct Scene {
    pub(crate) origin: Origin,
    pub(crate) authority: Authority,
    pub(crate) settings: Settings,
}

/// The host that takes what no other does.
pub(crate) const DEFAULT_HOST: &str =
    "\n[[virtual_hosts]]\ndomain = \"default\"\nenabled_backends_tag = \"a\"\n";

impl Scene {
    /// With a listener whose table ends with `listener`, and the `hosts`.
    pub(crate) fn new(listener: &str, hosts: &str) -> Self {
        let origin = Origin::start("one");
        let table = origin.table("\"a\"", "");
        let listeners =
            format!("\n[[listeners]]\naddress = \"127.0.0.2:0\"\ntls = true\n{listener}\n");
        let settings = Settings::of_gateway().further(&(listeners + hosts + &table));
        Self {
            origin,
            authority: Authority::new(),
            settings,
        }
    }

    /// With another certificate, called `name`, for these hosts.
    pub(crate) fn certificate(self, name: &str, hosts: &[&str]) -> (Self, Issued) {
        let issued = self.authority.issue(hosts);
        let table = format!(
            "\n[[certificates]]\nname = \"{name}\"\ncert_file = \"{name}.pem\"\nkey_file = \"{name}.key\"\n"
        );
        let settings = self.settings.further(&table);
        let settings = with_files(settings, name, &issued);
        (Self { settings, ..self }, issued)
    }

    pub(crate) fn set(self, key: &str, value: impl ToString) -> Self {
        let settings = self.settings.set(key, value);
        Self { settings, ..self }
    }

    pub(crate) fn start(&self) -> Proxy {
        Proxy::start_without_tokens(&self.settings)
    }
}

/// The same with the files of the certificate called `name`.
pub(crate) fn with_files(settings: Settings, name: &str, issued: &Issued) -> Settings {
    settings
        .file(&format!("{name}.pem"), &issued.pem)
        .file(&format!("{name}.key"), &issued.key())
}

/// Where TLS is spoken: the second address.
pub(crate) fn secure(proxy: &Proxy) -> SocketAddr {
    let listen = proxy.status().listen;
    listen[1].parse().expect("the address of the listener")
}
