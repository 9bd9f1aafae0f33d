//! Debian's pebble, a real ACME server that validates for itself, and the name server that it asks.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command},
};

use nix::sys::signal::Signal;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    browser::{Authority, Browser},
    common::{place::Place, processes, wait_for, wait_until},
};

/// The key of the account `kid-1` elsewhere.
pub(crate) const HMAC_KEY: &str =
    "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

/// Where pebble is, and where it looks for those who say that a host is theirs. It takes no ports of the system's choice, and must know those of others before they are there.
pub(crate) struct Pebble {
    directory: TempDir,
    /// Who vouches for its own address.
    pub(crate) authority: Authority,
    pub(crate) orders: Place,
    management: Place,
    names: Place,
    names_management: Place,
    /// Of http-01.
    pub(crate) plain: Place,
    /// Of tls-alpn-01.
    pub(crate) tls: Place,
    name_server: Child,
    process: Option<Child>,
}

impl Pebble {
    /// One that is not started yet; `further` is laid over its configuration.
    pub(crate) fn new(further: &Value) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let authority = Authority::new();
        let issued = authority.issue(&["localhost", "127.0.0.1"]);
        let [orders, management, names, names_management, plain, tls] =
            [(); 6].map(|()| Place::any());
        let mut config = json!({
            "listenAddress": orders.address.to_string(), "managementListenAddress": management.address.to_string(),
            "certificate": "own.pem", "privateKey": "own.key",
            "httpPort": plain.address.port(), "tlsPort": tls.address.port(), "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
        });
        for (key, value) in further.as_object().expect("keys") {
            config[key] = value.clone();
        }
        let write = |name: &str, text: &str| {
            fs::write(directory.path().join(name), text).expect("write");
        };
        write("own.pem", &issued.pem);
        write("own.key", &issued.key());
        write("pebble.json", &json!({"pebble": config}).to_string());
        let mut name_server = Command::new("pebble-challtestsrv");
        name_server
            .args([
                "-http01",
                "",
                "-https01",
                "",
                "-tlsalpn01",
                "",
                "-defaultIPv6",
                "",
            ])
            .args(["-dns01", &names.address.to_string()])
            .args(["-management", &names_management.address.to_string()]);
        let name_server = logged(&mut name_server, &directory, "names.log");
        let pebble = Self {
            directory,
            authority,
            orders,
            management,
            names,
            names_management,
            plain,
            tls,
            name_server,
            process: None,
        };
        wait_until("the name server answers", || {
            TcpStream::connect(pebble.names_management.address).is_ok()
        });
        pebble
    }

    pub(crate) fn started(further: &Value) -> Self {
        let mut pebble = Self::new(further);
        pebble.start();
        pebble
    }

    /// Starts it, with another root, and with no memory of what was before.
    pub(crate) fn start(&mut self) {
        let mut command = Command::new("pebble");
        command
            .current_dir(self.directory.path())
            .args([
                "-config",
                "pebble.json",
                "-dnsserver",
                &self.names.address.to_string(),
            ])
            // Else it takes its time, and turns down what is right, to see who bears it.
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", "0")
            .env("PEBBLE_AUTHZREUSE", "0");
        self.process = Some(logged(&mut command, &self.directory, "pebble.log"));
        wait_until("pebble answers", || {
            TcpStream::connect(self.orders.address).is_ok()
        });
    }

    pub(crate) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            processes::send(process.id(), Signal::SIGKILL);
            drop(process.wait());
        }
    }

    /// Has `host` lead to `address`, where it would lead to tpp.
    pub(crate) fn lead(&self, host: &str, address: &str) {
        let body = json!({"host": host, "addresses": [address]}).to_string();
        let mut stream = TcpStream::connect(self.names_management.address).expect("connect");
        let length = body.len();
        write!(
            stream,
            "POST /add-a HTTP/1.1\r\nHost: names\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .expect("ask");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// A client that trusts what it has issued since it was started.
    pub(crate) fn browser(&self) -> Browser {
        let own = Browser::trusting(&self.authority);
        let root = wait_for("pebble tells its root", || {
            let mut secure = own.connect(self.management.address, "localhost").ok()?;
            let answer = secure.get("localhost", "/roots/0").ok()?;
            CertificateDer::from_pem_slice(answer.body.as_bytes()).ok()
        });
        Browser::trusting_root(&root)
    }
}

fn logged(command: &mut Command, directory: &TempDir, name: &str) -> Child {
    let log = fs::File::create(directory.path().join(name)).expect("a log");
    let started = command
        .stdout(log.try_clone().expect("a duplicate"))
        .stderr(log)
        .spawn();
    started.expect("start it; packaging/install-deps.sh acme installs it")
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.stop();
        processes::send(self.name_server.id(), Signal::SIGKILL);
        drop(self.name_server.wait());
        if std::thread::panicking() {
            let log = fs::read_to_string(self.directory.path().join("pebble.log"));
            eprintln!("--- pebble ---\n{}", log.unwrap_or_default());
        }
    }
}
