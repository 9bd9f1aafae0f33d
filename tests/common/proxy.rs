//! A tpp as a user starts it: one command, one file, one directory that is gone afterwards.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use tempfile::TempDir;
use tpp::control::Status;

use super::{
    client::Client,
    command::{as_session_leader, command_of, tpp_command, tpp_executable},
    patience, processes,
    settings::{PASSWORD_MARK, Settings},
    upstream::{TOKEN_MARK, Upstream},
    wait_for, wait_until,
};

/// A running tpp. Dropped, it is told to stop, and must do so cleanly, leave no process behind, and have written
/// no secret to its log.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(super) supervisor: Child,
    /// The sessions that the supervisors led, one after another: workers may outlive the one that started them.
    pub(super) sessions: Vec<u32>,
    /// Stopped by the test itself; what `drop` checks is done.
    stopped: bool,
    pub(super) directory: TempDir,
    /// The executable's file.
    pub(super) image: PathBuf,
    pub(super) address: SocketAddr,
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
        proxy.learn_addresses();
        proxy.wait_until_ready(settings.worker_count());
        proxy
    }

    /// Starts tpp and waits for nothing; its addresses are not known.
    pub(crate) fn spawn(settings: &Settings) -> Self {
        let directory = tempfile::tempdir().expect("make a directory");
        Self::spawn_image(&tpp_executable(), settings, directory)
    }

    /// The same, of an executable of the test's choice and in a directory that is there already.
    pub(super) fn spawn_image(image: &Path, settings: &Settings, directory: TempDir) -> Self {
        let config = settings.write_to(directory.path());
        let mut command = command_of(image);
        command.arg("--config").arg(config);
        command.envs(settings.environment().iter().cloned());
        Self::launch(as_session_leader(&command, settings.through()), directory)
    }

    /// Starts `tpp dev` with `arguments` and waits until its two workers are ready.
    pub(crate) fn start_dev(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("make a directory");
        let mut command = tpp_command();
        command.args([
            "dev",
            "--listen",
            "127.0.0.1:0",
            "--health-listen",
            "127.0.0.1:0",
            "--api-listen",
            "127.0.0.1:0",
        ]);
        command
            .arg("--control-socket")
            .arg(directory.path().join("control.sock"));
        command.args(arguments);
        let mut proxy = Self::launch(as_session_leader(&command, &[]), directory);
        proxy.learn_addresses();
        proxy.wait_until_ready(2);
        proxy
    }

    /// Starts `command`, which leads a session of its own: that tells later whether any of its processes is
    /// left, whatever groups they are in.
    fn launch(mut command: Command, directory: TempDir) -> Self {
        let supervisor = spawn_logging(&mut command, directory.path());
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        Self {
            sessions: vec![supervisor.id()],
            supervisor,
            stopped: false,
            directory,
            image: tpp_executable(),
            address: nowhere,
            health_address: nowhere,
        }
    }

    /// Asks tpp for its addresses as soon as it answers.
    pub(crate) fn learn_addresses(&mut self) {
        let status = wait_for("tpp says that it runs", || {
            let ended = self.supervisor.try_wait().expect("look after tpp");
            assert!(ended.is_none(), "tpp ended at once: {ended:?}");
            let outcome = self.ctl(&["status", "--json"]);
            serde_json::from_str::<Status>(&outcome.out)
                .ok()
                // 1: it runs, and is unhealthy, as it is before its first token.
                .filter(|_| matches!(outcome.code, Some(0 | 1)))
        });
        self.address = status.listen[0]
            .parse()
            .expect("the first address of `listen`");
        self.health_address = status
            .health_listen
            .parse()
            .expect("the address of `health_listen`");
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn health_address(&self) -> SocketAddr {
        self.health_address
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

    /// A connection to tpp that the upstream's oracle watches.
    pub(crate) fn client(&self, upstream: &Upstream) -> Client {
        Client::connect_watched(self.address, upstream)
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

    /// Every process of this tpp that is alive, those of supervisors before this one too.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let sessions = self.sessions.iter();
        sessions
            .flat_map(|&session| processes::in_session(session))
            .collect()
    }

    /// Kills whatever is left, and what the killed may have started meanwhile.
    fn end_all_processes(&mut self) {
        let deadline = Instant::now() + patience();
        loop {
            let left = self.processes();
            left.iter()
                .for_each(|&pid| processes::send(pid, Signal::SIGKILL));
            if left.is_empty() || Instant::now() > deadline {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        drop(self.supervisor.wait());
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

    /// The test killed the supervisor: what is left of this tpp is to be killed without a word.
    pub(crate) fn abandon(&mut self) {
        self.stopped = true;
    }

    /// The test ended this tpp itself: checks what must hold at every end.
    #[track_caller]
    pub(crate) fn assert_gone(&mut self) {
        if let Err(what) = self.check_end() {
            panic!("{what}");
        }
    }
}

/// Starts `command` with its output at the end of the directory's log.
pub(super) fn spawn_logging(command: &mut Command, directory: &Path) -> Child {
    let log = File::options()
        .append(true)
        .create(true)
        .open(directory.join("log"))
        .expect("open the log");
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("duplicate the log"))
        .stderr(log);
    command.spawn().expect("start tpp through setsid")
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let result = if thread::panicking() || self.stopped {
            Ok(())
        } else {
            self.stop()
        };
        self.end_all_processes();
        if thread::panicking() || result.is_err() {
            eprintln!("--- tpp's log ---\n{}--- end of tpp's log ---", self.log());
        }
        if let Err(what) = result {
            panic!("{what}");
        }
    }
}
