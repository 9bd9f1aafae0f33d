//! A client on a raw socket, so that it can also do what no library lets one do: leave in mid-request, reset,
//! shut one side, send byte by byte, send nonsense.

use std::{
    io::{self, BufRead, BufReader, ErrorKind, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpStream},
    os::fd::AsRawFd as _,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use super::{
    http::{Framing, Head, read_body, read_head},
    message::{Answer, Request},
    patience,
    upstream::{ConnId, Oracle, Upstream},
};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, SockaddrStorage, bind, connect, setsockopt,
    socket, sockopt,
};

/// Connections of this test process so far: 0 means none.
static LAST_CONN: AtomicU64 = AtomicU64::new(0);

/// One connection to a server. Dropped, it closes, and the oracle knows of it first.
#[derive(Debug)]
pub(crate) struct Client {
    reader: BufReader<TcpStream>,
    id: ConnId,
    sent: u64,
    /// Final answers of which the head was read, and that were read to their end.
    begun: u64,
    answered: u64,
    oracle: Option<Oracle>,
}

/// The name of a connection that is not this kind of client's.
pub(crate) fn next_conn() -> ConnId {
    LAST_CONN.fetch_add(1, Relaxed) + 1
}

// === impl Client ===

impl Client {
    /// A connection that no oracle watches.
    #[track_caller]
    pub(crate) fn connect(to: SocketAddr) -> Self {
        Self::try_connect(to).unwrap_or_else(|error| panic!("connect to {to}: {error}"))
    }

    /// The same, where it may fail.
    pub(crate) fn try_connect(to: SocketAddr) -> io::Result<Self> {
        Self::over(TcpStream::connect(to)?)
    }

    /// The same, from one of this machine's addresses.
    #[track_caller]
    pub(crate) fn connect_from(from: Ipv4Addr, to: SocketAddr) -> Self {
        let connect = || {
            let socket = socket(
                AddressFamily::Inet,
                SockType::Stream,
                SockFlag::SOCK_CLOEXEC,
                None,
            )?;
            bind(
                socket.as_raw_fd(),
                &SockaddrIn::from(SocketAddrV4::new(from, 0)),
            )?;
            connect(socket.as_raw_fd(), &SockaddrStorage::from(to))?;
            Self::over(socket.into())
        };
        connect().unwrap_or_else(|error| panic!("connect to {to} from {from}: {error}"))
    }

    fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience()))?;
        stream.set_write_timeout(Some(patience()))?;
        Ok(Self {
            reader: BufReader::new(stream),
            id: next_conn(),
            sent: 0,
            begun: 0,
            answered: 0,
            oracle: None,
        })
    }

    /// A connection to `to` that `upstream`, behind it, watches.
    #[track_caller]
    pub(crate) fn connect_watched(to: SocketAddr, upstream: &Upstream) -> Self {
        let client = Self::try_connect_watched(to, upstream.oracle());
        client.unwrap_or_else(|error| panic!("connect to {to}: {error}"))
    }

    /// The same, where it may fail.
    pub(crate) fn try_connect_watched(to: SocketAddr, oracle: &Oracle) -> io::Result<Self> {
        let mut client = Self::try_connect(to)?;
        oracle.enters(client.id, client.stream());
        client.oracle = Some(oracle.clone());
        Ok(client)
    }

    pub(crate) fn id(&self) -> ConnId {
        self.id
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    /// True if the other side has neither closed nor sent anything that is still unread.
    pub(crate) fn is_idle(&self) -> bool {
        let stream = self.stream();
        let look = || {
            stream.set_nonblocking(true)?;
            let seen = stream.peek(&mut [0]);
            stream.set_nonblocking(false)?;
            seen
        };
        let nothing = look().is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        nothing && self.reader.buffer().is_empty()
    }

    /// True if an answer's head was read, but not its end.
    pub(crate) fn is_within_an_answer(&self) -> bool {
        self.begun > self.answered
    }

    /// This end's port, by which the system knows the connection.
    pub(crate) fn port(&self) -> u16 {
        let address = self.stream().local_addr();
        address.map_or(0, |address| address.port())
    }

    /// Puts bytes on the wire as they are.
    #[track_caller]
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.try_send_raw(bytes)
            .unwrap_or_else(|error| panic!("send {} bytes: {error}", bytes.len()));
    }

    /// The same, where it may fail.
    pub(crate) fn try_send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    /// Sends a request without waiting for its answer.
    #[track_caller]
    pub(crate) fn send(&mut self, request: &Request) {
        let bytes = self.bytes_of(request);
        self.send_raw(&bytes);
    }

    /// Sends a request's head alone.
    #[track_caller]
    pub(crate) fn send_head(&mut self, request: &Request) {
        self.sent += 1;
        let head = request.head(self.id, self.sent);
        self.send_raw(head.as_bytes());
    }

    /// The bytes of this connection's next request.
    pub(crate) fn bytes_of(&mut self, request: &Request) -> Vec<u8> {
        self.sent += 1;
        let mut bytes = request.head(self.id, self.sent).into_bytes();
        bytes.extend(request.body());
        bytes
    }

    /// Sends a request and reads its answer.
    #[track_caller]
    pub(crate) fn ask(&mut self, request: &Request) -> Answer {
        let answer = self.try_ask(request);
        answer.unwrap_or_else(|error| panic!("{} {}: {error}", request.method, request.target))
    }

    /// The same, where it may fail.
    pub(crate) fn try_ask(&mut self, request: &Request) -> io::Result<Answer> {
        let bytes = self.bytes_of(request);
        self.try_send_raw(&bytes)?;
        if request.method == "HEAD" {
            self.read_answer_to_head()
        } else {
            self.try_read_answer()
        }
    }

    #[track_caller]
    pub(crate) fn get(&mut self, target: &str) -> Answer {
        self.ask(&Request::get(target))
    }

    /// Reads the next final answer; 1xx ones before it are passed over.
    #[track_caller]
    pub(crate) fn read_answer(&mut self) -> Answer {
        let (conn, seq) = (self.id, self.sent);
        self.try_read_answer()
            .unwrap_or_else(|error| panic!("connection {conn}, answer {seq}: {error}"))
    }

    fn read_answer_to_head(&mut self) -> io::Result<Answer> {
        let (status, head) = self.read_final_head()?;
        let body = Vec::new();
        Ok(self.note_answer(Answer { status, head, body }))
    }

    /// An answer was read to its end.
    fn note_answer(&mut self, answer: Answer) -> Answer {
        self.answered += 1;
        if let Some(oracle) = self.oracle.as_ref().filter(|_| answer.closes()) {
            oracle.told_to_close(self.id);
        }
        answer
    }

    /// [`Self::read_answer`], where it may fail.
    pub(crate) fn try_read_answer(&mut self) -> io::Result<Answer> {
        let (status, head) = self.read_final_head()?;
        let bodiless = matches!(status, 101 | 204 | 304);
        let without = if bodiless {
            Framing::Empty
        } else {
            Framing::UntilClose
        };
        let framing = head
            .framing(without)
            .map_err(|what| io::Error::new(ErrorKind::InvalidData, what))?;
        let mut body = Vec::new();
        read_body(&mut self.reader, framing, |piece| {
            body.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(self.note_answer(Answer { status, head, body }))
    }

    fn read_final_head(&mut self) -> io::Result<(u16, Head)> {
        loop {
            let (status, head) = self.read_any_head()?;
            if status == 101 || !(100..200).contains(&status) {
                self.begun += 1;
                return Ok((status, head));
            }
        }
    }

    /// Reads the next head, 1xx ones too.
    pub(crate) fn read_any_head(&mut self) -> io::Result<(u16, Head)> {
        let raw = read_head(&mut self.reader)?
            .ok_or_else(|| io::Error::new(ErrorKind::UnexpectedEof, "closed before an answer"))?;
        let head =
            Head::parse(&raw).map_err(|what| io::Error::new(ErrorKind::InvalidData, what))?;
        let status = head
            .line
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let status =
            status.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, head.line.clone()))?;
        Ok((status, head))
    }

    /// Reads exactly so many bytes.
    #[track_caller]
    pub(crate) fn read_raw(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.reader
            .read_exact(&mut bytes)
            .unwrap_or_else(|error| panic!("read {length} bytes: {error}"));
        bytes
    }

    /// Takes as little in advance as the system allows, so that whoever sends notices that nobody reads.
    pub(crate) fn narrow(&self) {
        setsockopt(self.stream(), sockopt::RcvBuf, &4096).expect("a TCP socket takes SO_RCVBUF");
    }

    /// Takes at most `most` bytes of what is there, and waits for none.
    pub(crate) fn sip(&mut self, most: usize) -> io::Result<usize> {
        let mut stream = self.reader.get_ref();
        stream.set_nonblocking(true)?;
        let taken = stream.read(&mut vec![0; most]);
        stream.set_nonblocking(false)?;
        taken
    }

    /// What the connection does from now on, the oracle is told, is that of a client that has left.
    pub(crate) fn forsake(&mut self) {
        self.say_goodbye();
    }

    /// Reads until the other side closes; a reset counts as that.
    #[track_caller]
    pub(crate) fn read_to_close(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.reader.read_to_end(&mut bytes) {
            Err(error) if error.kind() != ErrorKind::ConnectionReset => {
                panic!(
                    "the connection is not closed: {error}, after {:?}",
                    String::from_utf8_lossy(&bytes)
                )
            }
            _ => bytes,
        }
    }

    /// Reads what comes until the other side closes or has plainly served the request.
    #[track_caller]
    pub(crate) fn read_verdict(&mut self) -> String {
        let mut bytes = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&bytes);
            if text.starts_with("HTTP/1.1 2") && text.contains("\r\n\r\n") {
                return text.into_owned();
            }
            match self.reader.fill_buf() {
                Ok([]) => return text.into_owned(),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    return text.into_owned();
                }
                Err(error) => panic!("neither served nor closed: {error}, after {text:?}"),
                Ok(piece) => bytes.extend_from_slice(piece),
            }
            self.reader.consume(self.reader.buffer().len());
        }
    }

    /// Shuts the sending side; to the oracle this is the end.
    pub(crate) fn half_close(&mut self) {
        self.say_goodbye();
        drop(self.stream().shutdown(Shutdown::Write));
    }

    /// Ends with RST instead of FIN.
    pub(crate) fn reset(mut self) {
        self.say_goodbye();
        let linger = nix::libc::linger {
            l_onoff: 1,
            l_linger: 0,
        };
        setsockopt(self.stream(), sockopt::Linger, &linger).expect("a TCP socket takes SO_LINGER");
    }

    fn say_goodbye(&mut self) {
        if let Some(oracle) = self.oracle.take() {
            oracle.leaves(self.id, self.answered < self.sent);
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.say_goodbye();
    }
}
