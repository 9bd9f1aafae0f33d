//! What is noted of a request on its way, for its id and its line in the access log. A connection has one place for it, used again for
//! each request; none if requests have no ids here, and each step then costs a branch.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;
use tpp::lending::Entered;

use crate::{
    access_log::line::{Asked, Line},
    message::head::Head,
    request_id::{self, Ids, RequestId},
    view::{backend::Backend, site::Site},
    wire::Traffic,
};

/// Status of a request that nobody waited for, as its host's metrics have it.
const CLIENT_GONE: u16 = 499;

/// The notes of a connection, if it has any.
#[derive(Default)]
pub(crate) struct Notes(Option<Box<Page>>);

/// Those of the request in hand.
struct Page {
    id: RequestId,
    /// `None`: it has no line, for there is no log or it is written.
    entry: Option<Entry>,
}

/// What its line will say.
struct Entry {
    begun: Instant,
    /// Milliseconds since 1970.
    at: u64,
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
    backend: Option<Arc<Backend>>,
    attempts: u32,
    circuit: Option<&'static str>,
    end: Option<&'static str>,
}

impl Entry {
    fn new(before: Traffic) -> Self {
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Self {
            begun: Instant::now(),
            at: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
            before,
            site: None,
            _entered: None,
            concurrent: 0,
            status: CLIENT_GONE,
            head_out: 0,
            token_wait: Duration::ZERO,
            queue_wait: Duration::ZERO,
            upstream: Duration::ZERO,
            upstream_since: None,
            backend: None,
            attempts: 0,
            circuit: None,
            end: None,
        }
    }

    fn leaves_upstream(&mut self) {
        if let Some(since) = self.upstream_since.take() {
            self.upstream += since.elapsed();
        }
    }
}

impl Notes {
    /// A request begins whose head is `head`; `None`: it could not be read. `logged`: it will have a line; the client's connection as it
    /// was before.
    pub(crate) fn begin(&mut self, head: Option<&Head>, ids: &Ids, logged: Option<Traffic>) {
        let page = self.0.get_or_insert_with(|| {
            Box::new(Page {
                id: RequestId::new(),
                entry: None,
            })
        });
        match head {
            Some(head) => page.id.choose(head.all_named(request_id::NAME), ids),
            None => page.id.make(ids),
        }
        page.entry = logged.map(Entry::new);
    }

    /// Requests have no ids any more.
    pub(crate) fn forget(&mut self) {
        self.0 = None;
    }

    /// The line that tells the request's id; empty: it has none.
    pub(crate) fn id_line(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |page| page.id.line())
    }

    /// The same for a request, where the client's own field does not tell it.
    pub(crate) fn made_id_line(&self) -> Option<&[u8]> {
        let made = self.0.as_ref().filter(|page| !page.id.is_kept());
        made.map(|page| page.id.line())
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
        }
    }

    /// It has stood in line for a permit.
    pub(crate) fn waited_in_queue(&mut self, time: Duration) {
        if let Some(entry) = self.entry() {
            entry.queue_wait += time;
        }
    }

    /// `backend` is tried.
    pub(crate) fn tries(&mut self, backend: &Arc<Backend>) {
        if let Some(entry) = self.entry() {
            entry.leaves_upstream();
            entry.upstream_since = Some(Instant::now());
            entry.attempts += 1;
            entry.backend = Some(Arc::clone(backend));
        }
    }

    /// An answer's head came, or none will: what is made of it is not the upstream's time.
    pub(crate) fn has_head(&mut self) {
        if let Some(entry) = self.entry() {
            entry.leaves_upstream();
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
            entry.status = status;
            entry.upstream_since = Some(Instant::now());
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

    /// Its line, said to `tell`; once. `now` is the client's connection, `client` who asks, and whether by TLS.
    pub(crate) fn close(
        &mut self,
        head: Option<&Head>,
        now: Traffic,
        (client, tls): (&str, bool),
        tell: impl FnOnce(&Line<'_>),
    ) {
        let Some(page) = &mut self.0 else {
            return;
        };
        let Some(mut entry) = page.entry.take() else {
            return;
        };
        entry.leaves_upstream();
        let elsewhere = entry.token_wait + entry.queue_wait + entry.upstream;
        tell(&Line {
            at: entry.at,
            request_id: page.id.id(),
            trace_id: head.and_then(trace_id),
            proxy_name: entry.site.as_ref().map(|site| &*site.plan.host.domain),
            asked: head.map(asked),
            tls,
            client,
            status: entry.status,
            bytes_in: now.taken.saturating_sub(entry.before.taken),
            bytes_out: now.sent.saturating_sub(entry.before.sent),
            head_out: entry.head_out,
            token_wait: entry.token_wait,
            queue_wait: entry.queue_wait,
            upstream: entry.upstream,
            proxy: entry.begun.elapsed().saturating_sub(elsewhere),
            backend: entry.backend.as_ref().map(|one| &*one.plan.id),
            attempts: entry.attempts,
            circuit: entry.circuit,
            concurrent: entry.concurrent,
            end: entry.end.unwrap_or("complete"),
        });
    }
}

fn asked(head: &Head) -> Asked<'_> {
    Asked {
        method: head.method(),
        target: head.path(),
        protocol: match (head.is_http2, head.is_old) {
            (true, _) => "HTTP/2",
            (false, true) => "HTTP/1.0",
            (false, false) => "HTTP/1.1",
        },
        referer: head.named(b"referer"),
        user_agent: head.named(b"user-agent"),
    }
}

/// The trace that a W3C `traceparent` names (Trace Context, 3.2): `00-TRACE-PARENT-FLAGS`, in lower case.
fn trace_id(head: &Head) -> Option<&[u8]> {
    let mut parts = head
        .named(b"traceparent")?
        .trim_ascii()
        .splitn(4, |byte| *byte == b'-');
    let (version, trace, parent, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &[u8], length| {
        text.len() >= length
            && text[..length]
                .iter()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_sound = (version.len() == 2 && is_hex(version, 2) && version != b"ff")
        && (trace.len() == 32 && is_hex(trace, 32) && trace.iter().any(|byte| *byte != b'0'))
        && (parent.len() == 16 && is_hex(parent, 16))
        && is_hex(flags, 2);
    is_sound.then_some(trace)
}
