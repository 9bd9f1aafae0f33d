//! A span, and the record in which it travels.

use crate::sync::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Words of a record; the models make do without long texts.
pub(super) const WORDS: usize = if cfg!(tpp_loom) { 10 } else { 48 };
const BYTES: usize = WORDS * size_of::<u64>();
/// Bytes before the texts: six words, then status, port, resends, kind, whether by TLS, version, and the lengths of the texts.
const HEAD: usize = 72;
const TEXTS: usize = 6;
/// Most bytes of one text, so that a long one leaves room for the others.
const LONGEST: usize = 100;

/// What a span is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// A request, from its head to the end of its answer.
    Server,
    /// In line for a token.
    TokenWait,
    /// In line for leave to be under way (`max_concurrent`).
    QueueWait,
    /// One attempt at a backend.
    Attempt,
}

impl SpanKind {
    const ALL: [Self; 4] = [
        Self::Server,
        Self::TokenWait,
        Self::QueueWait,
        Self::Attempt,
    ];
}

/// Which HTTP was spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    /// Not known: nobody was heard.
    #[default]
    Unknown,
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2.
    Http2,
}

impl Version {
    const ALL: [Self; 4] = [Self::Unknown, Self::Http10, Self::Http11, Self::Http2];

    /// As a request's line has it; empty: it is not known.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }

    /// Its number alone.
    #[must_use]
    pub fn number(self) -> &'static str {
        self.word().trim_start_matches("HTTP/")
    }
}

/// A span. Texts are as clients and configuration have them; a long one is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span<'a> {
    /// What it is of.
    pub kind: SpanKind,
    /// Of the whole trace; never 0.
    pub trace: u128,
    /// Its own; never 0.
    pub id: u64,
    /// The span that it is part of; 0: none.
    pub parent: u64,
    /// When it began, nanoseconds since 1970.
    pub began: u64,
    /// How long it lasted, nanoseconds.
    pub lasted: u64,
    /// Status of the answer; 0: there was none.
    pub status: u16,
    /// Port of the server that was asked; 0: not known.
    pub port: u16,
    /// How many attempts there were before.
    pub resends: u8,
    /// It was asked by TLS.
    pub is_tls: bool,
    /// By which HTTP.
    pub version: Version,
    /// Of the request.
    pub method: &'a [u8],
    /// Why it failed, in a word; empty: it did not.
    pub error: &'a [u8],
    /// The virtual host; of an attempt the backend's id.
    pub name: &'a [u8],
    /// Host of the server that was asked.
    pub host: &'a [u8],
    /// The client's address.
    pub client: &'a [u8],
    /// What was asked for, without the query.
    pub path: &'a [u8],
}

/// A span as it travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record([u8; BYTES]);

impl Record {
    /// Writes `span` down.
    #[must_use]
    pub fn of(span: &Span<'_>) -> Self {
        let mut bytes = [0; BYTES];
        let [high, low] = [(span.trace >> 64) as u64, span.trace as u64];
        let words = [high, low, span.id, span.parent, span.began, span.lasted];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes[48..50].copy_from_slice(&span.status.to_le_bytes());
        bytes[50..52].copy_from_slice(&span.port.to_le_bytes());
        bytes[52] = span.resends;
        bytes[53] = span.kind as u8;
        bytes[54] = span.is_tls.into();
        bytes[55] = span.version as u8;
        let texts = [
            span.method,
            span.error,
            span.name,
            span.host,
            span.client,
            span.path,
        ];
        let mut at = HEAD;
        for (index, text) in texts.into_iter().enumerate() {
            let length = text.len().min(LONGEST).min(BYTES - at);
            bytes[at..at + length].copy_from_slice(&text[..length]);
            // At most `LONGEST`.
            bytes[56 + index] = length as u8;
            at += length;
        }
        Self(bytes)
    }

    /// What was written down; `None`: it is no span.
    #[must_use]
    pub fn span(&self) -> Option<Span<'_>> {
        let word = |index: usize| {
            let bytes = self.0[index * 8..][..8].try_into();
            bytes.map_or(0, u64::from_le_bytes)
        };
        let half = |at: usize| u16::from_le_bytes([self.0[at], self.0[at + 1]]);
        let mut at = HEAD;
        let mut texts = [&[][..]; TEXTS];
        for (text, length) in texts.iter_mut().zip(&self.0[56..56 + TEXTS]) {
            *text = self.0.get(at..at + usize::from(*length))?;
            at += usize::from(*length);
        }
        let [method, error, name, host, client, path] = texts;
        let span = Span {
            kind: *SpanKind::ALL.get(usize::from(self.0[53]))?,
            trace: u128::from(word(0)) << 64 | u128::from(word(1)),
            id: word(2),
            parent: word(3),
            began: word(4),
            lasted: word(5),
            status: half(48),
            port: half(50),
            resends: self.0[52],
            is_tls: self.0[54] != 0,
            // What another tpp wrote has none.
            version: Version::ALL
                .get(usize::from(self.0[55]))
                .copied()
                .unwrap_or_default(),
            method,
            error,
            name,
            host,
            client,
            path,
        };
        (span.trace != 0 && span.id != 0).then_some(span)
    }

    pub(super) fn store(&self, words: &[AtomicU64; WORDS]) {
        for (word, bytes) in words.iter().zip(self.0.chunks_exact(8)) {
            let value = bytes.try_into().map_or(0, u64::from_le_bytes);
            // Relaxed: the ring's `written` publishes it.
            word.store(value, Relaxed);
        }
    }

    pub(super) fn load(words: &[AtomicU64; WORDS]) -> Self {
        let mut bytes = [0; BYTES];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            // Relaxed: see `store`.
            place.copy_from_slice(&word.load(Relaxed).to_le_bytes());
        }
        Self(bytes)
    }
}

#[cfg(all(test, not(tpp_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span() -> Span<'static> {
        Span {
            kind: SpanKind::Attempt,
            trace: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
            id: 0x00f0_67aa_0ba9_02b7,
            parent: 7,
            began: 1_795_664_412_045_000_001,
            lasted: 12_345,
            status: 502,
            port: 8848,
            resends: 1,
            is_tls: true,
            version: Version::Http2,
            method: b"GET",
            error: b"upstream_lost",
            name: b"web-v1",
            host: b"a.example",
            client: b"192.0.2.1",
            path: b"/a",
        }
    }

    #[test]
    fn a_span_is_read_as_it_was_written_and_a_long_text_cut() {
        assert_eq!(Record::of(&span()).span(), Some(span()));
        let long = [b'x'; 1000];
        let cut = Record::of(&Span {
            host: &long,
            name: &long,
            path: &long,
            ..span()
        });
        let cut = cut.span().expect("a span");
        assert_eq!((cut.name.len(), cut.host.len()), (LONGEST, LONGEST));
        assert_eq!((cut.client, cut.method), (&b"192.0.2.1"[..], &b"GET"[..]));
        assert!(cut.path.len() > 60, "{}", cut.path.len());
    }

    proptest! {
        #[test]
        fn whatever_lies_there_is_a_span_or_none(bytes in prop::collection::vec(any::<u8>(), BYTES)) {
            let record = Record(bytes.try_into().expect("so many"));
            if let Some(span) = record.span() {
                // Texts that are longer than one can be written are cut when they are written again.
                prop_assert!(Record::of(&span).span().is_some());
            }
        }
    }

    #[test]
    fn nothing_is_no_span() {
        assert_eq!(Record([0; BYTES]).span(), None);
        let nobody = Span { id: 0, ..span() };
        assert_eq!(Record::of(&nobody).span(), None);
    }
}
