//! Supervisors that follow one another over the same workers: killed and started anew, or replaced by another
//! executable in place.

use std::{
    fs,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
    process::Command,
};

use command_fds::{CommandFdExt, FdMapping};
use nix::sys::signal::Signal;

use tempfile::TempDir;

use super::{
    command::{Outcome, as_session_leader, command_of, run, tpp_executable},
    processes,
    proxy::{Proxy, spawn_logging},
    settings::Settings,
    wait_until,
};

impl Proxy {
    /// Starts a tpp whose executable is a copy of its own, so that the test may put another in its place. Waits for
    /// its workers and for all tokens.
    pub(crate) fn start_copy(settings: &Settings) -> Self {
        let directory = tempfile::tempdir().expect("make a directory");
        Self::start_copy_in(directory, settings)
    }

    /// The same in a directory that is there already.
    pub(crate) fn start_copy_in(directory: TempDir, settings: &Settings) -> Self {
        let image = directory.path().join("tpp");
        copy_image(&image);
        let mut proxy = Self::spawn_image(&image, settings, directory);
        proxy.image = image;
        proxy.learn_addresses();
        proxy.wait_until_ready(settings.worker_count());
        let slots = settings.slots();
        wait_until("all tokens are in", || proxy.pool().total == slots);
        proxy
    }

    /// The file that the supervisor was started from.
    pub(crate) fn image(&self) -> &Path {
        &self.image
    }

    /// A new executable at another path than the one that runs.
    pub(crate) fn another_image(&self, name: &str) -> PathBuf {
        let path = self.directory().join(name);
        copy_image(&path);
        path
    }

    /// Puts a new file in the place of the executable, as a package's upgrade does. The test must have begun with
    /// [`Self::start_copy`].
    pub(crate) fn replace_image(&self) {
        copy_image(self.image());
    }

    /// True if the supervisor runs the file that is at `path` now.
    pub(crate) fn runs_image(&self, path: &Path) -> bool {
        let running = fs::metadata(format!("/proc/{}/exe", self.supervisor_pid()));
        let wanted = fs::metadata(path).expect("the executable is there");
        running.is_ok_and(|running| (running.dev(), running.ino()) == (wanted.dev(), wanted.ino()))
    }

    /// Kills the supervisor where it stands. Its workers live on.
    pub(crate) fn kill_supervisor(&mut self) {
        self.signal_supervisor(Signal::SIGKILL);
        drop(self.supervisor.wait());
    }

    /// Starts a supervisor after [`Self::kill_supervisor`], with the file and directory of the one before, and waits
    /// until it answers.
    ///
    /// # Panics
    /// If clients are to connect elsewhere now.
    pub(crate) fn start_successor(&mut self) {
        let mut command = command_of(self.image());
        command.arg("--config").arg(self.config_file());
        self.succeed(as_session_leader(&command, &[]));
    }

    /// The same as a service manager does it: with `variables`, and with the descriptors that it kept by their names.
    pub(crate) fn start_successor_with(
        &mut self,
        variables: &[(String, String)],
        kept: Vec<(String, OwnedFd)>,
    ) {
        // The process id that the variable must name is known only to the process itself.
        let mut command = command_of(Path::new("sh"));
        command
            .args(["-c", "export LISTEN_PID=$$; exec \"$0\" --config \"$1\""])
            .arg(self.image())
            .arg(self.config_file())
            .env("LISTEN_FDS", kept.len().to_string())
            .envs(variables.iter().cloned());
        let names: Vec<_> = kept.iter().map(|(name, _)| name.as_str()).collect();
        command.env("LISTEN_FDNAMES", names.join(":"));
        let mut leader = as_session_leader(&command, &[]);
        let mappings = kept.into_iter().zip(3..);
        let mappings = mappings.map(|((_, parent_fd), child_fd)| FdMapping {
            parent_fd,
            child_fd,
        });
        leader
            .fd_mappings(mappings.collect())
            .expect("no number twice");
        self.succeed(leader);
    }

    fn succeed(&mut self, leader: Command) {
        let before = self.address;
        self.follow_on(leader);
        assert_eq!(
            self.address, before,
            "a successor listens where its forerunner did"
        );
    }

    /// As [`Self::start_successor`], where clients connect to another address of the same port.
    pub(crate) fn start_successor_elsewhere(&mut self) {
        let mut command = command_of(self.image());
        command.arg("--config").arg(self.config_file());
        self.follow_on(as_session_leader(&command, &[]));
    }

    fn follow_on(&mut self, mut leader: Command) {
        self.supervisor = spawn_logging(&mut leader, self.directory.path());
        self.sessions.push(self.supervisor.id());
        self.sessions.retain(|&session| {
            session == self.supervisor.id() || !processes::in_session(session).is_empty()
        });
        self.learn_addresses();
    }

    /// Runs a second tpp with the configuration of this one, to its end.
    pub(crate) fn run_another(&self) -> Outcome {
        run(command_of(self.image())
            .arg("--config")
            .arg(self.config_file()))
    }

    /// `tppctl upgrade`, with a path or without; afterwards the addresses are asked for anew.
    pub(crate) fn upgrade(&mut self, image: Option<&Path>) -> Outcome {
        let path = image.map(|path| path.to_str().expect("a path in UTF-8"));
        let arguments: Vec<&str> = ["upgrade"].into_iter().chain(path).collect();
        let outcome = self.ctl(&arguments);
        if let (Some(image), Some(0)) = (image, outcome.code) {
            self.image = image.to_owned();
        }
        self.learn_addresses();
        outcome
    }

    /// The worker processes that live, whether a supervisor knows of them or not.
    pub(crate) fn worker_pids(&self) -> Vec<u32> {
        let is_worker = |&pid: &u32| {
            processes::proc_text(pid, "cmdline").is_ok_and(|line| line.starts_with("tpp-worker\n"))
        };
        let mut pids = self.processes();
        pids.retain(is_worker);
        pids
    }
}

/// A file that runs cannot be written to, but another can take its name.
///
/// `cp` writes it, and not this process: whatever another thread of the tests forks meanwhile would inherit the open file,
/// and for that moment nobody could run the copy ("text file busy").
fn copy_image(to: &Path) {
    let new = to.with_extension("copy");
    let copied = Command::new("cp").arg(tpp_executable()).arg(&new).status();
    assert!(copied.expect("run cp").success(), "copy the executable");
    fs::rename(new, to).expect("put the copy in its place");
}
