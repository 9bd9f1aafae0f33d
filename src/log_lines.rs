//! Log lines on their way out: whoever writes one never waits for who reads them.
//!
//! Standard error may be a pipe whose reader has stopped. Its writer would stand in write(2) for ever, and with it all
//! connections of a worker. So a thread of its own writes, lines wait for it in bounded memory, and what finds no room is
//! dropped, counted, and said as soon as the reader goes on. (The pipe is not made non-blocking: others share it.) What cannot be
//! written, for the disk is full, is counted with it. The access log goes the same way, many lines at once.
//!
//! The thread is there only while lines come: in a process of one thread the kernel takes no reference to a file for each
//! system call on it, and libc's calls are no points of cancellation, which each request would pay for.

use std::{
    collections::VecDeque,
    fmt,
    io::{self, Write},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Sender, channel},
    },
    thread,
    time::Duration,
};

/// Bytes of lines that may wait, as a log has them.
pub const ROOM: usize = 1 << 20;
/// Of the thread that writes.
const STACK: usize = 256 << 10;
/// How long the thread stays when nothing comes.
const LINGER: Duration = Duration::from_millis(100);

enum Message {
    Line(Vec<u8>),
    /// Says when all that came before is written.
    Flush(Sender<()>),
}

/// Where lines go; a copy goes to the same place.
#[derive(Debug, Clone)]
pub struct LogLines {
    room: usize,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    arrival: Condvar,
    /// Lines that found no room, or could not be written.
    dropped: AtomicU64,
}

#[derive(Debug)]
struct Queue {
    messages: VecDeque<Message>,
    /// Bytes that wait, or are being written.
    bytes: usize,
    /// A thread is there, or on its way.
    is_attended: bool,
    /// With the thread while there is one.
    writer: Option<Writer>,
}

struct Writer {
    out: Box<dyn Write + Send>,
    /// Is told how many lines were dropped so far.
    say: Box<dyn Fn(u64) + Send>,
    said: u64,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Line(_) => "Line",
            Self::Flush(_) => "Flush",
        })
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("said", &self.said)
            .finish_non_exhaustive()
    }
}

impl LogLines {
    /// What writes to `out`; so many bytes may wait for it. Once it takes lines again after some were dropped, `say` is told how
    /// many there were so far.
    pub fn new(
        out: impl Write + Send + 'static,
        room: usize,
        say: impl Fn(u64) + Send + 'static,
    ) -> Self {
        let writer = Writer {
            out: Box::new(out),
            say: Box::new(say),
            said: 0,
        };
        let queue = Queue {
            messages: VecDeque::new(),
            bytes: 0,
            is_attended: false,
            writer: Some(writer),
        };
        let shared = Shared {
            queue: Mutex::new(queue),
            arrival: Condvar::new(),
            dropped: AtomicU64::new(0),
        };
        Self {
            room,
            shared: Arc::new(shared),
        }
    }

    /// Lines dropped so far.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        // Relaxed: a number on its own.
        self.shared.dropped.load(Relaxed)
    }

    /// Takes whole lines. Never fails nor waits for a reader.
    pub fn take(&self, lines: Vec<u8>) {
        let mut queue = self.shared.lock();
        if queue.bytes >= self.room {
            // Relaxed: as above.
            self.shared.dropped.fetch_add(count(&lines), Relaxed);
            return;
        }
        queue.bytes += lines.len();
        self.put(queue, Message::Line(lines));
    }

    /// Waits until all lines so far are written, but no longer than `limit`. Before a process ends.
    pub fn flush(&self, limit: Duration) {
        let (done, written) = channel();
        self.put(self.shared.lock(), Message::Flush(done));
        // A reader that stands still has had its time.
        let _ = written.recv_timeout(limit);
    }

    fn put(&self, mut queue: MutexGuard<'_, Queue>, message: Message) {
        queue.messages.push_back(message);
        if queue.is_attended {
            self.shared.arrival.notify_one();
            return;
        }
        queue.is_attended = true;
        drop(queue);
        let shared = Arc::clone(&self.shared);
        let begun = thread::Builder::new()
            .name("tpp-log".to_owned())
            .stack_size(STACK)
            .spawn(move || shared.write());
        if begun.is_err() {
            // The system has no thread left: the next line tries again, and until then they wait.
            self.shared.lock().is_attended = false;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Whoever panicked with it in hand left whole lines.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what there is and what comes, until nothing has come for a while.
    fn write(&self) {
        let Some(mut writer) = self.lock().writer.take() else {
            return;
        };
        loop {
            let mut queue = self.lock();
            if queue.messages.is_empty() {
                let waited = self
                    .arrival
                    .wait_timeout_while(queue, LINGER, |queue| queue.messages.is_empty());
                (queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
            }
            let Some(message) = queue.messages.pop_front() else {
                queue.writer = Some(writer);
                queue.is_attended = false;
                return;
            };
            drop(queue);
            match message {
                Message::Line(lines) => {
                    let unwritten = put(&mut writer.out, &lines);
                    self.lock().bytes -= lines.len();
                    // Relaxed: a number on its own.
                    let dropped = self.dropped.fetch_add(unwritten, Relaxed) + unwritten;
                    // Not while it fails: what is said goes the same way.
                    if dropped != writer.said && unwritten == 0 {
                        writer.said = dropped;
                        (writer.say)(dropped);
                    }
                }
                Message::Flush(done) => drop(done.send(())),
            }
        }
    }
}

/// Writes `lines`. Returns how many of them could not be.
fn put(out: &mut dyn Write, lines: &[u8]) -> u64 {
    let mut rest = lines;
    while !rest.is_empty() {
        match out.write(rest) {
            Ok(0) => break,
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    count(rest)
}

fn count(lines: &[u8]) -> u64 {
    lines.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// One call writes one line, and never fails nor waits.
impl Write for LogLines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.take(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read, os::unix::net::UnixStream, sync::mpsc};

    use super::*;

    #[test]
    fn lines_come_out_in_order_and_a_flush_waits_for_them() {
        let (mut reader, writer) = UnixStream::pair().unwrap();
        let mut lines = LogLines::new(writer, ROOM, |_| {});
        lines.write_all(b"one\n").unwrap();
        lines.write_all(b"two\n").unwrap();
        LogLines::flush(&lines, Duration::from_secs(60));
        let mut read = [0; 8];
        reader.read_exact(&mut read).unwrap();
        assert_eq!(&read, b"one\ntwo\n");
        assert_eq!(lines.dropped(), 0);
    }

    #[test]
    fn what_cannot_be_written_is_counted_line_by_line_and_said_when_it_can_be_again() {
        struct Full(mpsc::Receiver<usize>);
        impl Write for Full {
            fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
                let room = self.0.recv().unwrap();
                if room == 0 {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                Ok(room.min(lines.len()))
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let ((room, rooms), (say, said)) = (mpsc::channel(), mpsc::channel());
        let say = move |dropped| say.send(dropped).unwrap();
        let lines = LogLines::new(Full(rooms), ROOM, say);
        // Of three lines the first is written, and half of the second.
        for bytes in [6, 0, 4] {
            room.send(bytes).unwrap();
        }
        lines.take(b"one\ntwo\nthree\n".to_vec());
        lines.take(b"end\n".to_vec());
        assert_eq!(said.recv_timeout(Duration::from_secs(60)), Ok(2));
        assert_eq!(lines.dropped(), 2);
    }

    #[test]
    fn a_reader_that_stops_holds_nobody_up_and_what_is_lost_is_said_when_it_goes_on() {
        let (mut reader, writer) = UnixStream::pair().unwrap();
        let (say, said) = mpsc::channel();
        let say = move |dropped| say.send(dropped).unwrap();
        let mut lines = LogLines::new(writer, ROOM, say);
        let mut line = [b'x'; 1024];
        line[1023] = b'\n';
        // More than the room and any socket's buffer: this loop would stand for ever if a line could wait.
        for _ in 0..8 * 1024 {
            lines.write_all(&line).unwrap();
        }
        let dropped = lines.dropped();
        assert!(dropped > 0);
        thread::spawn(move || io::copy(&mut reader, &mut io::sink()));
        // Told of some it may have been while the first lines still went out.
        while said.recv_timeout(Duration::from_secs(60)).unwrap() < dropped {}
        LogLines::flush(&lines, Duration::from_secs(60));
        let before = lines.dropped();
        lines.write_all(&line).unwrap();
        assert_eq!(lines.dropped(), before, "there is room again");
    }
}
