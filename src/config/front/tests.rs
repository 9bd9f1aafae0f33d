use std::{collections::BTreeMap, fs, path::Path};

use tempfile::TempDir;

use crate::config::{self, Config, Effect, Format, Rule, VirtualHost};

const TOP: &str = "[upstream]\nhost = 'h'\n[[credentials]]\nusername = 'u'\npassword = 'p'\n";
const ONE: &str = "[[certificates]]\nname = 'one'\ncert_file = 'one.pem'\nkey_file = 'one.key'\n";
const TLS: &str = "[[listeners]]\naddress = '0.0.0.0:443'\ntls = true\n";

/// A directory with a certificate for `a.test` and all below `b.test`.
fn directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    write(&directory, "one");
    directory
}

fn write(directory: &TempDir, name: &str) {
    let names = ["a.test".to_owned(), "*.b.test".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let write = |ending, text| {
        fs::write(directory.path().join(format!("{name}.{ending}")), text).unwrap();
    };
    write("pem", made.cert.pem());
    write("key", made.signing_key.serialize_pem());
}

fn read(directory: &TempDir, text: &str) -> Result<Config, Vec<String>> {
    let unset = BTreeMap::<String, String>::new();
    let file = Path::new("tpp.toml");
    let read = config::parse(text, file, Format::Toml, directory.path(), &unset);
    read.map_err(|problems| {
        let place = directory.path().display().to_string();
        let lines = problems
            .iter()
            .map(|one| one.to_string().replace(&place, "D"));
        lines.map(|line| line.replace("tpp.toml:", "")).collect()
    })
}

/// What is said of a file with `tables`, its first line being the sixth.
#[track_caller]
fn is_refused(tables: &str, expected: &[&str]) {
    let text = format!("listen = '0.0.0.0:8080'\n{TOP}{tables}");
    let said = read(&directory(), &text).expect_err(tables);
    assert_eq!(said.len(), expected.len(), "{said:#?}");
    for (line, expected) in said.iter().zip(expected) {
        assert!(line.contains(expected), "{line}\n  lacks {expected}");
    }
}

#[test]
fn files_that_are_not_there_or_do_not_fit_are_named_with_their_key() {
    is_refused(
        &ONE.replace("one.key", "none.key"),
        &["certificates[0].key_file: found \"D/none.key\" (No such file or directory)"],
    );
    let directory = directory();
    write(&directory, "two");
    let mixed = ONE.replace("one.key", "two.key");
    let said = read(&directory, &format!("{TOP}{mixed}")).unwrap_err();
    assert!(
        said[0].contains(
            "certificates[0].key_file: found \"D/two.key\" (the key of another certificate)"
        ),
        "{said:?}"
    );
    let turned = ONE
        .replace("one.pem", "two.key")
        .replace("one.key", "two.pem");
    let said = read(&directory, &format!("{TOP}{turned}")).unwrap_err();
    assert!(
        said[0].contains("certificates[0].cert_file: found \"D/two.key\" (no certificate in it)"),
        "{said:?}"
    );
}

#[test]
fn names_that_lead_nowhere_are_named() {
    is_refused(
        &format!("{ONE}[tls]\ndefault_certificate = 'two'\n"),
        &["tls.default_certificate: found \"two\", which is no certificate"],
    );
    is_refused(
        &format!("{ONE}{ONE}"),
        &["certificates[1].name: found \"one\" again (first in certificates[0])"],
    );
    let host = |domain: &str, rest: &str| {
        format!(
            "[[virtual_hosts]]\ndomain = '{domain}'\nenabled_backends_tag = 'default'\n{rest}\n"
        )
    };
    let hosts = [
        host("a.test", "http_to_https = true"),
        host("*.b.test", "http_to_https = true"),
        host("c.test", "http_to_https = true"),
        host("d.test", "certificate = 'two'"),
        host("e.test", "certificate = 'one'\nhttp_to_https = true"),
    ];
    is_refused(
        &format!("{ONE}{}", hosts.concat()),
        &[
            "virtual_hosts[2].http_to_https: found true, without a certificate for \"c.test\"",
            "virtual_hosts[3].certificate: found \"two\", which is no certificate",
            "virtual_hosts[4].http_to_https: found true, without a certificate for \"e.test\"",
        ],
    );
}

#[test]
fn a_listener_that_cannot_be_or_cannot_do_what_it_is_to_is_named() {
    is_refused(
        TLS,
        &["listeners[0].tls: found true, while there is no [[certificates]]"],
    );
    let at = |address: &str| format!("[[listeners]]\naddress = '{address}'\n");
    is_refused(
        &[
            at("127.0.0.1:8080"),
            at("0.0.0.0:9090"),
            at("[::1]:443"),
            at("[::]:443"),
        ]
        .concat(),
        &[
            "listeners[0].address: found \"127.0.0.1:8080\", which overlaps listen \"0.0.0.0:8080\"",
            "listeners[1].address: found \"0.0.0.0:9090\", which overlaps health_listen",
            "listeners[3].address: found \"[::]:443\", which overlaps listeners[2].address",
        ],
    );
    let api = "[api]\nlisten = '127.0.0.1:443'\n";
    is_refused(
        &format!("{api}{}", at("0.0.0.0:443")),
        &["listeners[0].address: found \"0.0.0.0:443\", which overlaps api.listen"],
    );
    is_refused(
        &format!("{}client_certificates = 'required'\n", at("[::]:443")),
        &["listeners[0].client_certificates: found \"required\" without tls = true"],
    );
    is_refused(
        &format!("{ONE}{TLS}client_certificates = 'required'\n"),
        &["listeners[0].client_certificates: found \"required\" without client_ca_file"],
    );
    is_refused(
        &format!("{}proxy_protocol = true\n", at("[::]:443")),
        &["listeners[0].proxy_protocol: found true, while trusted_proxies names nobody"],
    );
    is_refused(
        &format!("{ONE}{TLS}client_ca_file = 'one.key'\n"),
        &["listeners[0].client_ca_file: found \"D/one.key\" (no certificate in it)"],
    );
}

#[test]
fn with_listeners_there_need_be_no_other_address() {
    let directory = directory();
    let config = read(&directory, &format!("{TOP}{ONE}{TLS}")).unwrap();
    assert_eq!(config.listen, []);
    assert_eq!(config.addresses(), ["0.0.0.0:443".parse().unwrap()]);
    let both = format!("listen = '0.0.0.0:80'\n{TOP}{ONE}{TLS}");
    let config = read(&directory, &both).unwrap();
    assert_eq!(config.addresses().len(), 2);
    assert_eq!(read(&directory, TOP).unwrap().addresses().len(), 1);
}

#[test]
fn what_is_odd_about_certificates_and_hosts_is_told() {
    let directory = directory();
    let config = read(&directory, &format!("{TOP}{ONE}{TLS}"));
    let warnings = config.unwrap().warnings();
    let is_of_key = |line: &String| line.contains("one.key holds a private key");
    assert!(warnings.iter().all(is_of_key), "{warnings:?}");
    let host = "[[virtual_hosts]]\ndomain = 'c.test'\nenabled_backends_tag = 'default'\n";
    // To name one does not make it cover the host.
    for named in ["", "certificate = 'one'\n"] {
        let config = read(&directory, &format!("{TOP}{ONE}{TLS}{host}{named}"));
        let warnings = config.unwrap().warnings();
        let told = "no certificate is for the virtual host c.test";
        assert!(
            warnings.iter().any(|line| line.contains(told)),
            "{warnings:?}"
        );
    }
    let hsts = format!("{TOP}{host}hsts_seconds = 60\n");
    let warnings = read(&directory, &hsts).unwrap().warnings();
    assert_eq!(
        warnings,
        ["http_to_https and hsts_seconds have no effect without a listener with tls"]
    );
}

#[test]
fn another_certificate_in_the_same_files_is_a_change_without_another_socket() {
    let directory = directory();
    let text = format!("{TOP}{ONE}{TLS}");
    let before = read(&directory, &text).unwrap();
    write(&directory, "one");
    let after = read(&directory, &text).unwrap();
    assert_eq!(before.diff(&before).to_string(), "nothing has changed");
    let diff = before.diff(&after);
    assert_eq!(diff.to_string(), "changed: certificates (1 changed)");
    assert!(diff.at_restart().is_empty());
    let plain = text.replace("tls = true", "tls = false");
    let diff = after.diff(&read(&directory, &plain).unwrap());
    assert_eq!(diff.to_string(), "changed: listeners (1 changed)");
    assert!(diff.at_restart().is_empty());
    let described = config::describe();
    let address = described.iter().find(|key| key.path == "listeners.address");
    assert_eq!(address.unwrap().effect, Effect::Workers);
}

const ACME: &str = "[acme]\nenabled = true\naccept_terms = true\n";

fn own_host(domain: &str) -> String {
    format!(
        "[[virtual_hosts]]\ndomain = '{domain}'\nenabled_backends_tag = 'default'\ncertificate = 'acme'\n"
    )
}

#[test]
fn hosts_that_can_get_no_certificate_of_their_own_are_told_why() {
    let own = own_host("a.test");
    is_refused(
        &format!("{ONE}{TLS}{own}"),
        &["virtual_hosts[0].certificate: found \"acme\", while acme.enabled is false"],
    );
    is_refused(
        &format!("{ACME}{own}"),
        &["virtual_hosts[0].certificate: found \"acme\", while no listener has tls = true"],
    );
    let nameless = ["*.b.test", "default", "192.0.2.1", "[::1]"].map(own_host);
    is_refused(
        &format!("{ACME}{TLS}{}", nameless.concat()),
        &[
            "virtual_hosts[0].certificate: found \"acme\" for \"*.b.test\", which is no single name",
            "virtual_hosts[1].certificate: found \"acme\" for \"default\"",
            "virtual_hosts[2].certificate: found \"acme\" for \"192.0.2.1\"",
            "virtual_hosts[3].certificate: found \"acme\" for \"[::1]\"",
        ],
    );
    // Without `listen` there are the listeners alone.
    let said = read(&directory(), &format!("{TOP}{ACME}{TLS}{own}")).unwrap_err();
    let why = "virtual_hosts[0].certificate: found \"acme\", while all listeners have tls = true";
    assert!(said.len() == 1 && said[0].contains(why), "{said:?}");
    let by_tls = format!("{TOP}{ACME}challenge = 'tls-alpn-01'\n{TLS}{own}");
    let config = read(&directory(), &by_tls).unwrap();
    let warnings = config.warnings();
    assert!(
        !warnings.iter().any(|line| line.contains("a.test")),
        "{warnings:?}"
    );
    let wanted: Vec<_> = config.gateway.own_hosts().collect();
    assert_eq!(wanted, ["a.test"]);
}

#[test]
fn hosts_that_come_later_are_held_to_the_same_front_door() {
    let host = |change: fn(&mut VirtualHost)| {
        let mut host = VirtualHost::of("c.test", "default");
        change(&mut host);
        host
    };
    let lacks = |tables: &str, host: &VirtualHost| -> Vec<_> {
        let config = read(
            &directory(),
            &format!("listen = '0.0.0.0:80'\n{TOP}{tables}"),
        )
        .unwrap();
        let mut gateway = config.gateway.clone();
        gateway.virtual_hosts.push(host.clone());
        let conflicts = config.conflicts(&gateway).into_iter();
        conflicts
            .map(|one| (one.rule, one.key, one.index))
            .collect()
    };
    let redirected = host(|host| host.http_to_https = true);
    let own = host(|host| host.certificate = "acme".to_owned());
    let named = host(|host| host.certificate = "two".to_owned());
    let (none, tls, with_acme) = ("", format!("{ONE}{TLS}"), format!("{ACME}{TLS}"));
    let lack = |rule, key| vec![(rule, key, 1)];
    for (tables, host, expected) in [
        (none, &redirected, lack(Rule::NotYet, "http_to_https")),
        (
            &tls,
            &redirected,
            lack(Rule::NoCertificate, "http_to_https"),
        ),
        (&tls, &own, lack(Rule::NoCertificate, "certificate")),
        (&tls, &named, lack(Rule::NoCertificate, "certificate")),
        (&with_acme, &own, Vec::new()),
        (none, &host(|_| {}), Vec::new()),
    ] {
        assert_eq!(lacks(tables, host), expected, "{tables} {host:?}");
    }
}

#[test]
fn what_acme_lacks_is_named_and_its_change_is_one() {
    is_refused(
        "[acme]\nenabled = true\n",
        &["acme.accept_terms: found false"],
    );
    is_refused(
        &format!("{ACME}eab_kid = 'k'\n"),
        &["acme: found eab_kid without eab_hmac_key; allowed: both, or neither"],
    );
    is_refused(
        &format!("{ACME}eab_hmac_key = 'c2VjcmV0'\n"),
        &["acme: found eab_hmac_key without eab_kid"],
    );
    is_refused(
        &format!("{ACME}eab_kid = 'k'\neab_hmac_key = '???'\n"),
        &["acme.eab_hmac_key: found something else; allowed: text in base64url"],
    );
    is_refused(
        &format!(
            "{ACME}directory = 'http://ca.test/'\nemail = 'nobody'\nca_file = 'one.key'\nchallenge = 'dns-01'\n"
        ),
        &[
            "acme.directory: found \"http://ca.test/\"",
            "acme.email: found \"nobody\"",
            "acme.ca_file: found \"D/one.key\" (no certificate in it)",
            "acme.challenge: found \"dns-01\"",
        ],
    );
    let directory = directory();
    let before = read(&directory, TOP).unwrap();
    let after = read(&directory, &format!("{TOP}{ACME}")).unwrap();
    assert_eq!(before.diff(&after).to_string(), "changed: acme");
    assert!(before.diff(&after).at_restart().is_empty());
}
