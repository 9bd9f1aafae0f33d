//! The front door as one value: where clients connect besides `listen`, how, and with which certificates.

use std::net::SocketAddr;

use super::{
    Gateway,
    gateway::{Conflict, Rule},
    section::{
        self, Section,
        acme::Acme,
        certificate::{self, Certificate, CertificateFiles},
        http2::Http2,
        listen,
        listener::{ClientCertificates, Listener},
        tls::{self, Tls},
        trusted::TrustedProxies,
        virtual_host::{DEFAULT_DOMAIN, VirtualHost},
    },
    text::reader::{Reader, Table},
};

mod own;

/// What a host's `certificate` says when no certificate is named.
const BY_ITS_NAMES: &str = "auto";
/// The same of one that it is to get by itself.
const ITS_OWN: &str = "acme";
/// From how many days before a certificate's end on an administrator is told of it.
const SOON: i64 = 21;

/// The front door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Front {
    /// `[[listeners]]`: addresses besides those of `listen`.
    pub listeners: Vec<Listener>,
    /// `[tls]`.
    pub tls: Tls,
    /// `[[certificates]]`, with what stands in their files. Names unique.
    pub certificates: Vec<Certificate>,
    /// `[acme]`: from where hosts get certificates of their own.
    pub acme: Acme,
    /// `[http2]`.
    pub http2: Http2,
}

/// What a host asks for and cannot have.
struct Lack {
    found: String,
    allowed: &'static str,
}

/// Where else sockets are opened.
pub(super) struct Elsewhere<'a> {
    /// Of `listen`.
    pub(super) listen: &'a [SocketAddr],
    /// Each other, with its key.
    pub(super) others: Vec<(&'static str, SocketAddr)>,
}

impl Front {
    pub(super) fn read(reader: &mut Reader<'_>, top: &Table<'_>) -> Self {
        let listeners = section::entries(reader, top, None);
        let table = section::open::<Tls>(reader, top);
        let tls = Tls::read_table(reader, &table, None);
        let certificates = certificate::read(reader, top);
        let names = certificates.iter().map(|one| one.files.name.as_str());
        if let Some(name) = tls.default_certificate.as_deref()
            && !names.clone().any(|one| one == name)
            // One whose files cannot be used has been noted.
            && reader.problems.iter().all(|noted| !noted.key.starts_with(CertificateFiles::NAME))
        {
            let origin = table
                .find(&tls::DEFAULT_CERTIFICATE)
                .map(|node| node.origin);
            let name = format!("\"{name}\", which is no certificate");
            let key = table.dotted(tls::DEFAULT_CERTIFICATE.leaf());
            reader.note(origin, &key, name, tls::DEFAULT_CERTIFICATE.kind.allowed());
        }
        Self {
            listeners,
            tls,
            certificates,
            acme: section::read(reader, top),
            http2: section::read(reader, top),
        }
    }

    /// Whether clients can come by TLS.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.listeners.iter().any(|one| one.tls)
    }

    /// Whether some certificate is for `host`: the one that it names, or one by its names.
    fn has_one_for(&self, host: &VirtualHost) -> bool {
        let mut certificates = self.certificates.iter();
        if host.certificate == ITS_OWN {
            return self.acme.enabled;
        }
        // For all below a name: what one of them is covered by.
        let name = host.domain.replacen('*', "x", 1);
        certificates.any(|one| {
            let is_meant = host.certificate == BY_ITS_NAMES || one.files.name == host.certificate;
            // `default` is for names that nobody has written down.
            let is_covered =
                host.domain == DEFAULT_DOMAIN || one.certified.about().covers(name.as_bytes());
            is_meant && is_covered
        })
    }

    /// What is wrong between its entries, and with the sockets `elsewhere`.
    pub(super) fn check(
        &self,
        elsewhere: &Elsewhere<'_>,
        trusted: &TrustedProxies,
    ) -> Vec<Conflict> {
        let mut found = self.overlaps(elsewhere);
        for (index, listener) in self.listeners.iter().enumerate() {
            let wrong = self.wrong_with(listener, trusted);
            found.extend(wrong.into_iter().map(|(key, what, allowed)| {
                conflict(Rule::Listener, (Listener::NAME, index, key), what, allowed)
            }));
        }
        found.extend(self.names());
        found
    }

    fn overlaps(&self, elsewhere: &Elsewhere<'_>) -> Vec<Conflict> {
        let listen = elsewhere
            .listen
            .iter()
            .map(|one| ("listen".to_owned(), *one));
        let others = elsewhere.others.iter();
        let others = others.map(|(key, one)| ((*key).to_owned(), *one));
        let mut taken: Vec<_> = listen.chain(others).collect();
        let mut found = Vec::new();
        for (index, listener) in self.listeners.iter().enumerate() {
            let address = listener.address;
            let other = taken.iter().find(|(_, one)| listen::overlap(address, *one));
            if let Some((key, one)) = other {
                let what = format!("\"{address}\", which overlaps {key} \"{one}\"");
                let place = (Listener::NAME, index, "address");
                let allowed = "addresses that do not overlap";
                found.push(conflict(Rule::Listener, place, what, allowed));
            }
            taken.push((format!("{}[{index}].address", Listener::NAME), address));
        }
        found
    }

    fn wrong_with(
        &self,
        listener: &Listener,
        trusted: &TrustedProxies,
    ) -> Vec<(&'static str, String, &'static str)> {
        let mut wrong = Vec::new();
        let wants = listener.client_certificates != ClientCertificates::Off;
        // With ACME certificates come later, of hosts that come later, too.
        if listener.tls && self.certificates.is_empty() && !self.acme.enabled {
            let what = "true, while there is no [[certificates]]".to_owned();
            wrong.push(("tls", what, "false, or at least one certificate, or [acme]"));
        }
        if wants && !listener.tls {
            let word = listener.client_certificates.word();
            let what = format!("\"{word}\" without tls = true");
            wrong.push(("client_certificates", what, "\"off\", or tls = true"));
        }
        if wants && listener.client_ca_file.is_none() {
            let word = listener.client_certificates.word();
            let what = format!("\"{word}\" without client_ca_file");
            let allowed = "\"off\", or a client_ca_file that says who vouches for clients";
            wrong.push(("client_certificates", what, allowed));
        }
        let is_nobody_trusted =
            matches!(trusted, TrustedProxies::From(networks) if networks.is_empty());
        if listener.proxy_protocol && is_nobody_trusted {
            let what = "true, while trusted_proxies names nobody".to_owned();
            let allowed = "false, or the proxies in trusted_proxies";
            wrong.push(("proxy_protocol", what, allowed));
        }
        wrong
    }

    /// Each name once, and none that says something else where it is named.
    fn names(&self) -> Vec<Conflict> {
        let mut found = Vec::new();
        for (index, one) in self.certificates.iter().enumerate() {
            let name = &one.files.name;
            let before = &self.certificates[..index];
            let place = (CertificateFiles::NAME, index, "name");
            if let Some(first) = before.iter().position(|other| other.files.name == *name) {
                let list = CertificateFiles::NAME;
                let what = format!("\"{name}\" again (first in {list}[{first}])");
                found.push(conflict(Rule::Twice, place, what, "each name once"));
            } else if matches!(&**name, BY_ITS_NAMES | ITS_OWN) {
                let what = format!("\"{name}\", which has a meaning of its own");
                found.push(conflict(Rule::Twice, place, what, "another name"));
            }
        }
        found
    }

    /// What hosts of `gateway` ask of it and it has not. `listen` are addresses besides the listeners.
    pub(super) fn check_hosts(&self, listen: &[SocketAddr], gateway: &Gateway) -> Vec<Conflict> {
        let hosts = gateway.virtual_hosts.iter().enumerate();
        hosts
            .filter_map(|(index, host)| {
                let (rule, key, lack) = self.lack_of(listen, host)?;
                let place = (VirtualHost::NAME, index, key);
                Some(conflict(rule, place, lack.found, lack.allowed))
            })
            .collect()
    }

    fn lack_of(
        &self,
        listen: &[SocketAddr],
        host: &VirtualHost,
    ) -> Option<(Rule, &'static str, Lack)> {
        let named = host.certificate.as_str();
        if named == ITS_OWN {
            let lack = self.obstacle(listen, host)?;
            return Some((Rule::NoCertificate, "certificate", lack));
        }
        let mut certificates = self.certificates.iter();
        if named != BY_ITS_NAMES && certificates.all(|one| one.files.name != named) {
            let lack = Lack {
                found: format!("\"{named}\", which is no certificate"),
                allowed: "\"auto\", \"acme\" or a name of [[certificates]]",
            };
            return Some((Rule::NoCertificate, "certificate", lack));
        }
        if !host.http_to_https || self.has_one_for(host) {
            return None;
        }
        let rule = match self.has_tls() {
            true => Rule::NoCertificate,
            false => Rule::NotYet,
        };
        let lack = Lack {
            found: format!("true, without a certificate for \"{}\"", host.domain),
            allowed: "false, or a certificate for the host",
        };
        Some((rule, "http_to_https", lack))
    }

    /// What an administrator should know at `now`, Unix seconds, though it is no error.
    pub(super) fn warnings(&self, gateway: &Gateway, now: u64) -> Vec<String> {
        let mut list: Vec<_> = self
            .certificates
            .iter()
            .flat_map(|one| of_certificate(one, now))
            .collect();
        if self
            .listeners
            .iter()
            .any(|one| !one.tls && one.client_ca_file.is_some())
        {
            list.push("client_ca_file has no effect on a listener without tls".to_owned());
        }
        if self.has_tls() {
            let hosts = gateway.virtual_hosts.iter();
            let without = hosts.filter(|host| !self.has_one_for(host));
            list.extend(without.map(|host| {
                let domain = &host.domain;
                format!(
                    "no certificate is for the virtual host {domain}: it is not served with TLS"
                )
            }));
        }
        let mut hosts = gateway.virtual_hosts.iter();
        if !self.has_tls() && hosts.any(|host| host.http_to_https || host.hsts_seconds > 0) {
            list.push(
                "http_to_https and hsts_seconds have no effect without a listener with tls"
                    .to_owned(),
            );
        }
        list
    }
}

fn of_certificate(one: &Certificate, now: u64) -> Vec<String> {
    let (name, about) = (&one.files.name, one.certified.about());
    let mut list = Vec::new();
    match about.days_left(now) {
        ..0 => list.push(format!("certificate {name} has expired")),
        days @ 0..=SOON => list.push(format!("certificate {name} expires in {days} days")),
        _ => {}
    }
    if i64::try_from(now).is_ok_and(|now| now < about.not_before) {
        list.push(format!("certificate {name} is not good yet"));
    }
    if !about.is_chain_in_order {
        list.push(format!(
            "the chain of certificate {name} is not in order: each must be followed by its issuer"
        ));
    }
    if about.names.is_empty() && about.addresses.is_empty() {
        list.push(format!("certificate {name} is for no name and no address"));
    }
    list
}

fn conflict(
    rule: Rule,
    (list, index, key): (&'static str, usize, &'static str),
    found: String,
    allowed: &str,
) -> Conflict {
    Conflict {
        rule,
        list,
        index,
        key,
        found,
        allowed: allowed.to_owned(),
    }
}

#[cfg(test)]
mod tests;
