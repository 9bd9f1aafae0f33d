//! tpp's executables as commands that come to an end.

use std::{
    env,
    fs::File,
    io::{Read, Seek},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::{built::built, wait_for};

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// `None`: by a signal.
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// The executable `tpp`; `TPP_TEST_EXECUTABLE` names another than the one just built, such as an optimized one.
pub(crate) fn tpp_executable() -> PathBuf {
    if let Some(path) = env::var_os("TPP_TEST_EXECUTABLE") {
        return path.into();
    }
    built("tpp")
}

/// `tpp` with no variable in its environment that it would heed.
pub(crate) fn tpp_command() -> Command {
    command_of(&tpp_executable())
}

/// The same for another copy of it.
pub(crate) fn command_of(image: &Path) -> Command {
    let mut command = Command::new(image);
    let heeded = |name: &str| name.starts_with("TPP_") || matches!(name, "RUST_LOG" | "NO_COLOR");
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(heeded)) {
        command.env_remove(name);
    }
    command
}

/// The same command in a session of its own, started `through` another command. `setsid` and that one become the command,
/// so that the process id is the command's.
pub(crate) fn as_session_leader(command: &Command, through: &[String]) -> Command {
    let mut leader = Command::new("setsid");
    leader.args(through);
    leader.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => leader.env(name, value),
            None => leader.env_remove(name),
        };
    }
    leader
}

/// Runs a command to its end, which must come.
pub(crate) fn run(command: &mut Command) -> Outcome {
    let mut out = tempfile::tempfile().expect("a file for the output");
    let mut err = tempfile::tempfile().expect("a file for the errors");
    command.stdin(Stdio::null());
    command.stdout(out.try_clone().expect("duplicate a file"));
    command.stderr(err.try_clone().expect("duplicate a file"));
    let mut process = KilledAtDrop(command.spawn().expect("start a command"));
    let status = wait_for("the command ends", || {
        process.0.try_wait().expect("look after a command")
    });
    Outcome {
        code: status.code(),
        out: read_whole(&mut out),
        err: read_whole(&mut err),
    }
}

/// A process that must not outlive a test that gave it up.
struct KilledAtDrop(Child);

impl Drop for KilledAtDrop {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn read_whole(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.rewind().expect("rewind a file");
    file.read_to_end(&mut bytes).expect("read a file");
    String::from_utf8_lossy(&bytes).into_owned()
}
