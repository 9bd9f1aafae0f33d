//! Whole text files, read within bounds of size and of time.
//!
//! A file may lie on a server that does not answer, or be a pipe that nobody closes. So a thread reads, and who asked
//! waits for it only so long: a start or a reload ends with the name of the file that was waited for.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc, LazyLock,
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use zeroize::Zeroizing;

/// A file's text, and whether every user of the machine may read it.
pub(in crate::config) struct Content {
    pub(in crate::config) text: Zeroizing<String>,
    pub(in crate::config) open_to_all: bool,
}

/// No file that belongs to a configuration comes near this, in bytes. A device or a log named by mistake does.
const LARGEST: u64 = 4 << 20;

/// How long all files of a configuration may take together.
const PATIENCE: Duration = Duration::from_secs(8);

/// Most threads that wait for files of earlier configurations, and cannot be ended.
const MOST_STUCK: usize = 16;

/// One more for each thread that reads.
static READERS: LazyLock<Arc<()>> = LazyLock::new(Arc::default);

/// Reads the files of one configuration, one after the other.
pub(in crate::config) struct Files {
    until: Instant,
    thread: Option<Thread>,
}

/// It ends when nobody asks it any more.
struct Thread {
    wanted: Sender<PathBuf>,
    read: Receiver<Result<Content, String>>,
}

impl Files {
    pub(in crate::config) fn new() -> Self {
        Self::within(PATIENCE)
    }

    fn within(patience: Duration) -> Self {
        Self {
            until: Instant::now() + patience,
            thread: None,
        }
    }

    /// Reads a whole text file of at most 4 MiB.
    ///
    /// # Errors
    /// Why it cannot be read, as a noun phrase.
    pub(in crate::config) fn read(&mut self, path: &Path) -> Result<Content, String> {
        let thread = match self.thread.take() {
            Some(thread) => thread,
            None => Thread::start(&READERS)?,
        };
        let left = self.until.saturating_duration_since(Instant::now());
        // A thread that has ended answers nothing either.
        let _ = thread.wanted.send(path.to_owned());
        let answer = thread.read.recv_timeout(left);
        let content = answer.map_err(|_| "not read in time: it, or one before it, does not answer");
        if content.is_ok() {
            self.thread = Some(thread);
        }
        content?
    }
}

impl Thread {
    /// `readers` is cloned by each thread that reads.
    fn start(readers: &Arc<()>) -> Result<Self, String> {
        let counted = Arc::clone(readers);
        // Its own clone and the first are no stuck ones.
        if Arc::strong_count(&counted) > MOST_STUCK + 2 {
            return Err(format!(
                "not tried: {MOST_STUCK} files of earlier readings have not answered yet"
            ));
        }
        let (wanted, paths) = mpsc::channel::<PathBuf>();
        let (done, read) = mpsc::channel();
        let work = move || {
            let _counted = counted;
            for path in paths {
                if done.send(read_whole(&path)).is_err() {
                    break;
                }
            }
        };
        thread::Builder::new()
            .name("tpp-files".to_owned())
            .spawn(work)
            .map_err(|error| reason(&error))?;
        Ok(Self { wanted, read })
    }
}

fn read_whole(path: &Path) -> Result<Content, String> {
    // Without the flag, opening a pipe would wait for somebody who writes to it.
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags.bits());
    let file = options.open(path).map_err(|error| reason(&error))?;
    let about = file.metadata().map_err(|error| reason(&error))?;
    if !about.is_file() {
        // `tpp check --config <(…)` is a pipe whose writer may be slow.
        let _ = fcntl(&file, FcntlArg::F_SETFL(OFlag::empty()));
    }
    let bytes = read_bytes(file, about.len())?;
    if bytes.is_empty() && about.file_type().is_fifo() {
        return Err("a pipe that nobody writes to".to_owned());
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Content {
            text: Zeroizing::new(text.to_owned()),
            open_to_all: about.mode() & 0o004 != 0,
        }),
        Err(error) => {
            let before = &bytes[..error.valid_up_to()];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            Err(format!("line {line} is not UTF-8"))
        }
    }
}

fn read_bytes(file: File, length: u64) -> Result<Zeroizing<Vec<u8>>, String> {
    // All the room at once: a buffer that grows leaves copies of a password behind.
    let room = length.min(LARGEST) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(room).unwrap_or(0)));
    file.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| reason(&error))?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("more than {} MiB", LARGEST >> 20));
    }
    Ok(bytes)
}

/// The system's own words, without the number that it appends.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use nix::{sys::stat::Mode, unistd::mkfifo};

    use super::*;

    fn pipe(directory: &tempfile::TempDir) -> PathBuf {
        let path = directory.path().join("pipe");
        mkfifo(&path, Mode::S_IRWXU).unwrap();
        path
    }

    #[test]
    fn no_thread_is_added_to_very_many_that_hang() {
        let readers = Arc::default();
        let hanging: Vec<_> = (0..MOST_STUCK).map(|_| Arc::clone(&readers)).collect();
        assert!(Thread::start(&readers).is_ok());
        let one_more = Arc::clone(&readers);
        let refused = Thread::start(&readers).err().unwrap();
        assert!(refused.starts_with("not tried: 16 files"), "{refused}");
        drop((hanging, one_more));
    }

    #[test]
    fn a_pipe_that_nobody_writes_to_is_told_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = pipe(&directory);
        let read = Files::new().read(&path).err();
        assert_eq!(read.as_deref(), Some("a pipe that nobody writes to"));
    }

    #[test]
    fn a_pipe_is_read_to_its_end_however_late_it_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = pipe(&directory);
        // Both ends are open before anybody reads.
        let mut both = OpenOptions::new();
        let both = both.read(true).write(true).open(&path).unwrap();
        let mut writing = OpenOptions::new().write(true).open(&path).unwrap();
        let reading = thread::spawn(move || Files::new().read(&path));
        thread::sleep(Duration::from_millis(50));
        io::Write::write_all(&mut writing, b"late").unwrap();
        drop((both, writing));
        assert_eq!(reading.join().unwrap().unwrap().text.as_str(), "late");
    }

    #[test]
    fn a_file_that_does_not_answer_takes_no_longer_than_all_may_and_spoils_no_later_reading() {
        let directory = tempfile::tempdir().unwrap();
        let path = pipe(&directory);
        let mut both = OpenOptions::new();
        let open = both.read(true).write(true).open(&path).unwrap();
        let mut files = Files::within(Duration::from_millis(50));
        let read = files.read(&path).err().unwrap();
        assert!(read.starts_with("not read in time"), "{read}");
        let plain = directory.path().join("plain");
        std::fs::write(&plain, "x").unwrap();
        assert_eq!(Files::new().read(&plain).unwrap().text.as_str(), "x");
        drop(open);
    }
}
