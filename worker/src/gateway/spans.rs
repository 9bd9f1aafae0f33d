//! The spans of a request that is recorded: gathered on its way, written into the worker's ring at its end.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tpp::spans::{Record, Span, SpanKind, SpanRing, Version};

use crate::{
    access_log::line::{Line, path},
    clock::nanos,
    trace::{Trace, draw},
    view::backend::Backend,
};

/// Most parts of one request: more attempts than this are one.
const MOST_PARTS: usize = 32;

/// What it has gone through so far.
#[derive(Default)]
pub(crate) struct Spans(Vec<Part>);

struct Part {
    kind: SpanKind,
    id: u64,
    begun: Instant,
    ended: Option<Instant>,
    /// Of an attempt.
    backend: Option<Arc<Backend>>,
    status: u16,
    version: Version,
}

/// The request as a whole, at its end.
pub(crate) struct Whole<'a> {
    pub(crate) trace: &'a Trace,
    pub(crate) begun: Instant,
    /// The same since 1970.
    pub(crate) at: Duration,
    pub(crate) lasted: Duration,
    /// Whom it asked for.
    pub(crate) host: &'a [u8],
    pub(crate) line: &'a Line<'a>,
}

impl Spans {
    /// It has stood in a line for so long.
    pub(crate) fn waited(&mut self, kind: SpanKind, time: Duration) {
        let now = Instant::now();
        self.add(Part {
            kind,
            id: draw(),
            begun: now.checked_sub(time).unwrap_or(now),
            ended: Some(now),
            backend: None,
            status: 0,
            version: Version::Unknown,
        });
    }

    /// `backend` is tried from now on. Returns the span's number.
    pub(crate) fn tries(&mut self, backend: &Arc<Backend>, now: Instant) -> u64 {
        let id = draw();
        self.add(Part {
            kind: SpanKind::Attempt,
            id,
            begun: now,
            ended: None,
            backend: Some(Arc::clone(backend)),
            status: 0,
            version: Version::Unknown,
        });
        id
    }

    fn add(&mut self, part: Part) {
        if self.0.len() < MOST_PARTS {
            self.0.push(part);
        }
    }

    /// The attempt has come to an end, or to the head of its answer.
    pub(crate) fn leaves(&mut self, now: Instant) {
        if let Some(attempt) = self.attempt() {
            attempt.ended = Some(now);
        }
    }

    /// The attempt was answered so.
    pub(crate) fn answered(&mut self, status: u16, version: Version) {
        if let Some(attempt) = self.attempt() {
            (attempt.status, attempt.version) = (status, version);
        }
    }

    /// The last one.
    fn attempt(&mut self) -> Option<&mut Part> {
        let mut parts = self.0.iter_mut().rev();
        parts.find(|part| part.kind == SpanKind::Attempt)
    }

    /// Writes them.
    pub(crate) fn write(self, whole: &Whole<'_>, ring: &SpanRing) {
        let Whole { trace, line, .. } = whole;
        let error: &[u8] = match line.end {
            "complete" | "refused" => b"",
            end => end.as_bytes(),
        };
        let asked = line.asked.as_ref();
        let server = Span {
            kind: SpanKind::Server,
            trace: trace.id,
            id: trace.span,
            parent: trace.parent,
            began: nanos(whole.at),
            lasted: nanos(whole.lasted),
            status: line.status,
            port: 0,
            resends: 0,
            is_tls: line.tls,
            version: asked.map_or(Version::Unknown, |asked| asked.version),
            method: asked.map_or(b"", |asked| asked.method),
            error,
            name: line.proxy_name.unwrap_or_default().as_bytes(),
            host: whole.host,
            client: line.client.as_bytes(),
            path: asked.map_or(b"", |asked| path(asked.target)),
        };
        ring.push(&Record::of(&server));
        let mut attempts = self.0.iter().filter(|part| part.kind == SpanKind::Attempt);
        let last = attempts.next_back().map(|part| part.id);
        let mut resends = 0;
        for part in &self.0 {
            let span = part.span(&server, whole, resends);
            let error = match span.status {
                _ if Some(part.id) == last && !error.is_empty() => error,
                0 if part.kind == SpanKind::Attempt => b"no_answer",
                _ => b"",
            };
            resends += u8::from(part.kind == SpanKind::Attempt);
            ring.push(&Record::of(&Span { error, ..span }));
        }
    }
}

impl Part {
    /// As a part of `server`.
    fn span<'a>(&'a self, server: &Span<'a>, whole: &Whole<'_>, resends: u8) -> Span<'a> {
        let backend = self.backend.as_ref();
        let upstream = backend.map(|backend| &backend.plan.upstream);
        let ended = self.ended.unwrap_or(self.begun);
        let since = self.begun.saturating_duration_since(whole.begun);
        Span {
            kind: self.kind,
            id: self.id,
            parent: server.id,
            began: nanos(whole.at + since),
            lasted: nanos(ended.saturating_duration_since(self.begun)),
            status: self.status,
            port: upstream.map_or(0, |upstream| upstream.port),
            resends,
            is_tls: upstream.is_some_and(|upstream| upstream.tls),
            version: self.version,
            name: backend.map_or(server.name, |backend| backend.plan.id.as_bytes()),
            host: upstream.map_or(b"", |upstream| upstream.host.as_bytes()),
            client: b"",
            ..*server
        }
    }
}
