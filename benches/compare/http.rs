//! As much of HTTP/1.1 as the measurements need: requests without a body, answers with a Content-Length.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::Result;

/// An answer under way.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    bytes: Vec<u8>,
    head: Option<Head>,
}

#[derive(Debug, Clone, Copy)]
struct Head {
    status: u16,
    length: usize,
    body: usize,
}

impl Answer {
    /// Forgets the answer, to take the next one.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.head = None;
    }

    /// Reads once from `source`; true when the answer is whole.
    ///
    /// # Errors
    /// The connection broke or ended, or this is no answer that the measurements know.
    pub(crate) fn read_some(&mut self, source: &mut impl Read) -> io::Result<bool> {
        let mut chunk = [0; 4096];
        let count = source.read(&mut chunk)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.bytes.extend_from_slice(&chunk[..count]);
        if self.head.is_none() {
            self.head = Head::parse(&self.bytes)?;
        }
        Ok(self
            .head
            .is_some_and(|head| self.bytes.len() >= head.body + head.length))
    }

    /// Status of a whole answer; 0 before that.
    pub(crate) fn status(&self) -> u16 {
        self.head.map_or(0, |head| head.status)
    }

    /// Body of a whole answer.
    pub(crate) fn body(&self) -> &[u8] {
        self.head
            .map_or(&[], |head| &self.bytes[head.body..head.body + head.length])
    }
}

impl Head {
    /// The head in `bytes`, or `None` while it is not whole.
    fn parse(bytes: &[u8]) -> io::Result<Option<Self>> {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Ok(None);
        };
        let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let text = str::from_utf8(&bytes[..end]).map_err(|_| bad("answer's head is not text"))?;
        let status = text
            .get(9..12)
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(|| bad("no status"))?;
        let length = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.trim().parse().ok())
            .ok_or_else(|| bad("no Content-Length"))?;
        Ok(Some(Self {
            status,
            length,
            body: end + 4,
        }))
    }
}

/// The bytes of `GET path`, with `headers` (each line ended by CRLF) besides Host.
pub(crate) fn request(path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: bench\r\n{headers}\r\n").into_bytes()
}

/// Sends `request` and reads the answer into `answer`, on a blocking stream.
pub(crate) fn exchange(
    mut stream: &TcpStream,
    request: &[u8],
    answer: &mut Answer,
) -> io::Result<()> {
    answer.clear();
    stream.write_all(request)?;
    while !answer.read_some(&mut stream)? {}
    Ok(())
}

/// `GET path` on a connection of its own: status and body.
pub(crate) fn get(address: SocketAddr, path: &str) -> Result<(u16, String)> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut answer = Answer::default();
    exchange(&stream, &request(path, ""), &mut answer)?;
    Ok((
        answer.status(),
        String::from_utf8_lossy(answer.body()).into_owned(),
    ))
}
