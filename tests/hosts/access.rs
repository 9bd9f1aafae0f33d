//! An etcd that does not let everybody in: certificates on both sides, users with passwords, tokens that end, rights that are taken away.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use tempfile::TempDir;

use crate::{
    SESSIONS, ask,
    common::{
        etcd::Etcd, proxy::Proxy, settings::Settings, upstream::Upstream, wait_until,
        within_patience,
    },
    formats::{formats, of_before, upgrade},
    host, shown,
};

/// A user of etcd's that may write below the prefix alone.
const USER: &str = "web1";
const PREFIX: &str = "/tpp/1/";
/// Its password in etcd, at first.
const PASSWORD: &str = "open-5e5ame";

// === Certificates ===

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority")
}

/// A certificate for a server on loopback and for a client of that name, as `NAME.pem` and `NAME.key` in `directory`.
fn certify(directory: &Path, by: &Authority, name: &str) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    let certificate = params.signed_by(&key, by).expect("a certificate");
    let files = [("pem", certificate.pem()), ("key", key.serialize_pem())];
    for (kind, text) in files {
        fs::write(directory.join(format!("{name}.{kind}")), text).expect("a file");
    }
}

/// An etcd that shows a certificate of `by` and asks for one; those of its superuser and of [`USER`] are beside its data.
fn etcd_behind_tls(by: &Authority) -> Option<Etcd> {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("ca.pem"), by.pem()).expect("a file");
    for name in ["server", "root", USER] {
        certify(directory.path(), by, name);
    }
    let file = |name: &str| directory.path().join(name).display().to_string();
    let words = [
        format!("--cert-file={}", file("server.pem")),
        format!("--key-file={}", file("server.key")),
        format!("--trusted-ca-file={}", file("ca.pem")),
        "--client-cert-auth".to_owned(),
    ];
    Etcd::start_with("https", directory, &words)
}

fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display())
}

/// A host that shows its certificate and trusts what stands in `ca_file`.
fn host_with_certificate(upstream: &Upstream, etcd: &Etcd, ca_file: &Path) -> Settings {
    let file = |kind: &str| quoted(&etcd.directory().join(format!("{USER}.{kind}")));
    host(upstream, etcd, "one", 50)
        .set("hosts.ca_file", quoted(ca_file))
        .set("hosts.cert_file", file("pem"))
        .set("hosts.key_file", file("key"))
}

// === Users ===

/// What an operator says by etcdctl.
fn etcdctl(etcd: &Etcd, words: &[&str]) {
    let mut command = Command::new("etcdctl");
    command.env("ETCDCTL_API", "3");
    command.args(["--endpoints", &etcd.endpoint()]).args(words);
    let said = command.output().expect("etcdctl (Debian: etcd-client)");
    assert!(said.status.success(), "etcdctl {words:?}: {said:?}");
}

/// The same by the superuser with a password.
fn order(etcd: &Etcd, words: &[&str]) {
    etcdctl(etcd, &[&["--user", "root:root"], words].concat());
}

fn role_and_rights(etcd: &Etcd, right: &str) {
    etcdctl(etcd, &["role", "add", "tpp"]);
    let grant = ["role", "grant-permission", "tpp", "--prefix=true"];
    etcdctl(etcd, &[&grant[..], &[right, PREFIX]].concat());
}

/// An etcd with users and passwords, that of [`USER`] among them, whose tokens end after `seconds` without use.
fn etcd_with_passwords(seconds: u32, right: &str) -> Option<Etcd> {
    let directory = tempfile::tempdir().expect("a directory");
    let words = [
        format!("--auth-token-ttl={seconds}"),
        "--bcrypt-cost=4".to_owned(),
    ];
    let etcd = Etcd::start_with("http", directory, &words)?;
    role_and_rights(&etcd, right);
    etcdctl(&etcd, &["user", "add", "root:root"]);
    etcdctl(&etcd, &["user", "grant-role", "root", "root"]);
    etcdctl(&etcd, &["user", "add", &format!("{USER}:{PASSWORD}")]);
    etcdctl(&etcd, &["user", "grant-role", USER, "tpp"]);
    etcdctl(&etcd, &["auth", "enable"]);
    Some(etcd)
}

/// A host that is [`USER`], with `password` in a file.
fn host_with_password(
    upstream: &Upstream,
    etcd: &Etcd,
    password: &str,
) -> (Settings, TempDir, impl Fn(&str) + use<>) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("password");
    let settings = host(upstream, etcd, "one", 50)
        .set("hosts.username", format!("\"{USER}\""))
        .set("hosts.password_file", quoted(&file));
    let write = move |text: &str| fs::write(&file, format!("{text}\n")).expect("a file");
    write(password);
    (settings, directory, write)
}

// === What is seen ===

fn is_in(one: &Proxy) -> bool {
    let pool = shown(one).pools.remove("default");
    pool.is_some_and(|pool| pool.phase == "joined" && pool.ready)
}

/// Waits until `tppctl hosts` says so of the member of etcd.
fn wait_for_trouble(one: &Proxy, what: &str) {
    let mut members = Vec::new();
    let is_said = within_patience(|| {
        members = shown(one).members;
        let mut troubles = members.iter().filter_map(|member| member.trouble.as_ref());
        troubles.any(|trouble| trouble.contains(what)).then_some(())
    });
    assert!(is_said.is_some(), "{what:?} is not in {members:?}");
}

#[test]
fn a_host_shows_its_certificate_and_needs_no_right_beyond_its_prefix() {
    let authority = authority();
    let Some(etcd) = etcd_behind_tls(&authority) else {
        return;
    };
    let by_certificate = |name: &str, words: &[&str]| {
        let file = |kind: &str| format!("{}/{kind}", etcd.directory().display());
        let files = [
            format!("--cacert={}", file("ca.pem")),
            format!("--cert={}", file(&format!("{name}.pem"))),
            format!("--key={}", file(&format!("{name}.key"))),
        ];
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        etcdctl(&etcd, &[&files[..], words].concat());
    };
    let by_root = |words: &[&str]| by_certificate("root", words);
    by_root(&["role", "add", "tpp"]);
    let grant = ["role", "grant-permission", "tpp", "--prefix=true"];
    by_root(&[&grant[..], &["readwrite", PREFIX]].concat());
    by_root(&["user", "add", "root", "--no-password"]);
    by_root(&["user", "grant-role", "root", "root"]);
    by_root(&["user", "add", USER, "--no-password"]);
    by_root(&["user", "grant-role", USER, "tpp"]);
    by_root(&["auth", "enable"]);
    let upstream = Upstream::start();
    let ca_file = etcd.directory().join("ca.pem");
    let settings = host_with_certificate(&upstream, &etcd, &ca_file);
    let mut one = Proxy::start(&of_before(settings.clone()));
    wait_until("it is in", || is_in(&one));
    ask(&one, &upstream);
    // What compares all keys of hosts needs no more than the right to theirs.
    upgrade(&mut one, &settings);
    wait_until("the later format is in force", || {
        formats(&one) == (2, vec![])
    });
    by_root(&["user", "revoke-role", USER, "tpp"]);
    wait_for_trouble(&one, "permission denied");
    wait_until("what is floating has lapsed", || {
        one.pool().available == SESSIONS / 2
    });
    by_root(&["user", "grant-role", USER, "tpp"]);
    wait_until("all is lent again", || one.pool().available == SESSIONS);
    upstream.assert_clean();
}

#[test]
fn an_etcd_of_another_authority_is_not_believed_until_its_own_is_in_the_file() {
    let authority = authority();
    let Some(etcd) = etcd_behind_tls(&authority) else {
        return;
    };
    let upstream = Upstream::start();
    let ca_file = etcd.directory().join("trusted.pem");
    fs::write(&ca_file, self::authority().pem()).expect("a file");
    let one = Proxy::start_without_tokens(&host_with_certificate(&upstream, &etcd, &ca_file));
    wait_for_trouble(&one, "certificate");
    assert_eq!(one.pool().total, 0);
    // Two rooms that ask etcd on their own: whichever is first, both say it.
    wait_until("its log says so", || one.log().contains("certificate"));
    fs::write(&ca_file, authority.pem()).expect("a file");
    wait_until("it has all", || one.pool().total == SESSIONS);
    upstream.assert_clean();
}

#[test]
fn a_host_without_the_certificate_that_etcd_asks_for_lends_nothing_and_says_why() {
    let authority = authority();
    let Some(etcd) = etcd_behind_tls(&authority) else {
        return;
    };
    let upstream = Upstream::start();
    let ca_file = etcd.directory().join("ca.pem");
    let settings = host(&upstream, &etcd, "one", 50).set("hosts.ca_file", quoted(&ca_file));
    let one = Proxy::start_without_tokens(&settings);
    wait_for_trouble(&one, "ertificate");
    assert_eq!(one.pool().total, 0);
    assert_eq!(one.health("/readyz").status, 503);
}

#[test]
fn a_token_of_etcds_that_ends_is_drawn_anew_before_anything_lapses() {
    let Some(etcd) = etcd_with_passwords(1, "readwrite") else {
        return;
    };
    let upstream = Upstream::start();
    let (settings, _directory, _) = host_with_password(&upstream, &etcd, PASSWORD);
    // A sign of life every three seconds: no token lasts from one to the next.
    let one = Proxy::start(&settings.set("hosts.takeover_seconds", 15));
    let refused = || etcd.handled("Txn", "Unauthenticated");
    let begun = refused();
    wait_until("tokens have ended again and again", || {
        refused() >= begun + 4.0
    });
    assert!(is_in(&one));
    assert_eq!(one.metric("tpp_host_lapses_total"), Some(0.0));
    assert_eq!(one.pool().available, SESSIONS);
    upstream.assert_clean();
}

#[test]
fn a_password_that_is_changed_costs_what_is_floating_until_it_stands_in_the_file() {
    let Some(etcd) = etcd_with_passwords(300, "readwrite") else {
        return;
    };
    let upstream = Upstream::start();
    let (settings, _directory, write) = host_with_password(&upstream, &etcd, PASSWORD);
    let one = Proxy::start(&settings);
    order(&etcd, &["user", "revoke-role", USER, "tpp"]);
    order(&etcd, &["user", "delete", USER]);
    order(&etcd, &["user", "add", &format!("{USER}:second")]);
    order(&etcd, &["user", "grant-role", USER, "tpp"]);
    wait_for_trouble(&one, "authentication failed");
    wait_until("what is floating has lapsed", || {
        one.pool().available == SESSIONS / 2
    });
    ask(&one, &upstream);
    let log = one.log();
    assert!(log.contains("etcd refuses what this host asks"), "{log}");
    assert!(!log.contains(PASSWORD), "the password is in the log: {log}");
    write("second");
    wait_until("all is lent again", || one.pool().available == SESSIONS);
    upstream.assert_clean();
}

#[test]
fn a_wrong_password_lends_nothing_and_a_right_one_is_taken_without_a_restart() {
    let Some(etcd) = etcd_with_passwords(300, "readwrite") else {
        return;
    };
    let upstream = Upstream::start();
    let (settings, _directory, write) = host_with_password(&upstream, &etcd, "wrong");
    let one = Proxy::start_without_tokens(&settings);
    wait_for_trouble(&one, "authentication failed");
    assert_eq!(one.pool().total, 0);
    // Each password costs etcd a good deal.
    let tried = || etcd.handled("Authenticate", "InvalidArgument");
    let (begun, before) = (Instant::now(), tried());
    wait_until("it has tried again", || tried() >= before + 3.0);
    let took = begun.elapsed();
    assert!(took > Duration::from_millis(1900), "{took:?}");
    write(PASSWORD);
    wait_until("it has all", || one.pool().total == SESSIONS);
    upstream.assert_clean();
}

#[test]
fn a_host_that_may_read_and_not_write_takes_no_part_and_says_why() {
    let Some(etcd) = etcd_with_passwords(300, "read") else {
        return;
    };
    let upstream = Upstream::start();
    let (settings, _directory, _) = host_with_password(&upstream, &etcd, PASSWORD);
    let one = Proxy::start_without_tokens(&settings);
    wait_for_trouble(&one, "permission denied");
    assert_eq!(one.pool().total, 0);
    let grant = ["role", "grant-permission", "tpp", "--prefix=true"];
    order(&etcd, &[&grant[..], &["readwrite", PREFIX]].concat());
    wait_until("it has all", || one.pool().total == SESSIONS);
    upstream.assert_clean();
}
