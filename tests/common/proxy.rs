//! A tpp as a user starts it: one command, one file, one directory that is gone afterwards.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
};

use nix::sys::signal::Signal;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tpp::control::{PoolStatus, Status, TokenStatus, WorkerStatus};

use super::{
    client::Client,
    command::{Outcome, as_session_leader, run, tpp_command},
    message::{Answer, Request},
    processes,
    settings::{PASSWORD_MARK, Settings},
    upstream::{TOKEN_MARK, Upstream},
    wait_for, wait_until,
};

/// A running tpp. Dropped, it is told to stop, and must do so cleanly, leave no process behind, and have written
/// no secret to its log.
#[derive(Debug)]
pub(crate) struct Proxy {
    supervisor: Child,
    /// Stopped by the test itself; what `drop` checks is done.
    stopped: bool,
    directory: TempDir,
    address: SocketAddr,
    health_address: SocketAddr,
}

// === impl Proxy ===

impl Proxy {
    /// Starts tpp and waits until its workers are ready and all tokens are in.
    pub(crate) fn start(settings: &Settings) -> Self {
        let proxy = Self::start_without_tokens(settings);
        let slots = settings.slots();
        wait_until("all tokens are in", || proxy.pool().total == slots);
        proxy
    }

    /// Starts tpp and waits until its workers are ready, whatever becomes of the logins.
    pub(crate) fn start_without_tokens(settings: &Settings) -> Self {
        let mut proxy = Self::spawn(settings);
        let status = wait_for("tpp says that it runs", || {
            let ended = proxy.supervisor.try_wait().expect("look after tpp");
            assert!(
                ended.is_none(),
                "tpp ended at once: {ended:?}\n{}",
                proxy.log()
            );
            let outcome = proxy.ctl(&["status", "--json"]);
            serde_json::from_str::<serde_json::Value>(&outcome.out)
                .ok()
                .filter(|_| outcome.code == Some(0))
        });
        let address = |text: &serde_json::Value| text.as_str().and_then(|text| text.parse().ok());
        proxy.address = address(&status["listen"][0]).expect("the first address of `listen`");
        proxy.health_address =
            address(&status["health_listen"]).expect("the address of `health_listen`");
        proxy.wait_until_ready(settings.worker_count());
        proxy
    }

    /// Starts tpp and waits for nothing; its addresses are not known.
    pub(crate) fn spawn(settings: &Settings) -> Self {
        let directory = tempfile::tempdir().expect("make a directory");
        let config = settings.write_to(directory.path());
        let log = File::create(directory.path().join("log")).expect("create the log");
        // A session of its own tells later whether any of its processes is left, whatever groups they are in.
        let mut command = as_session_leader(&tpp_command());
        command
            .arg("--config")
            .arg(config)
            .envs(settings.environment().iter().cloned());
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("duplicate the log"))
            .stderr(log);
        let supervisor = command.spawn().expect("start tpp through setsid");
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        Self {
            supervisor,
            stopped: false,
            directory,
            address: nowhere,
            health_address: nowhere,
        }
    }

    /// Waits until `count` workers are ready.
    pub(crate) fn wait_until_ready(&self, count: usize) {
        wait_until("all workers are ready", || {
            self.ready_workers().len() == count
        });
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn control_socket(&self) -> PathBuf {
        self.directory.path().join("control.sock")
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        self.directory.path().join("tpp.toml")
    }

    /// Everything tpp and its workers wrote so far.
    pub(crate) fn log(&self) -> String {
        let bytes = fs::read(self.directory.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Runs `tppctl` on this tpp.
    pub(crate) fn ctl(&self, arguments: &[&str]) -> Outcome {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tppctl"));
        run(command
            .arg("--socket")
            .arg(self.control_socket())
            .args(arguments))
    }

    fn ctl_json<T: DeserializeOwned>(&self, arguments: &[&str]) -> T {
        let outcome = self.ctl(arguments);
        let parsed = serde_json::from_str(&outcome.out);
        parsed.unwrap_or_else(|error| panic!("tppctl {arguments:?}: {error} in {outcome:?}"))
    }

    /// What `tppctl status` says.
    pub(crate) fn status(&self) -> Status {
        self.ctl_json(&["status", "--json"])
    }

    pub(crate) fn workers(&self) -> Vec<WorkerStatus> {
        self.ctl_json(&["workers", "--json"])
    }

    pub(crate) fn ready_workers(&self) -> Vec<WorkerStatus> {
        self.workers()
            .into_iter()
            .filter(|worker| worker.state == "ready")
            .collect()
    }

    pub(crate) fn tokens(&self) -> Vec<TokenStatus> {
        self.ctl_json(&["tokens", "--json"])
    }

    /// Asks the health endpoint.
    pub(crate) fn health(&self, path: &str) -> Answer {
        let request = Request::get(path).field("Connection", "close");
        let ask = || Client::try_connect(self.health_address)?.try_ask(&request);
        ask().unwrap_or_else(|error| panic!("{path} of the health endpoint: {error}"))
    }

    /// The pool's four numbers, as `/health` gives them.
    pub(crate) fn pool(&self) -> PoolStatus {
        let health = self.health("/health").json();
        serde_json::from_value(health["pool"].clone())
            .unwrap_or_else(|error| panic!("{error} in {health}"))
    }

    /// A metric's value; the name stands as in the text, labels included.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let text = self.health("/metrics").ok().text();
        text.lines().find_map(|line| {
            line.strip_prefix(name)?
                .strip_prefix(' ')?
                .trim()
                .parse()
                .ok()
        })
    }

    /// A connection to tpp that the upstream's oracle watches.
    pub(crate) fn client(&self, upstream: &Upstream) -> Client {
        Client::connect_watched(self.address, upstream)
    }

    /// Waits until nobody holds or awaits a token and each of the `slots` is free.
    #[track_caller]
    pub(crate) fn wait_until_all_is_back(&self, slots: u64) {
        let whole = PoolStatus {
            total: slots,
            in_use: 0,
            available: slots,
            waiting: 0,
        };
        let mut last = PoolStatus::default();
        wait_until("every token is back and nobody waits", || {
            last = self.pool();
            last == whole
        });
    }

    pub(crate) fn supervisor_pid(&self) -> u32 {
        self.supervisor.id()
    }

    pub(crate) fn signal_supervisor(&self, signal: Signal) {
        processes::send(self.supervisor.id(), signal);
    }

    /// Waits for the supervisor's end.
    pub(crate) fn wait_for_exit(&mut self) -> ExitStatus {
        let supervisor = &mut self.supervisor;
        wait_for("the supervisor exits", || {
            supervisor.try_wait().expect("look after tpp")
        })
    }

    /// Every process of this tpp that is alive.
    pub(crate) fn processes(&self) -> Vec<u32> {
        processes::in_session(self.supervisor.id())
    }

    /// Stops tpp as an administrator does, and checks what must hold at every end. `Err` says what did not.
    fn stop(&mut self) -> Result<(), String> {
        self.signal_supervisor(Signal::SIGTERM);
        let status = self.wait_for_exit();
        if status.code() != Some(0) {
            return Err(format!("tpp ended with {status} when told to stop"));
        }
        self.check_end()
    }

    /// Checks that no process is left, and nothing in the log that must not be.
    fn check_end(&mut self) -> Result<(), String> {
        self.stopped = true;
        let left = self.processes();
        if !left.is_empty() {
            return Err(format!("processes {left:?} outlive their supervisor"));
        }
        let log = self.log();
        match ["panicked at", PASSWORD_MARK, TOKEN_MARK]
            .into_iter()
            .find(|mark| log.contains(mark))
        {
            Some(mark) => Err(format!("the log holds {mark:?}")),
            None => Ok(()),
        }
    }

    /// The test ended this tpp itself: checks what must hold at every end.
    #[track_caller]
    pub(crate) fn assert_gone(&mut self) {
        if let Err(what) = self.check_end() {
            panic!("{what}");
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let result = if thread::panicking() || self.stopped {
            Ok(())
        } else {
            self.stop()
        };
        for pid in self.processes() {
            processes::send(pid, Signal::SIGKILL);
        }
        drop(self.supervisor.wait());
        if thread::panicking() || result.is_err() {
            eprintln!("--- tpp's log ---\n{}--- end of tpp's log ---", self.log());
        }
        if let Err(what) = result {
            panic!("{what}");
        }
    }
}
