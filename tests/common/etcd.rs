//! A real etcd of one member, on loopback.

use std::{
    ffi::OsStr,
    fs::File,
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::{asking::value_of, client::Client, place::Place, processes, wait_until};

/// One that runs. Dropping it ends it.
pub(crate) struct Etcd {
    child: Child,
    scheme: &'static str,
    address: SocketAddr,
    _places: [Place; 2],
    directory: TempDir,
}

impl Etcd {
    /// Starts one; `None`: it is not installed here.
    pub(crate) fn start() -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory");
        Self::start_with("http", directory, &[] as &[&str])
    }

    /// The same, that is spoken to by `scheme`, in a directory that is there already and with more words of its command line.
    pub(crate) fn start_with(
        scheme: &'static str,
        directory: TempDir,
        words: &[impl AsRef<OsStr>],
    ) -> Option<Self> {
        let places = [Place::any(), Place::any()];
        let url = |scheme: &str, address: SocketAddr| format!("{scheme}://{address}");
        let [address, peers] = places.each_ref().map(|place| place.address);
        let (clients, peers) = (url(scheme, address), url("http", peers));
        let log = File::create(directory.path().join("log")).expect("a file");
        let started = Command::new("etcd")
            .arg("--data-dir")
            .arg(directory.path().join("data"))
            .args(["--listen-client-urls", &clients])
            .args(["--advertise-client-urls", &clients])
            .args(["--listen-peer-urls", &peers])
            .args(["--initial-advertise-peer-urls", &peers])
            .args(["--initial-cluster", &format!("default={peers}")])
            .args(words)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a descriptor"))
            .stderr(log)
            .spawn();
        let child = match started {
            Ok(child) => child,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                assert!(
                    std::env::var_os("TPP_TEST_ETCD").is_none(),
                    "etcd is not installed, and TPP_TEST_ETCD says that it must be"
                );
                eprintln!("skipped: etcd is not installed (Debian: etcd-server)");
                return None;
            }
            Err(error) => panic!("start etcd: {error}"),
        };
        let etcd = Self {
            child,
            scheme,
            address,
            _places: places,
            directory,
        };
        wait_until("etcd listens", || TcpStream::connect(address).is_ok());
        Some(etcd)
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Where its data are.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// What it has said.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// How many calls of a method it has answered by a code of gRPC.
    pub(crate) fn handled(&self, method: &str, code: &str) -> f64 {
        let mut client = Client::connect(self.address);
        let service = if method == "Authenticate" {
            "Auth"
        } else {
            "KV"
        };
        let name = format!(
            "grpc_server_handled_total{{grpc_code=\"{code}\",grpc_method=\"{method}\",grpc_service=\"etcdserverpb.{service}\",grpc_type=\"unary\"}}"
        );
        value_of(&name, &client.get("/metrics").ok().text()).unwrap_or(0.0)
    }

    /// It answers nobody until [`Self::go_on`].
    pub(crate) fn stop(&self) {
        processes::stop(self.child.id());
    }

    pub(crate) fn go_on(&self) {
        processes::send(self.child.id(), Signal::SIGCONT);
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("etcd said:\n{}", self.log());
        }
        // Stopped or not.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
