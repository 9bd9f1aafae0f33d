//! A client's connection, from its first byte to its last: the requests one after another, and the lease that
//! spans them.

use std::{future::poll_fn, net::IpAddr, pin::pin, sync::Arc, task::Poll, time::Duration};

use bytes::BytesMut;
use pingora_core::protocols::Stream;
use tpp::shared::WaitEnd;

use crate::{
    clock::{NEVER, due},
    gateway::stamp::check_hops,
    gateway::{
        client::Client, exchange, flight::Next, holdings::Holdings, journal, notes::Notes, record,
    },
    http1::body::Body,
    http1::line,
    http1::request::{self, Request},
    http1::write,
    http2::lane::Lane,
    message::head::Head,
    message::headers::HEAD_LIMIT as HEAD_BYTES,
    message::reply::Reply,
    rarely::{Likely as _, rarely, seldom},
    wire::Wire,
    wire::attend::Interrupt,
    wire::spare::consume,
    wire::tls::Tls,
    worker::Worker,
};

/// How long the end of a connection waits in all for the client to read what was said last …
const LINGER_LIMIT: Duration = Duration::from_secs(30);
/// … and how long it waits for one that sends nothing any more.
const LINGER_SILENCE: Duration = Duration::from_secs(5);

/// A client's connection.
pub(crate) struct Connection {
    client: Client,
    /// The head of the request in hand.
    head: Head,
}

/// Serves a connection to its end. `said` is what was read from it already.
pub(crate) async fn serve(worker: &Arc<Worker>, stream: Stream, said: BytesMut) {
    let mut connection = Connection::new(worker, stream).await;
    connection.client.wire.inbox = said;
    let timer = Arc::clone(&connection.client.timer);
    let requests = pin!(serve_requests(&mut connection));
    timer.leash.hold(&worker.looks, requests).await;
}

async fn serve_requests(connection: &mut Connection) {
    let mut is_first = true;
    while let Some(request) = connection.next_request(is_first).await {
        let next = exchange::run(&mut connection.client, &request, &connection.head).await;
        journal::end(&mut connection.client, Some(&connection.head), "complete");
        match next {
            Next::Request => is_first = false,
            Next::End => return rarely(connection.end_after(&request)).await,
            Next::Drop => return,
            Next::Reset => return connection.client.wire.reset_at_close(),
        }
    }
}

impl Connection {
    async fn new(worker: &Arc<Worker>, stream: Stream) -> Self {
        let peer = stream
            .get_socket_digest()
            .and_then(|digest| {
                digest
                    .peer_addr()
                    .and_then(|address| address.as_inet().map(|inet| inet.ip()))
            })
            .map(|address: IpAddr| address.to_canonical());
        let address = peer.map_or_else(|| "unknown".to_owned(), |peer| peer.to_string());
        let view = worker.view();
        let lane = stream.as_any().downcast_ref::<Lane>();
        let head = Head::of_http2(lane.is_some());
        let secured = match stream.as_any().downcast_ref::<Tls>() {
            Some(tls) => Some(Arc::clone(tls.secured())),
            None => lane.and_then(|lane| lane.whence().secured.clone()),
        };
        let address_lines = write::client_lines(&address, secured.is_some());
        Self {
            client: Client {
                worker: Arc::clone(worker),
                settings: Arc::clone(&view.settings),
                pool: None,
                view,
                wire: Wire::new(stream),
                secured,
                hsts: None,
                timer: worker.timers.add_here().await,
                held: None,
                address,
                address_lines,
                peer,
                lot: fastrand::u64(..),
                present: None,
                exchange_until: NEVER,
                has_lost_its_lease: false,
                holdings: Holdings::default(),
                notes: Notes::default(),
            },
            head,
        }
    }

    /// The next request; `None`: there is none, and whoever sent something else was told.
    async fn next_request(&mut self, is_first: bool) -> Option<Request> {
        self.client.wire.forget_buffers();
        let mut has_begun = self.has_begun();
        self.client.timer.set_due(if is_first || has_begun {
            self.head_due()
        } else {
            self.idle_due()
        });
        if !has_begun {
            self.rest();
        }
        let mut seen = 0;
        loop {
            if self.may_have_head(seen) {
                match self.read_request() {
                    Ok(Some(request)) => return Some(request),
                    Ok(None) => seen = self.client.wire.inbox.len(),
                    Err(reply) => {
                        rarely(self.refuse(&reply, "bad_request")).await;
                        return None;
                    }
                }
            }
            match self.more().await {
                Ok(()) if has_begun => {}
                Ok(()) => {
                    seen = 0;
                    has_begun = self.begin();
                }
                Err(Interrupt::Late) if !has_begun && rarely(self.has_just_spoken()).await => {
                    seen = 0;
                    has_begun = self.begin();
                }
                Err(Interrupt::Late) if has_begun => {
                    rarely(self.refuse_late_head()).await;
                    return None;
                }
                Err(_) => return None,
            }
        }
    }

    /// Notes that the client asks nothing now: it may be told to give way.
    fn rest(&self) {
        let held = self.client.held.as_ref();
        let now = self.client.worker.clock.now();
        let standing = &self.client.timer.standing;
        standing.rest(now, held.map(|held| (held.pool(), held.lease().slot())));
        if let Some(held) = held {
            held.lease().note_idle();
        }
    }

    /// Something came: whether it is a request that begins.
    fn begin(&mut self) -> bool {
        let has_begun = self.has_begun();
        if has_begun {
            self.rise();
        }
        has_begun
    }

    /// A request has begun.
    fn rise(&self) {
        self.client.timer.standing.rise();
        if let Some(held) = &self.client.held {
            held.lease().note_busy();
        }
        self.client.timer.set_due(self.head_due());
    }

    /// Whether a request has come of which the runtime did not know yet when the wait for it ended. Asked before an idle
    /// connection is closed: a request that is there already is served.
    async fn has_just_spoken(&mut self) -> bool {
        // Others run meanwhile, and the runtime asks the system for news before it comes back.
        tokio::task::yield_now().await;
        let wire = &mut self.client.wire;
        poll_fn(|cx| Poll::Ready(matches!(wire.poll_fill(cx), Poll::Ready(Ok(1..))))).await
    }

    async fn refuse_late_head(&mut self) {
        let client = &mut self.client;
        let end = client.overdue().unwrap_or(WaitEnd::ClientHead);
        record::wait_ended(&client.worker, client.held.as_ref(), end);
        client.lose_lease();
        let reply = Reply::request_timeout("the request head did not end in time");
        self.refuse(&reply, end.label()).await;
    }

    /// Whether it is worth reading the inbox as a head: its beginning, or the end of a line, is newer than the first `seen`
    /// bytes. A head that trickles in is not read anew with each byte.
    fn may_have_head(&self, seen: usize) -> bool {
        let inbox = &self.client.wire.inbox;
        let is_new = inbox.len() > seen;
        is_new && (seen == 0 || inbox.len() >= HEAD_BYTES || inbox[seen..].contains(&b'\n'))
    }

    /// Until when a head may take whose first byte comes now: a client that may not be idle may not dawdle either, and its lease is
    /// not held for longer meanwhile than an answer would hold it.
    fn head_due(&self) -> u64 {
        let now = self.client.worker.clock.now();
        let limit = self.client.settings.client.head_timeout;
        let (cut, _) = self.client.own_cut();
        due(now, limit).min(self.idle_end(now)).min(cut)
    }

    /// Until when the connection may be idle that is so from now on.
    fn idle_due(&self) -> u64 {
        let now = self.client.worker.clock.now();
        let hold_end = self.client.hold_end().unwrap_or(NEVER);
        self.idle_end(now).min(hold_end)
    }

    fn idle_end(&self, now: u64) -> u64 {
        due(now, self.client.settings.lease.idle_timeout)
    }

    /// Whether there is the beginning of a head. Line ends are none: some clients send one behind a body (RFC 9112, 2.2), and
    /// are not late with a request that they did not begin.
    fn has_begun(&mut self) -> bool {
        let inbox = &mut self.client.wire.inbox;
        let blank = line::blank(inbox);
        if seldom(blank > 0) {
            consume(inbox, blank);
        }
        !matches!(**inbox, [] | [b'\r'])
    }

    fn read_request(&mut self) -> Result<Option<Request>, Reply> {
        let client = &mut self.client;
        // Now, not when the wait for it began: it may have been long.
        client.worker.renew(&mut client.view);
        let read = request::read(&client.wire.inbox, &mut self.head);
        let Some((request, length)) = read.likely()? else {
            return Ok(None);
        };
        check_hops(&self.head).likely()?;
        consume(&mut client.wire.inbox, length);
        journal::begin(client, Some(&self.head), length);
        Ok(Some(request))
    }

    /// Waits for more bytes.
    async fn more(&mut self) -> Result<(), Interrupt> {
        let Client {
            wire,
            timer,
            worker,
            ..
        } = &mut self.client;
        poll_fn(|cx| match wire.poll_fill(cx) {
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(Err(Interrupt::Gone)),
            Poll::Ready(Ok(_)) => Poll::Ready(Ok(())),
            Poll::Pending if timer.is_cut() => Poll::Ready(Err(Interrupt::Cut)),
            Poll::Pending if timer.is_due(&worker.clock) => Poll::Ready(Err(Interrupt::Late)),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Refuses what is no request. The connection ends, for nobody knows where the next one would begin.
    async fn refuse(&mut self, reply: &Reply, why: &'static str) {
        let client = &mut self.client;
        // What there is of it is all that there will be.
        let length = client.wire.inbox.len();
        client.wire.inbox.clear();
        journal::begin(client, None, length);
        client.notes.ends(why);
        let said = client.say(reply, None, true).await;
        journal::end(client, None, "client_gone");
        if said.is_ok() {
            self.end().await;
        }
    }

    /// Ends the connection after its last answer. A client that said it asks no more, and sent no body, has nothing under way that
    /// a close could cross: it is not waited for.
    async fn end_after(&mut self, request: &Request) {
        // First: a client that sees the end may come back at once.
        self.client.held = None;
        let is_last = !request.keep_alive && request.body == Body::EMPTY;
        if !(is_last && self.client.wire.may_close_at_once()) {
            self.end().await;
        }
    }

    /// Ends the connection in order: gives the lease back, then waits for the client to read what was said last, as long as it
    /// sends. Closing at once would reset the connection under it, should it have sent more meanwhile (RFC 9112, 9.6).
    async fn end(&mut self) {
        self.client.held = None;
        let client = &mut self.client;
        let ended = client.wire.end();
        let ended = client
            .timer
            .within(&client.worker.clock, Some(LINGER_LIMIT), ended);
        if !matches!(ended.await, Some(Ok(()))) {
            return;
        }
        let now = self.client.worker.clock.now();
        // A stop does not wait for it.
        self.client.timer.standing.rest(now, None);
        let end = due(now, Some(LINGER_LIMIT));
        loop {
            let now = self.client.worker.clock.now();
            let silence = due(now, Some(LINGER_SILENCE));
            self.client.timer.set_due(silence.min(end));
            if self.more().await.is_err() || now >= end {
                return;
            }
            self.client.wire.inbox.clear();
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Dropped on its way: its lease was taken back, or its worker ends.
        journal::end(&mut self.client, Some(&self.head), "taken_back");
        if self.client.timer.is_cut() {
            self.client.worker.counters().drain_cut.add(1);
        }
    }
}
