//! A second reader of HTTP/1.1, written from RFC 9112 alone and without any tolerance, to judge what the worker writes.

/// A message head, split and nothing more.
#[derive(Debug)]
pub(super) struct Head<'a> {
    /// The three parts of its first line.
    pub(super) start: [&'a [u8]; 3],
    pub(super) fields: Vec<(String, &'a [u8])>,
}

/// Whether a field name, or a method, may hold `byte`.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether a field value may hold `byte`.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || byte >= b' ' && byte != 0x7f
}

/// Splits the first line off; its end is CR LF, and it holds neither alone.
fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes
        .iter()
        .position(|&byte| byte == b'\r' || byte == b'\n')?;
    bytes[end..]
        .starts_with(b"\r\n")
        .then(|| (&bytes[..end], &bytes[end + 2..]))
}

/// Reads a head; `None`: it is not exactly as the grammar has it.
pub(super) fn head(bytes: &[u8]) -> Option<(Head<'_>, &[u8])> {
    let (start, mut rest) = line(bytes)?;
    let mut parts = start.splitn(3, |&byte| byte == b' ');
    let start = [parts.next()?, parts.next()?, parts.next()?];
    let mut fields = Vec::new();
    loop {
        let (field, after) = line(rest)?;
        rest = after;
        if field.is_empty() {
            return Some((Head { start, fields }, rest));
        }
        let colon = field.iter().position(|&byte| byte == b':')?;
        let (name, value) = (&field[..colon], field[colon + 1..].trim_ascii());
        if name.is_empty()
            || !name.iter().copied().all(is_token)
            || !value.iter().copied().all(is_text)
        {
            return None;
        }
        fields.push((String::from_utf8_lossy(name).to_ascii_lowercase(), value));
    }
}

impl<'a> Head<'a> {
    /// The values of all fields called `name`, which is in lower case.
    pub(super) fn all(&self, name: &str) -> Vec<&'a [u8]> {
        let named = self.fields.iter().filter(|(field, _)| field == name);
        named.map(|(_, value)| *value).collect()
    }

    /// Whether its first line is a request's.
    pub(super) fn is_request(&self) -> bool {
        let [method, target, version] = self.start;
        let is_visible = |byte: &u8| *byte > b' ' && *byte != 0x7f;
        !method.is_empty()
            && method.iter().copied().all(is_token)
            && !target.is_empty()
            && target.iter().all(is_visible)
            && version == b"HTTP/1.1"
    }

    /// The status, if its first line is an answer's.
    pub(super) fn status(&self) -> Option<u16> {
        let [version, status, reason] = self.start;
        let is_sound = version == b"HTTP/1.1"
            && status.len() == 3
            && status.iter().all(u8::is_ascii_digit)
            && reason.iter().copied().all(is_text);
        let digits = status.iter().map(|digit| u16::from(digit - b'0'));
        is_sound.then(|| digits.fold(0, |status, digit| status * 10 + digit))
    }

    /// How its fields frame a body.
    pub(super) fn framing(&self) -> Framing {
        match (
            &self.all("content-length")[..],
            &self.all("transfer-encoding")[..],
        ) {
            ([], []) => Framing::None,
            ([length], []) => number(length, 10).map_or(Framing::Wrong, Framing::Length),
            ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") => Framing::Chunked,
            _ => Framing::Wrong,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    None,
    Length(u64),
    Chunked,
    /// Two, or one that means nothing.
    Wrong,
}

fn number(digits: &[u8], radix: u32) -> Option<u64> {
    let is_sound = !digits.is_empty()
        && digits
            .iter()
            .all(|digit| char::from(*digit).is_digit(radix));
    let text = std::str::from_utf8(digits).ok()?;
    is_sound.then(|| u64::from_str_radix(text, radix).ok())?
}

/// The content of a chunked body without extensions, and what follows it; `None`: it is none. Its trailer may hold nothing that
/// would frame, route or authorize.
pub(super) fn chunked(mut bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut content = Vec::new();
    loop {
        let (size, rest) = line(bytes)?;
        let size = usize::try_from(number(size, 16)?).ok()?;
        if size == 0 {
            return Some((content, after_trailer(rest)?));
        }
        content.extend_from_slice(rest.get(..size)?);
        bytes = rest[size..].strip_prefix(b"\r\n")?;
    }
}

fn after_trailer(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        let (field, rest) = line(bytes)?;
        if field.is_empty() {
            return Some(rest);
        }
        let colon = field.iter().position(|&byte| byte == b':')?;
        let (name, value) = (&field[..colon], &field[colon + 1..]);
        let is_sound = !name.is_empty()
            && name.iter().copied().all(is_token)
            && value.iter().copied().all(is_text);
        let name = String::from_utf8_lossy(name)
            .to_ascii_lowercase()
            .replace('_', "-");
        let is_misplaced = [
            "content-length",
            "transfer-encoding",
            "host",
            "authorization",
            "x-forwarded-for",
        ];
        if !is_sound || is_misplaced.contains(&&*name) {
            return None;
        }
        bytes = rest;
    }
}
