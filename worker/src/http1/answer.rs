//! The upstream's answer head, read: strictly in what frames it, and with patience for what cannot be mistaken.

use std::{hint::cold_path, mem::MaybeUninit, time::Duration};

use httparse::{Header, ParserConfig, Status};

use crate::{
    http1::body::{Body, Frame},
    http1::request::Request,
    message::field::Field,
    message::grpc,
    message::headers::{FIELD_LIMIT, HEAD_LIMIT, Options, content_length, list},
    rarely::{Likely as _, seldom},
};

/// What the rest of the exchange has to know about an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The status by which it is judged: that of gRPC, if it is a trailer alone.
    pub(crate) meaning: u16,
    /// Its body, as the upstream sends it.
    pub(crate) body: Body,
    /// How the body is written to the client.
    pub(crate) frame: Frame,
    /// The upstream will take another request on the connection.
    pub(crate) upstream_stays: bool,
    /// For how long, if it says so.
    pub(crate) keep_for: Option<Duration>,
    /// Of one that says "too many requests": how long the upstream wants to be spared, if it says so.
    pub(crate) asked_wait: Option<Duration>,
    /// The client was told, or knows by its version or the framing, that its connection ends with the answer.
    pub(crate) client_closes: bool,
}

/// A head that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Head {
    /// 1xx: another head follows. The connection ends with the answer if it `closes`.
    Interim { closes: bool },
    /// 101: from here on the connection is a WebSocket.
    Switched,
    /// The answer.
    Final(Answer),
}

impl Head {
    /// Whether it says that the server failed, not the client.
    pub(crate) fn is_failure(&self) -> bool {
        matches!(self, Self::Final(answer) if answer.meaning >= 500)
    }

    /// For how long the upstream says that it keeps the connection.
    pub(crate) fn keep_for(&self) -> Option<Duration> {
        match self {
            Self::Final(answer) => answer.keep_for,
            Self::Switched | Self::Interim { .. } => None,
        }
    }

    /// Its status; of a head before the answer's the one that such a head is passed on with.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Final(answer) => answer.status,
            Self::Switched | Self::Interim { .. } => 101,
        }
    }
}

/// The upstream does not speak HTTP/1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nonsense(pub(crate) &'static str);

impl Nonsense {
    /// For this reason.
    #[inline]
    pub(crate) const fn because(details: &'static str) -> Self {
        cold_path();
        Self(details)
    }
}

/// Whether it begins with a version of HTTP/1 later than 1.1.
pub(crate) fn is_of_later_version(bytes: &[u8]) -> bool {
    bytes.starts_with(b"HTTP/1.") && matches!(bytes.get(7), Some(b'2'..=b'9'))
}

/// Where the fields of a head are put while it is read.
pub(crate) struct Room<'a> {
    fields: [MaybeUninit<Header<'a>>; FIELD_LIMIT],
    known: [Field; FIELD_LIMIT],
}

impl Room<'_> {
    pub(crate) const fn new() -> Self {
        Self {
            fields: [const { MaybeUninit::uninit() }; FIELD_LIMIT],
            known: [Field::Other; FIELD_LIMIT],
        }
    }
}

/// An answer's head as it came, and what its fields say, taken together.
pub(crate) struct AnswerHead<'a> {
    pub(crate) status: u16,
    pub(crate) reason: &'a str,
    is_old: bool,
    /// All that was read of it, and perhaps what follows.
    pub(crate) bytes: &'a [u8],
    known: &'a [Field],
    fields: &'a [Header<'a>],
    pub(crate) options: Options<'a>,
    pub(crate) length: Option<u64>,
    /// The length is said in one line, in the digits in which it would be written.
    pub(crate) is_length_plain: bool,
    pub(crate) is_chunked: bool,
    /// It names the coding that is none, which newer servers may not.
    is_identity: bool,
    pub(crate) has_date: bool,
    of_grpc: Option<u16>,
    keep_for: Option<Duration>,
}

/// Reads the head at the front of `bytes`; `None`: it has not ended yet. Also returns its length.
// Here: what it returns is too large to be moved for nothing.
#[inline(always)]
pub(crate) fn read<'a>(
    bytes: &'a [u8],
    room: &'a mut Room<'a>,
) -> Result<Option<(AnswerHead<'a>, usize)>, Nonsense> {
    let mut parsed = httparse::Response::new(&mut []);
    let mut parser = ParserConfig::default();
    // No harm: the line is written anew.
    parser.allow_spaces_after_header_name_in_responses(true);
    let status = parser.parse_response_with_uninit_headers(&mut parsed, bytes, &mut room.fields);
    let length = match status {
        Ok(Status::Complete(length)) if length <= HEAD_LIMIT => length,
        Ok(Status::Partial) if bytes.len() < HEAD_LIMIT => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => {
            return Err(Nonsense::because("the head of the answer is too large"));
        }
        Err(error) => return Err(Nonsense::because(describe(error))),
    };
    let (Some(status), Some(version)) = (parsed.code, parsed.version) else {
        return Err(Nonsense::because("the head of the answer is incomplete"));
    };
    let fields = &*parsed.headers;
    let mut head = AnswerHead {
        status,
        reason: parsed.reason.unwrap_or(""),
        is_old: version == 0,
        bytes,
        known: &[],
        fields,
        options: Options::default(),
        length: None,
        is_length_plain: false,
        is_chunked: false,
        is_identity: false,
        has_date: false,
        of_grpc: None,
        keep_for: None,
    };
    let known = &mut room.known[..fields.len()];
    for (known, field) in known.iter_mut().zip(fields) {
        *known = Field::by_name(field.name.as_bytes());
        head.add(*known, field.value).likely()?;
    }
    head.known = known;
    Ok(Some((head, length)))
}

fn describe(error: httparse::Error) -> &'static str {
    match error {
        httparse::Error::HeaderName => {
            "a field name in the head of the answer holds a forbidden byte, or its line is folded"
        }
        httparse::Error::HeaderValue => {
            "a field value in the head of the answer holds a forbidden byte"
        }
        httparse::Error::NewLine => "a line end in the head of the answer is malformed",
        httparse::Error::Status => "the status in the head of the answer is not a number",
        httparse::Error::Version => "it does not begin with HTTP/1.1 or HTTP/1.0",
        _ => "the head of the answer is malformed",
    }
}

impl<'a> AnswerHead<'a> {
    /// The fields, with what each means.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (Field, &Header<'a>)> {
        self.known.iter().copied().zip(self.fields)
    }

    fn add(&mut self, field: Field, value: &'a [u8]) -> Result<(), Nonsense> {
        match field {
            Field::Connection => self.options.add(value),
            Field::ContentLength => {
                let length = content_length(value)
                    .ok_or_else(|| Nonsense::because("its Content-Length is not a number"))?;
                let other = self.length.replace(length);
                if other.is_some_and(|other| other != length) {
                    return Err(Nonsense::because("it has two different Content-Lengths"));
                }
                self.is_length_plain = other.is_none() && (value[0] != b'0' || value.len() == 1);
            }
            Field::TransferEncoding if self.is_chunked || self.is_identity => {
                return Err(Nonsense::because(
                    "it has more than one Transfer-Encoding line",
                ));
            }
            Field::TransferEncoding if value.eq_ignore_ascii_case(b"chunked") => {
                self.is_chunked = true;
            }
            Field::TransferEncoding if value.eq_ignore_ascii_case(b"identity") => {
                self.is_identity = true;
            }
            Field::TransferEncoding => {
                return Err(Nonsense::because(
                    "its Transfer-Encoding line is not plainly chunked",
                ));
            }
            Field::KeepAlive => self.keep_for = keep_for(value).or(self.keep_for),
            Field::Date => self.has_date = true,
            Field::GrpcStatus => self.is_of_grpc(value),
            _ => {}
        }
        Ok(())
    }

    fn asked_wait(&self) -> Option<Duration> {
        if self.status == 429 {
            self.retry_after()
        } else {
            None
        }
    }

    #[cold]
    fn retry_after(&self) -> Option<Duration> {
        let mut fields = self.fields.iter();
        let field = fields.find(|field| field.name.eq_ignore_ascii_case("retry-after"))?;
        tpp::retry_after::read(field.value)
    }

    // Apart from the way of the many that are not.
    #[inline(never)]
    fn is_of_grpc(&mut self, status: &[u8]) {
        self.of_grpc = grpc::status_of_http(status);
    }

    /// What it means to the exchange; the client's connection ends with it if `close`.
    pub(crate) fn answer(&self, request: &Request, close: bool) -> Answer {
        let is_bare = matches!(self.status, 204 | 304);
        let body = if request.is_head || is_bare {
            Body::EMPTY
        } else if self.is_chunked {
            // A field for the next hop only may stand in the trailer, too.
            if seldom(self.options.nominates()) {
                Body::CHUNKED_LENIENT.without_trailer()
            } else {
                Body::CHUNKED_LENIENT
            }
        } else {
            self.length.map_or(Body::UntilClose, Body::Length)
        };
        let is_measured = matches!(body, Body::Length(_));
        let is_coded = self.is_chunked || self.is_identity;
        let announces_body = is_coded || self.length.is_some_and(|length| length > 0);
        // What follows is anybody's guess: two lengths, a coding that HTTP/1.0 does not know or nobody any more (RFC 9112,
        // 6.1 and 6.3), a body announced where none may be, which could come yet.
        let is_doubtful = is_coded && (self.length.is_some() || self.is_old)
            || self.is_identity
            || is_bare && announces_body;
        Answer {
            status: self.status,
            meaning: match self.status {
                200 => self.of_grpc.unwrap_or(200),
                status => status,
            },
            body,
            frame: if is_measured || request.is_old {
                Frame::Plain
            } else {
                Frame::Chunked
            },
            upstream_stays: !self.options.close
                && (!self.is_old || self.options.keep_alive)
                && body != Body::UntilClose
                && !is_doubtful,
            keep_for: self.keep_for,
            asked_wait: self.asked_wait(),
            // Without chunks only the connection's end can end a body of unknown length.
            client_closes: close || !request.keep_alive || request.is_old && !is_measured,
        }
    }
}

/// The time that a `Keep-Alive` value allows a connection to be idle.
fn keep_for(value: &[u8]) -> Option<Duration> {
    list(value).find_map(|parameter| {
        let (name, seconds) = parameter.split_at_checked(b"timeout=".len())?;
        let seconds = name
            .eq_ignore_ascii_case(b"timeout=")
            .then(|| content_length(seconds))??;
        Some(Duration::from_secs(seconds))
    })
}
