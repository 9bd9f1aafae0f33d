//! Where a worker can be met: a socket of its own beside the control socket, by which a supervisor that knows nothing
//! of it takes it over.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Where the workers of the supervisor at `control_socket` can be met: the path, but for the process id at its end.
#[must_use]
pub fn meeting_prefix(control_socket: &Path) -> PathBuf {
    let mut prefix = control_socket.as_os_str().to_owned();
    prefix.push(".worker-");
    prefix.into()
}

/// Where the worker `pid` can be met.
#[must_use]
pub fn meeting_place(prefix: &Path, pid: u32) -> PathBuf {
    let mut path = prefix.as_os_str().to_owned();
    path.push(pid.to_string());
    path.into()
}

/// The meeting places that there are under `prefix`, of living workers and of dead ones.
///
/// # Errors
/// If the directory cannot be read.
pub fn meeting_places(prefix: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    let (Some(directory), Some(name)) = (prefix.parent(), prefix.file_name()) else {
        return Ok(Vec::new());
    };
    let directory = if directory.as_os_str().is_empty() {
        Path::new(".")
    } else {
        directory
    };
    let mut found = Vec::new();
    for entry in directory.read_dir()? {
        let entry = entry?;
        let pid = entry
            .file_name()
            .to_str()
            .zip(name.to_str())
            .and_then(|(file, prefix)| file.strip_prefix(prefix)?.parse().ok());
        found.extend(pid.map(|pid| (pid, entry.path())));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meeting_places_are_found_by_their_name_alone() {
        let directory = tempfile::tempdir().unwrap();
        let prefix = meeting_prefix(&directory.path().join("control.sock"));
        for name in [
            "control.sock",
            "control.sock.worker-",
            "control.sock.worker-12x",
            "other.sock.worker-3",
        ] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        std::fs::write(meeting_place(&prefix, 12), "").unwrap();
        assert_eq!(
            meeting_places(&prefix).unwrap(),
            [(12, directory.path().join("control.sock.worker-12"))]
        );
    }
}
