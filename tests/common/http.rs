//! HTTP/1.1 on the wire, as the harness's clients and its upstream both need it: strict in what it takes, so
//! that whatever is ambiguous shows, and with the raw bytes kept for the message when it is.

use std::io::{self, BufRead, ErrorKind, Read};

/// Longest head that is read at all.
const MAX_HEAD: usize = 4 << 20;

/// A request's or an answer's first line and header fields, in the order in which they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) line: String,
    pub(crate) fields: Vec<(String, String)>,
}

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Empty,
    Length(u64),
    Chunked,
    UntilClose,
}

impl Head {
    /// Reads a head strictly: CRLF line ends, field names of token characters, no folding, no control characters.
    pub(crate) fn parse(raw: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(raw).map_err(|_| "not UTF-8".to_owned())?;
        let text = text
            .strip_suffix("\r\n\r\n")
            .ok_or("does not end with an empty line")?;
        let mut lines = text.split("\r\n");
        let line = lines.next().unwrap_or_default().to_owned();
        let fields = lines.map(parse_field).collect::<Result<Vec<_>, _>>()?;
        match line.bytes().find(u8::is_ascii_control) {
            Some(byte) => Err(format!("byte {byte:#04x} in the first line")),
            None => Ok(Self { line, fields }),
        }
    }

    /// The first field of this name.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// Every field of this name, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let named = self
            .fields
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// True if a comma-separated field of this name lists `token`.
    pub(crate) fn lists(&self, name: &str, token: &str) -> bool {
        let mut listed = self
            .all(name)
            .into_iter()
            .flat_map(|value| value.split(','));
        listed.any(|part| part.trim().eq_ignore_ascii_case(token))
    }

    /// How the body ends that follows this head, if neither side may be in doubt of it.
    pub(crate) fn framing(&self, without: Framing) -> Result<Framing, String> {
        match (
            self.all("transfer-encoding").as_slice(),
            self.all("content-length").as_slice(),
        ) {
            ([], []) => Ok(without),
            (["chunked"], []) => Ok(Framing::Chunked),
            ([], [length]) if length.bytes().all(|byte| byte.is_ascii_digit()) => length
                .parse()
                .map(Framing::Length)
                .map_err(|_| format!("Content-Length: {length}")),
            (codings, lengths) => Err(format!(
                "Transfer-Encoding {codings:?} with Content-Length {lengths:?}"
            )),
        }
    }
}

fn parse_field(line: &str) -> Result<(String, String), String> {
    let (name, value) = line
        .split_once(':')
        .ok_or_else(|| format!("field without colon: {line:?}"))?;
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(format!("field name {name:?}"));
    }
    if value
        .bytes()
        .any(|byte| byte.is_ascii_control() && byte != b'\t')
    {
        return Err(format!("control character in the value of {name}"));
    }
    Ok((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
}

/// Reads up to and with the first empty line, whether lines end in CRLF or LF. `None`: the peer closed before the first byte.
pub(crate) fn read_head(from: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut raw = Vec::new();
    loop {
        let start = raw.len();
        from.by_ref()
            .take(MAX_HEAD as u64)
            .read_until(b'\n', &mut raw)?;
        match &raw[start..] {
            [] if start == 0 => return Ok(None),
            b"\r\n" | b"\n" if start > 0 => return Ok(Some(raw)),
            line if !line.ends_with(b"\n") || raw.len() > MAX_HEAD => {
                return Err(broken(format!("head broken off after {} bytes", raw.len())));
            }
            _ => {}
        }
    }
}

/// Reads a body to its end and hands on each piece as it comes.
pub(crate) fn read_body(
    from: &mut impl BufRead,
    framing: Framing,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    match framing {
        Framing::Empty => Ok(()),
        Framing::Length(length) => read_exactly(from, length, &mut each),
        Framing::UntilClose => read_all(from, &mut each),
        Framing::Chunked => loop {
            let size = read_chunk_size(from)?;
            read_exactly(from, size, &mut each)?;
            expect_crlf(from)?;
            if size == 0 {
                return Ok(());
            }
        },
    }
}

/// The size line of a chunk. Extensions are not taken: a proxy has no cause to send one on.
fn read_chunk_size(from: &mut impl BufRead) -> io::Result<u64> {
    let mut line = Vec::new();
    from.by_ref().take(64).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Err(io::Error::new(
            ErrorKind::UnexpectedEof,
            "body broken off between two chunks",
        ));
    }
    let text = std::str::from_utf8(&line)
        .ok()
        .and_then(|text| text.strip_suffix("\r\n"));
    let digits = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let size = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    size.ok_or_else(|| {
        broken(format!(
            "chunk size line {:?}",
            String::from_utf8_lossy(&line)
        ))
    })
}

fn expect_crlf(from: &mut impl BufRead) -> io::Result<()> {
    let mut end = [0; 2];
    from.read_exact(&mut end)?;
    if &end == b"\r\n" {
        Ok(())
    } else {
        Err(broken(format!("{end:?} where a chunk ends")))
    }
}

fn read_exactly(
    from: &mut impl BufRead,
    mut left: u64,
    each: &mut impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    while left > 0 {
        let piece = from.fill_buf()?;
        if piece.is_empty() {
            return Err(io::Error::new(
                ErrorKind::UnexpectedEof,
                format!("body broken off, {left} bytes missing"),
            ));
        }
        let taken = usize::try_from(left).map_or(piece.len(), |left| left.min(piece.len()));
        each(&piece[..taken])?;
        from.consume(taken);
        left -= taken as u64;
    }
    Ok(())
}

fn read_all(
    from: &mut impl BufRead,
    each: &mut impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    loop {
        let piece = from.fill_buf()?;
        if piece.is_empty() {
            return Ok(());
        }
        each(piece)?;
        let taken = piece.len();
        from.consume(taken);
    }
}

fn broken(what: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

/// `length` bytes that are easy to check and differ from place to place.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    const LINE: usize = 997;
    let cycle: Vec<u8> = (b'a'..=b'z').cycle().take(LINE + 26).collect();
    let mut bytes = Vec::with_capacity(length + LINE);
    for line in 0..length.div_ceil(LINE) {
        // Each line begins one letter further on than the one before ended.
        let first = line * (LINE + 1) % 26;
        bytes.extend_from_slice(&cycle[first..first + LINE]);
    }
    bytes.truncate(length);
    bytes
}
