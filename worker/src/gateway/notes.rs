//! What is noted of a request on its way, for its id, its trace and its line in the access log. A connection has one place for it, used
//! again for each request; none if requests have no ids here, and each step then costs a branch.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tpp::{
    lending::Entered,
    spans::{SpanKind, SpanRing, Version},
};

use crate::{
    access_log::line::{Asked, Line},
    clock::Clock,
    gateway::spans::{Spans, Whole},
    http1::write::TraceLine,
    message::field::Field,
    message::head::Head,
    rarely::seldom,
    request_id::{Ids, RequestId},
    trace::{Parent, Trace},
    view::{backend::Backend, site::Site},
    wire::{Traffic, Wire},
};

/// Status of a request that nobody waited for, as its host's metrics have it.
const CLIENT_GONE: u16 = 499;

/// The notes of a connection, if it has any.
#[derive(Default)]
pub(crate) struct Notes(Option<Box<Page>>);

/// Those of the request in hand.
struct Page {
    id: RequestId,
    /// `None`: traces are none of tpp's business, and the client's passes as it came.
    trace: Option<Trace>,
    /// `None`: it has neither line nor spans, for nobody wants any or they are written.
    entry: Option<Entry>,
}

/// What there is to be known of a request.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// By which its time is told.
    pub(crate) clock: &'a Clock,
    /// It will have a line.
    pub(crate) is_logged: bool,
    /// It is part of a trace; of those that begin here so many in a hundred are recorded.
    pub(crate) trace_percent: Option<u32>,
    /// The client's connection as it was before.
    pub(crate) before: Traffic,
}

/// What its line and its spans will say.
struct Entry {
    begun: Instant,
    /// Since 1970.
    at: Duration,
    /// `None`: it is not recorded.
    spans: Option<Spans>,
    /// Of the client's connection as the request began.
    before: Traffic,
    site: Option<Arc<Site>>,
    /// It is counted here if its host does not count by itself.
    _entered: Option<Entered>,
    concurrent: u64,
    status: u16,
    head_out: u64,
    token_wait: Duration,
    queue_wait: Duration,
    /// What has gone by at upstreams, and since when one has had it again.
    upstream: Duration,
    upstream_since: Option<Instant>,
    /// When the last one's head had come, or what was made of it was over.
    has_head_since: Instant,
    backend: Option<Arc<Backend>>,
    attempts: u32,
    circuit: Option<&'static str>,
    end: Option<&'static str>,
}

impl Entry {
    fn new(wanted: &Wanted<'_>, is_recorded: bool) -> Self {
        let begun = Instant::now();
        Self {
            begun,
            at: wanted.clock.wall(begun),
            spans: is_recorded.then(Spans::default),
            before: wanted.before,
            site: None,
            _entered: None,
            concurrent: 0,
            status: CLIENT_GONE,
            head_out: 0,
            token_wait: Duration::ZERO,
            queue_wait: Duration::ZERO,
            upstream: Duration::ZERO,
            upstream_since: None,
            has_head_since: begun,
            backend: None,
            attempts: 0,
            circuit: None,
            end: None,
        }
    }

    fn has_waited(&mut self, kind: SpanKind, time: Duration) {
        if let Some(spans) = &mut self.spans {
            spans.waited(kind, time);
        }
    }

    fn leaves_upstream(&mut self, now: Instant) {
        if let Some(since) = self.upstream_since.take() {
            self.upstream += now - since;
            if let Some(spans) = &mut self.spans {
                spans.leaves(now);
            }
        }
    }
}

/// None of it lies in the way of requests that have neither line nor spans.
impl Page {
    #[inline(never)]
    fn id_line(&self) -> &[u8] {
        self.id.line()
    }

    #[inline(never)]
    fn trace_line(&self) -> Option<TraceLine<'_>> {
        let trace = self.trace.as_ref()?;
        Some(TraceLine {
            line: trace.line(),
            keeps_state: trace.goes_on(),
        })
    }

    #[inline(never)]
    fn tries(&mut self, backend: &Arc<Backend>) {
        let Some(entry) = &mut self.entry else { return };
        let now = Instant::now();
        entry.leaves_upstream(now);
        entry.upstream_since = Some(now);
        entry.attempts += 1;
        entry.backend = Some(Arc::clone(backend));
        if let (Some(spans), Some(trace)) = (&mut entry.spans, &mut self.trace) {
            trace.go_on_in(spans.tries(backend, now));
        }
    }
}

impl Entry {
    #[inline(never)]
    fn has_head(&mut self, answer: Option<(u16, &Wire)>) {
        let now = Instant::now();
        self.leaves_upstream(now);
        self.has_head_since = now;
        if let (Some(spans), Some((status, wire))) = (&mut self.spans, answer) {
            spans.answered(status, wire.version());
        }
    }

    #[inline(never)]
    fn passes_on(&mut self, status: u16) {
        self.status = status;
        // Not read anew: what is made of a head takes no time, or says so.
        self.upstream_since = Some(self.has_head_since);
    }

    /// What it has of its line.
    fn line(&self, lasted: Duration) -> Line<'_> {
        let elsewhere = self.token_wait + self.queue_wait + self.upstream;
        Line {
            at: u64::try_from(self.at.as_millis()).unwrap_or(u64::MAX),
            proxy_name: self.site.as_ref().map(|site| &*site.plan.host.domain),
            status: self.status,
            head_out: self.head_out,
            token_wait: self.token_wait,
            queue_wait: self.queue_wait,
            upstream: self.upstream,
            proxy: lasted.saturating_sub(elsewhere),
            backend: self.backend.as_ref().map(|one| &*one.plan.id),
            attempts: self.attempts,
            circuit: self.circuit,
            concurrent: self.concurrent,
            end: self.end.unwrap_or("complete"),
            ..Line::default()
        }
    }
}

impl Notes {
    /// A request begins whose head is `head`; `None`: it could not be read.
    pub(crate) fn begin(&mut self, head: Option<&Head>, ids: &Ids, wanted: Wanted<'_>) {
        let page = self.0.get_or_insert_with(|| {
            Box::new(Page {
                id: RequestId::new(),
                trace: None,
                entry: None,
            })
        });
        match head {
            Some(head) => page.id.choose(head.values(Field::RequestId), ids),
            None => page.id.make(ids),
        }
        page.trace = wanted
            .trace_percent
            .map(|percent| Trace::new(head.and_then(Parent::of), percent));
        let is_recorded = page.trace.as_ref().is_some_and(|trace| trace.is_sampled);
        page.entry = (wanted.is_logged || is_recorded).then(|| Entry::new(&wanted, is_recorded));
    }

    /// Requests have no ids any more.
    pub(crate) fn forget(&mut self) {
        if seldom(self.0.is_some()) {
            self.0 = None;
        }
    }

    /// The line that tells the request's id; empty: it has none.
    pub(crate) fn id_line(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |page| page.id_line())
    }

    /// The same for a request, where the client's own field does not tell it.
    pub(crate) fn made_id_line(&self) -> Option<&[u8]> {
        let made = self.0.as_ref().filter(|page| !page.id.is_kept());
        made.map(|page| page.id_line())
    }

    /// What the upstream is told of the request's trace, in the client's stead.
    pub(crate) fn trace_line(&self) -> Option<TraceLine<'_>> {
        self.0.as_ref()?.trace_line()
    }

    fn entry(&mut self) -> Option<&mut Entry> {
        self.0.as_mut()?.entry.as_mut()
    }

    /// Whether there is a line to be written.
    pub(crate) fn has_entry(&self) -> bool {
        self.0.as_ref().is_some_and(|page| page.entry.is_some())
    }

    /// It is for `site`, counted there by `entered` if not otherwise, with so many under way there, itself included.
    pub(crate) fn is_for(&mut self, site: &Arc<Site>, entered: Option<Entered>, concurrent: u64) {
        if let Some(entry) = self.entry() {
            entry.site = Some(Arc::clone(site));
            entry._entered = entered;
            entry.concurrent = concurrent;
        }
    }

    /// It has stood in line for a token.
    pub(crate) fn waited_for_token(&mut self, time: Duration) {
        if let Some(entry) = self.entry() {
            entry.token_wait += time;
            entry.has_waited(SpanKind::TokenWait, time);
        }
    }

    /// It has stood in line for a permit.
    pub(crate) fn waited_in_queue(&mut self, time: Duration) {
        if let Some(entry) = self.entry() {
            entry.queue_wait += time;
            entry.has_waited(SpanKind::QueueWait, time);
        }
    }

    /// `backend` is tried.
    pub(crate) fn tries(&mut self, backend: &Arc<Backend>) {
        if let Some(page) = &mut self.0 {
            page.tries(backend);
        }
    }

    /// An answer's head came, of this status on this wire, or none will: what is made of it is not the upstream's time.
    pub(crate) fn has_head(&mut self, answer: Option<(u16, &Wire)>) {
        if let Some(entry) = self.entry() {
            entry.has_head(answer);
        }
    }

    /// What was made of the head took its time, and is over.
    pub(crate) fn goes_on(&mut self) {
        if let Some(entry) = self.entry() {
            entry.has_head_since = Instant::now();
        }
    }

    /// The answer's head for the client is so long.
    pub(crate) fn has_head_of(&mut self, bytes: usize) {
        if let Some(entry) = self.entry() {
            entry.head_out = bytes as u64;
        }
    }

    /// The upstream's answer, of this status, is passed on.
    pub(crate) fn passes_on(&mut self, status: u16) {
        if let Some(entry) = self.entry() {
            entry.passes_on(status);
        }
    }

    /// tpp answers with this status.
    pub(crate) fn answers(&mut self, status: u16) {
        if let Some(entry) = self.entry() {
            entry.status = status;
            entry.end.get_or_insert("refused");
        }
    }

    /// What its host's breaker said.
    pub(crate) fn circuit(&mut self, state: &'static str) {
        if let Some(entry) = self.entry() {
            entry.circuit = Some(state);
        }
    }

    /// How it ends, unless that is known already.
    pub(crate) fn ends(&mut self, how: &'static str) {
        if let Some(entry) = self.entry() {
            entry.end.get_or_insert(how);
        }
    }

    /// Its line, said to `tell`, and its spans, written to `ring`; once. `now` is the client's connection, `client` who asks, and
    /// whether by TLS.
    pub(crate) fn close<'r>(
        &mut self,
        head: Option<&Head>,
        (now, (client, tls)): (Traffic, (&str, bool)),
        ring: impl FnOnce() -> Option<&'r SpanRing>,
        tell: impl FnOnce(&Line<'_>),
    ) {
        let Some(page) = &mut self.0 else {
            return;
        };
        // It is no small thing to move, and gone at the end.
        let Some(entry) = &mut page.entry else {
            return;
        };
        let ended = Instant::now();
        entry.leaves_upstream(ended);
        let (spans, lasted) = (entry.spans.take(), ended - entry.begun);
        let own = page.trace.as_ref().map(Trace::digits);
        let said = || Some(head.and_then(Parent::of)?.digits);
        let line = Line {
            request_id: page.id.id(),
            trace_id: own.or_else(said),
            asked: head.map(asked),
            tls,
            client,
            bytes_in: now.taken.saturating_sub(entry.before.taken),
            bytes_out: now.sent.saturating_sub(entry.before.sent),
            ..entry.line(lasted)
        };
        if let (Some(spans), Some(trace)) = (spans, &page.trace)
            && let Some(ring) = ring()
        {
            let whole = Whole {
                trace,
                begun: entry.begun,
                at: entry.at,
                lasted,
                host: head.and_then(Head::authority).unwrap_or_default(),
                line: &line,
            };
            spans.write(&whole, ring);
        }
        tell(&line);
        page.entry = None;
    }
}

fn asked(head: &Head) -> Asked<'_> {
    Asked {
        method: head.method(),
        target: head.path(),
        version: match (head.is_http2, head.is_old) {
            (true, _) => Version::Http2,
            (false, true) => Version::Http10,
            (false, false) => Version::Http11,
        },
    }
}
