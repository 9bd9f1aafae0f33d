//! Log lines on their way out: whoever writes one never waits for who reads them.
//!
//! Standard error may be a pipe whose reader has stopped. Its writer would stand in write(2) for ever, and with it all
//! connections of a worker. So a thread of its own writes, lines wait for it in bounded memory, and what finds no room is
//! dropped, counted, and said as soon as the reader goes on. (The pipe is not made non-blocking: others share it.) What cannot be
//! written, for the disk is full, is counted with it. The access log goes the same way, many lines at once.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
        mpsc::{Sender, channel},
    },
    thread,
    time::Duration,
};

/// Bytes of lines that may wait, as a log has them.
pub const ROOM: usize = 1 << 20;
/// Of the thread that writes.
const STACK: usize = 256 << 10;

enum Message {
    Line(Vec<u8>),
    /// Says when all that came before is written.
    Flush(Sender<()>),
}

/// Where lines go; a copy goes to the same place.
#[derive(Debug, Clone)]
pub struct LogLines {
    room: usize,
    queue: Sender<Message>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    /// Bytes that wait.
    waiting: AtomicUsize,
    /// Lines that found no room, or could not be written.
    dropped: AtomicU64,
}

impl LogLines {
    /// Begins to write to `out`; so many bytes may wait for it. Once it takes lines again after some were dropped, `say` is told how
    /// many there were so far.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub fn begin(
        mut out: impl Write + Send + 'static,
        room: usize,
        say: impl Fn(u64) + Send + 'static,
    ) -> io::Result<Self> {
        let (queue, lines) = channel();
        let counts = Arc::new(Counts::default());
        let shared = Arc::clone(&counts);
        let write = move || {
            let mut said = 0;
            for message in lines {
                match message {
                    Message::Line(lines) => {
                        let unwritten = put(&mut out, &lines);
                        // Relaxed: numbers on their own; the channel carries the lines.
                        shared.waiting.fetch_sub(lines.len(), Relaxed);
                        shared.dropped.fetch_add(unwritten, Relaxed);
                        let dropped = shared.dropped.load(Relaxed);
                        // Not while it fails: what is said goes the same way.
                        if dropped != said && unwritten == 0 {
                            said = dropped;
                            say(dropped);
                        }
                    }
                    Message::Flush(done) => drop(done.send(())),
                }
            }
        };
        thread::Builder::new()
            .name("tpp-log".to_owned())
            .stack_size(STACK)
            .spawn(write)?;
        Ok(Self {
            room,
            queue,
            counts,
        })
    }

    /// Lines dropped so far.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        // Relaxed: a number on its own.
        self.counts.dropped.load(Relaxed)
    }

    /// Takes whole lines. Never fails nor waits.
    pub fn take(&self, lines: Vec<u8>) {
        let (length, count) = (lines.len(), count(&lines));
        // Relaxed: the bound may be missed by what several threads write at once.
        let waiting = self.counts.waiting.fetch_add(length, Relaxed);
        let is_taken = waiting < self.room && self.queue.send(Message::Line(lines)).is_ok();
        if !is_taken {
            self.counts.waiting.fetch_sub(length, Relaxed);
            self.counts.dropped.fetch_add(count, Relaxed);
        }
    }

    /// Waits until all lines so far are written, but no longer than `limit`. Before a process ends.
    pub fn flush(&self, limit: Duration) {
        let (done, written) = channel();
        if self.queue.send(Message::Flush(done)).is_ok() {
            // A reader that stands still has had its time.
            let _ = written.recv_timeout(limit);
        }
    }
}

/// Writes `lines`. Returns how many of them could not be.
fn put(out: &mut impl Write, lines: &[u8]) -> u64 {
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
        let mut lines = LogLines::begin(writer, ROOM, |_| {}).unwrap();
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
        let lines = LogLines::begin(Full(rooms), ROOM, say).unwrap();
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
        let mut lines = LogLines::begin(writer, ROOM, say).unwrap();
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
