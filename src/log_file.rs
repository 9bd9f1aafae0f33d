//! A file that lines are put at the end of, until it is moved away: then at the end of a new one of its name.
//!
//! Each write looks first whether the name still leads to the file in hand, so whoever moves it (logrotate) finds the next lines in a
//! new one, SIGHUP or not, whichever process writes them. Several may write to the same file: one write is whole lines, and the
//! kernel puts it where the end is at that moment.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use nix::libc::{O_NOCTTY, O_NONBLOCK};

/// Its owner writes, his group may read: there are addresses and paths of clients in it.
const MODE: u32 = 0o640;
/// How long a pipe may take nothing.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);

/// The file of `telemetry.log_output`. That it cannot be written is said on standard error.
#[must_use]
pub fn log_file(path: &Path) -> LogFile {
    LogFile::new(path.to_owned(), |path, error| {
        // Nobody else is left to be told.
        let _ = writeln!(
            io::stderr(),
            "tpp: the log {} cannot be written: {error}",
            path.display()
        );
    })
}

/// Is told of the first failure of several.
type Trouble = Box<dyn Fn(&Path, &io::Error) + Send>;

/// A file that grows, under a name.
pub struct LogFile {
    path: PathBuf,
    open: Option<Open>,
    /// What was written last did not end a line.
    is_in_line: bool,
    /// The rest of that line is lost.
    is_torn: bool,
    is_failing: bool,
    trouble: Trouble,
}

struct Open {
    file: File,
    device: u64,
    inode: u64,
}

impl LogFile {
    /// The file at `path`, not opened yet. `trouble` is told when writing begins to fail.
    pub fn new(path: PathBuf, trouble: impl Fn(&Path, &io::Error) + Send + 'static) -> Self {
        Self {
            path,
            open: None,
            is_in_line: false,
            is_torn: false,
            is_failing: false,
            trouble: Box::new(trouble),
        }
    }

    /// Opens it, to see whether it can be.
    ///
    /// # Errors
    /// If it cannot.
    pub fn open_now(&mut self) -> io::Result<()> {
        self.file().map(|_| ())
    }

    /// The file that the name leads to, or a new one.
    fn file(&mut self) -> io::Result<&File> {
        let is_there = |open: &Open| {
            let found = fs::metadata(&self.path);
            found.is_ok_and(|found| (found.dev(), found.ino()) == (open.device, open.inode))
        };
        let open = match self.open.take().filter(is_there) {
            Some(open) => open,
            None => Open::at(&self.path)?,
        };
        Ok(&self.open.insert(open).file)
    }

    fn put(&mut self, lines: &[u8]) -> io::Result<usize> {
        let is_torn = self.is_torn;
        let file = self.file()?;
        if is_torn {
            // What follows begins a line.
            write_patiently(file, b"\n")?;
        }
        let written = write_patiently(file, lines)?;
        self.is_torn = false;
        self.is_in_line = lines[..written].last().is_some_and(|last| *last != b'\n');
        Ok(written)
    }
}

impl Open {
    fn at(path: &Path) -> io::Result<Self> {
        // A pipe that nobody reads is an error, not a wait.
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(MODE)
            .custom_flags(O_NONBLOCK | O_NOCTTY)
            .open(path)?;
        let found = file.metadata()?;
        Ok(Self {
            device: found.dev(),
            inode: found.ino(),
            file,
        })
    }
}

/// Writes once. A pipe that is full is waited for, for a while.
fn write_patiently(mut file: &File, bytes: &[u8]) -> io::Result<usize> {
    let begun = Instant::now();
    loop {
        match file.write(bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock && begun.elapsed() < PATIENCE => {
                thread::sleep(PAUSE);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            written => return written,
        }
    }
}

/// Writes what one write(2) takes. After a failure the next one tries anew.
impl Write for LogFile {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        if lines.is_empty() {
            return Ok(0);
        }
        let written = self.put(lines);
        if let Err(error) = &written {
            self.is_torn |= std::mem::take(&mut self.is_in_line);
            self.open = None;
            if !self.is_failing {
                (self.trouble)(&self.path, error);
            }
        }
        self.is_failing = written.is_err();
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for LogFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogFile")
            .field("path", &self.path)
            .field("is_failing", &self.is_failing)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    };

    use nix::{sys::stat::Mode, unistd::mkfifo};
    use tempfile::TempDir;

    use super::*;

    /// A file of that name in a directory of its own, and how often it was said that it fails.
    fn file(name: &str) -> (TempDir, LogFile, Arc<AtomicUsize>) {
        let directory = tempfile::tempdir().unwrap();
        let (file, said) = file_at(directory.path().join(name));
        (directory, file, said)
    }

    fn file_at(path: PathBuf) -> (LogFile, Arc<AtomicUsize>) {
        let said = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&said);
        let file = LogFile::new(path, move |_, _| {
            count.fetch_add(1, SeqCst);
        });
        (file, said)
    }

    #[test]
    fn a_file_that_was_moved_away_gets_no_more_and_a_new_one_of_its_name_does() {
        let (directory, mut file, said) = file("log");
        let (here, there) = (directory.path().join("log"), directory.path().join("log.1"));
        fs::write(&here, "before\n").unwrap();
        file.write_all(b"one\n").unwrap();
        fs::rename(&here, &there).unwrap();
        file.write_all(b"two\n").unwrap();
        fs::remove_file(&here).unwrap();
        file.write_all(b"three\n").unwrap();
        assert_eq!(fs::read_to_string(there).unwrap(), "before\none\n");
        assert_eq!(fs::read_to_string(&here).unwrap(), "three\n");
        let mode = fs::metadata(&here).unwrap().mode();
        assert_eq!(mode & 0o007, 0, "{mode:o}: not for all to read");
        assert_eq!(said.load(SeqCst), 0);
    }

    #[test]
    fn what_cannot_be_opened_is_said_once_and_tried_again() {
        let (directory, mut file, said) = file("folder/log");
        assert!(file.open_now().is_err());
        for _ in 0..3 {
            assert!(file.write_all(b"lost\n").is_err());
        }
        assert_eq!(said.load(SeqCst), 1);
        fs::create_dir(directory.path().join("folder")).unwrap();
        file.write_all(b"kept\n").unwrap();
        let text = fs::read_to_string(directory.path().join("folder/log"));
        assert_eq!(text.unwrap(), "kept\n");
    }

    #[test]
    fn a_full_disk_and_a_pipe_that_nobody_reads_are_errors() {
        let (mut full, said) = file_at("/dev/full".into());
        assert!(full.write_all(b"lost\n").is_err());
        assert_eq!(said.load(SeqCst), 1);
        let (directory, mut pipe, _) = file("pipe");
        mkfifo(&directory.path().join("pipe"), Mode::S_IRWXU).unwrap();
        assert!(pipe.write_all(b"lost\n").is_err());
        let reader = OpenOptions::new()
            .read(true)
            .custom_flags(O_NONBLOCK)
            .open(directory.path().join("pipe"))
            .unwrap();
        pipe.write_all(b"kept\n").unwrap();
        // It takes some, and then no more.
        assert!(pipe.write_all(&vec![b'x'; 1 << 20]).is_err());
        drop(reader);
    }

    #[test]
    fn a_line_that_was_cut_off_does_not_run_into_the_next_one() {
        let (directory, mut file, _) = file("log");
        file.write_all(b"half of a li").unwrap();
        let path = std::mem::replace(&mut file.path, "/dev/full".into());
        assert!(file.write_all(b"ne\n").is_err());
        file.path = path;
        file.write_all(b"whole\n").unwrap();
        let text = fs::read_to_string(directory.path().join("log"));
        assert_eq!(text.unwrap(), "half of a li\nwhole\n");
    }
}
