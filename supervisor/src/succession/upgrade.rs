//! Another executable in this one's place, under the same process id: it inherits the pool, the sockets and the workers.

use std::{
    ffi::{CString, OsStr, OsString},
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use command_fds::{CommandFdExt, FdMapping};
use nix::{
    fcntl::{OFlag, open},
    sys::stat::Mode,
    unistd::execve,
};
use tokio::{process::Command, time::timeout};
use tpp::{
    config::Config,
    handover::{
        FORMAT, Role,
        exec::{INHERITED_VARIABLE, hand_over},
        store::TOLD_BY_SYSTEMD,
    },
};

use crate::{
    plans::check_logins,
    system::children::{self, Own},
};

/// How long a new executable may take to say whether it can take over.
const CHECK_TIMEOUT: Duration = Duration::from_secs(20);
/// Lines of its own words that are passed on when it cannot.
const QUOTED_LINES: usize = 5;
/// The executable that `check` asks in these words whether it knows what it will inherit says this if it does.
pub(crate) fn takes_over(format: u32) -> String {
    format!("takes over state format {format}")
}

/// Answers a predecessor's question whether this executable can take over, with `config` as it would read it.
///
/// # Errors
/// If it cannot: one line says why.
pub fn say_takes_over(format: u32, config: &Config) -> anyhow::Result<()> {
    anyhow::ensure!(
        format == FORMAT,
        "the running tpp hands over state format {format}, and this one knows format {FORMAT} alone"
    );
    // What could still fail at the start, as far as it can be tried beforehand: roots that cannot be read, say.
    check_logins(config)?;
    println!("{}", takes_over(format));
    Ok(())
}

/// What the system writes behind the name of a file that has none any more.
const NAMELESS: &str = " (deleted)";
/// The number of an [`Image`] in the process that is asked.
const ASKED_AS: i32 = 3;

/// An executable's very file: the one that was checked is the one that is started, whatever has its name by then.
#[derive(Debug)]
pub(crate) struct Image {
    /// By which it was found.
    pub(crate) name: PathBuf,
    file: OwnedFd,
}

impl Image {
    /// # Errors
    /// If there is none.
    pub(crate) fn open(name: &Path) -> Result<Self, String> {
        // One that may be run need not be one that may be read.
        let file = open(name, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty());
        let file = file.map_err(|errno| {
            let error = io::Error::from(errno);
            format!("{} cannot be run: {error}", name.display())
        })?;
        Ok(Self {
            name: name.to_owned(),
            file,
        })
    }
}

/// Where a process finds the file that is open under this number.
fn place_of(number: i32) -> String {
    format!("/proc/self/fd/{number}")
}

/// How this process was started: how its successor will be.
#[derive(Debug, Clone)]
pub(crate) struct Invocation {
    /// Its file at the time of the start; a package may have put another one there since.
    executable: PathBuf,
    arguments: Vec<OsString>,
}

impl Invocation {
    /// # Errors
    /// If the system does not tell the executable.
    pub(crate) fn of_this_process() -> io::Result<Self> {
        Ok(Self {
            executable: named(std::env::current_exe()?),
            arguments: std::env::args_os().collect(),
        })
    }

    /// The executable to start: `path`, or the file that this one was started from.
    pub(crate) fn successor(&self, path: Option<PathBuf>) -> PathBuf {
        path.unwrap_or_else(|| self.executable.clone())
    }
}

/// The name that a file had, if another one took it before we could look.
fn named(executable: PathBuf) -> PathBuf {
    let name = executable.as_os_str().as_bytes();
    match name.strip_suffix(NAMELESS.as_bytes()) {
        Some(name) if !executable.exists() => PathBuf::from(OsStr::from_bytes(name)),
        _ => executable,
    }
}

/// Asks `image` whether it runs here, can read the configuration, and knows the state it would inherit.
///
/// # Errors
/// If not: one line says why.
pub(crate) async fn check(image: &Image, config_file: &Path) -> Result<(), String> {
    let name = image.name.display();
    let cannot = |error: io::Error| format!("{name} cannot be run: {error}");
    let file = FdMapping {
        parent_fd: image.file.try_clone().map_err(cannot)?,
        child_fd: ASKED_AS,
    };
    let mut command = Command::new(place_of(ASKED_AS));
    command
        .arg0(&image.name)
        .args(["check", "--takes-over", &FORMAT.to_string()])
        .arg("--config")
        .arg(config_file)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let command = command.fd_mappings(vec![file]);
    let command = command.map_err(|error| cannot(io::Error::other(error)))?;
    let output = timeout(CHECK_TIMEOUT, output_of(command))
        .await
        .map_err(|_| format!("{name} has not checked the configuration within {CHECK_TIMEOUT:?}"))?
        .map_err(cannot)?;
    let said = String::from_utf8_lossy(&output.stdout);
    if output.status.success() && said.lines().any(|line| line == takes_over(FORMAT)) {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = complaint.lines().take(QUOTED_LINES).collect();
    Err(match lines[..] {
        [] => format!("{name} is no tpp that can take over ({})", output.status),
        _ => format!("{name} cannot take over: {}", lines.join("; ")),
    })
}

/// Runs a command to its end.
async fn output_of(command: &mut Command) -> io::Result<Output> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let (child, _own) = children::start(|| {
        let child = command.spawn()?;
        let own = child.id().map(Own::new);
        io::Result::Ok((child, own))
    })?;
    child.wait_with_output().await
}

/// Starts `image` in this process's place, with `descriptors`. Returns only if that fails, and nothing has changed then.
pub(crate) fn exec(
    image: Image,
    invocation: &Invocation,
    mut descriptors: Vec<(Role, OwnedFd)>,
) -> io::Error {
    let place = place_of(image.file.as_raw_fd());
    // A script's interpreter opens it once more; the successor closes it.
    descriptors.push((Role::Image, image.file));
    // Signals are held back, over exec too: one that comes meanwhile waits for the successor.
    match prepare(&place, invocation, &descriptors) {
        Ok((path, arguments, variables)) => match execve(&path, &arguments, &variables) {
            Ok(never) => match never {},
            Err(errno) => errno.into(),
        },
        Err(error) => error,
    }
}

/// What `execve` takes.
type Exec = (CString, Vec<CString>, Vec<CString>);

fn prepare(
    place: &str,
    invocation: &Invocation,
    descriptors: &[(Role, OwnedFd)],
) -> io::Result<Exec> {
    let text = |bytes: &[u8]| CString::new(bytes).map_err(io::Error::other);
    let path = text(place.as_bytes())?;
    let arguments = invocation
        .arguments
        .iter()
        .map(|word| text(word.as_bytes()));
    let arguments = arguments.collect::<io::Result<Vec<_>>>()?;
    let inherited = hand_over(descriptors)?;
    let variables = environment(&inherited).map(|variable| text(variable.as_bytes()));
    let variables = variables.collect::<io::Result<Vec<_>>>()?;
    Ok((path, arguments, variables))
}

fn environment(inherited: &OsStr) -> impl Iterator<Item = OsString> {
    let mut variable = OsString::from(INHERITED_VARIABLE);
    variable.push("=");
    variable.push(inherited);
    let is_kept = |name: &OsString| {
        name != INHERITED_VARIABLE && TOLD_BY_SYSTEMD.iter().all(|told| name != told)
    };
    std::env::vars_os()
        .filter(move |(name, _)| is_kept(name))
        .map(|(name, value)| {
            let mut variable = name.into_vec();
            variable.push(b'=');
            variable.extend(value.into_vec());
            OsString::from_vec(variable)
        })
        .chain([variable])
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use nix::sys::signal::SigSet;

    use super::*;

    async fn check_script(script: &str) -> Result<(), String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tpp");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        check(&Image::open(&path).unwrap(), Path::new("/etc/tpp/tpp.toml"))
            .await
            .map_err(|reason| reason.replace(&path.display().to_string(), "PATH"))
    }

    #[tokio::test]
    async fn an_executable_that_says_so_can_take_over() {
        let script = r#"test "$*" = "check --takes-over 1 --config /etc/tpp/tpp.toml" && echo "takes over state format 1""#;
        assert_eq!(check_script(script).await, Ok(()));
    }

    #[tokio::test]
    async fn one_that_does_not_say_so_cannot_however_it_ends() {
        assert_eq!(
            check_script("true").await.unwrap_err(),
            "PATH is no tpp that can take over (exit status: 0)"
        );
        assert_eq!(
            check_script("echo takes over state format 2")
                .await
                .unwrap_err(),
            "PATH is no tpp that can take over (exit status: 0)"
        );
        assert_eq!(
            check_script("echo 'tpp.toml:1: wrong' >&2; echo more >&2; exit 78")
                .await
                .unwrap_err(),
            "PATH cannot take over: tpp.toml:1: wrong; more"
        );
    }

    #[tokio::test]
    async fn the_file_that_was_opened_is_asked_whatever_has_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tpp");
        let write = |says: &str| {
            let new = directory.path().join("new");
            std::fs::write(&new, format!("#!/bin/sh\necho {says}\n")).unwrap();
            std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o500)).unwrap();
            std::fs::rename(&new, &path).unwrap();
        };
        write("takes over state format 1");
        let image = Image::open(&path).unwrap();
        write("nothing");
        assert_eq!(check(&image, Path::new("tpp.toml")).await, Ok(()));
        let image = Image::open(&path).unwrap();
        assert!(check(&image, Path::new("tpp.toml")).await.is_err());
    }

    #[test]
    fn a_name_that_another_file_took_is_still_the_name() {
        assert_eq!(
            named("/nonexistent/tpp (deleted)".into()),
            Path::new("/nonexistent/tpp")
        );
        assert_eq!(
            named("/nonexistent/tpp".into()),
            Path::new("/nonexistent/tpp")
        );
    }

    #[test]
    fn what_is_not_there_cannot_be_run() {
        let reason = Image::open(Path::new("/nonexistent/tpp")).unwrap_err();
        assert!(
            reason.starts_with("/nonexistent/tpp cannot be run: "),
            "{reason}"
        );
    }

    #[test]
    fn a_failed_exec_returns_and_leaves_the_signals_as_they_were() {
        let invocation = Invocation::of_this_process().unwrap();
        let before = SigSet::thread_get_mask().unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        let image = Image::open(file.path()).unwrap();
        let error = exec(image, &invocation, Vec::new());
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(SigSet::thread_get_mask().unwrap(), before);
    }
}
