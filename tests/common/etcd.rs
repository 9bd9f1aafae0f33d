//! A real etcd of one member, on loopback.

use std::{
    fs::File,
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::{processes, wait_until};

/// One that runs. Dropping it ends it.
pub(crate) struct Etcd {
    child: Child,
    port: u16,
    directory: TempDir,
}

impl Etcd {
    /// Starts one; `None`: it is not installed here.
    pub(crate) fn start() -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory");
        let [port, peers] = [free_port(), free_port()];
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let log = File::create(directory.path().join("log")).expect("a file");
        let started = Command::new("etcd")
            .arg("--data-dir")
            .arg(directory.path().join("data"))
            .args(["--listen-client-urls", &url(port)])
            .args(["--advertise-client-urls", &url(port)])
            .args(["--listen-peer-urls", &url(peers)])
            .args(["--initial-advertise-peer-urls", &url(peers)])
            .args(["--initial-cluster", &format!("default={}", url(peers))])
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
            port,
            directory,
        };
        wait_until("etcd listens", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Some(etcd)
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where its data are.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// What it has said.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
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

/// A port that nobody has just now.
pub(crate) fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    socket.local_addr().expect("its number").port()
}
