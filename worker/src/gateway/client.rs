//! A client, and what it holds.

use std::{future::poll_fn, net::IpAddr, sync::Arc, task::Poll, time::Duration};

use tpp::{
    config::LeaseMode,
    lending::{Present, WorkerSettings},
    shared::WaitEnd,
};

use crate::{
    clock::{NEVER, due},
    gateway::{held::Held, holdings::Holdings, notes::Notes, record},
    http1::request::Request,
    http1::write::{self, Seal},
    message::{head::Head, reply::Reply},
    rarely::seldom,
    secured::Secured,
    timers::Kept,
    view::{
        View,
        pool::TokenPool,
        site::{Group, Site},
    },
    wire::{Wire, attend::Interrupt},
    worker::Worker,
};

/// What a client is told when no token is left. Node's clients close a connection that may be idle for two seconds or less at once.
const SCARCE_KEEP_ALIVE: Duration = Duration::from_secs(1);

/// A client, from its first request to its last.
pub(crate) struct Client {
    pub(crate) worker: Arc<Worker>,
    /// What is in force for the request in hand.
    pub(crate) view: Arc<View>,
    /// What holds for it: as far as the request in hand is on its way, for that.
    pub(crate) settings: Arc<WorkerSettings>,
    /// Where the lease is from, or will be.
    pub(crate) pool: Option<Arc<TokenPool>>,
    pub(crate) wire: Wire,
    /// What came of its handshake; `None`: it came without TLS.
    pub(crate) secured: Option<Arc<Secured>>,
    /// The line that tells it to come with TLS alone, of the host that it asks.
    pub(crate) hsts: Option<Arc<[u8]>>,
    pub(crate) timer: Kept,
    /// Until when the request in hand and its answer may be under way, by the worker's clock.
    pub(crate) exchange_until: u64,
    /// The lease, from the first request on.
    pub(crate) held: Option<Held>,
    /// Its address, as it is written into requests.
    pub(crate) address: String,
    /// And the lines that say it, as far as nobody else is believed.
    pub(crate) address_lines: String,
    /// The same as a number, if it has one.
    pub(crate) peer: Option<IpAddr>,
    /// Its part of whatever is drawn by lot.
    pub(crate) lot: u64,
    /// Counted at the host that it asked last, if that counts by itself.
    pub(crate) present: Option<Present>,
    /// It held a lease that went before its connection's end: it gets no other one, so the connection ends with what is said next.
    pub(crate) has_lost_its_lease: bool,
    /// Of the request in hand.
    pub(crate) holdings: Holdings,
    /// Of the request in hand.
    pub(crate) notes: Notes,
}

impl Client {
    /// It asks `site` from here on.
    pub(crate) fn attend(&mut self, site: &Site) {
        let row = site.is_counted.then_some(site.plan.row);
        if self.present.as_ref().map(Present::row) != row {
            self.count_at(row);
        }
        if self.secured.is_some() {
            self.hsts = Some(Arc::clone(&site.hsts));
        }
    }

    #[cold]
    fn count_at(&mut self, row: Option<usize>) {
        // Out before in: it is never counted twice.
        self.present = None;
        self.present = row.map(|row| self.worker.desk.attend(row));
    }

    /// What is said for `group` holds from here on.
    pub(crate) fn serve_by(&mut self, group: &Group) {
        if seldom(!Arc::ptr_eq(&self.settings, &group.settings)) {
            self.settings = Arc::clone(&group.settings);
            self.pool.clone_from(&group.pool);
        }
    }

    /// What is said for one of its backends holds from here on.
    pub(crate) fn serve_as(&mut self, settings: &Arc<WorkerSettings>) {
        if seldom(!Arc::ptr_eq(&self.settings, settings)) {
            self.settings = Arc::clone(settings);
        }
    }

    /// When the lease has been held long enough, by the worker's clock: the answer in hand is the last one.
    pub(crate) fn hold_end(&self) -> Option<u64> {
        let most = self.settings.lease.max_hold?;
        Some(due(self.held.as_ref()?.since(), Some(most)))
    }

    /// A request is on its way: until when it may be is settled here.
    pub(crate) fn begin_exchange(&mut self) {
        let limit = self.settings.client.exchange_timeout;
        self.exchange_until = due(self.worker.clock.now(), limit);
    }

    /// It has been answered, or is to be told that it took too long, for which it has the time that any answer has.
    pub(crate) fn end_exchange(&mut self) {
        self.exchange_until = NEVER;
    }

    /// When what is under way is cut, whoever is waited for, by the worker's clock, and by which bound: the exchange's, or that of
    /// what has been held since `held_since`, its grace included.
    pub(crate) fn cut(&self, held_since: Option<u64>) -> (u64, WaitEnd) {
        let lease = &self.settings.lease;
        let hold = match (held_since, lease.max_hold) {
            (Some(since), Some(most)) => due(due(since, Some(most)), Some(lease.max_hold_grace)),
            _ => NEVER,
        };
        if hold <= self.exchange_until {
            (hold, WaitEnd::Hold)
        } else {
            (self.exchange_until, WaitEnd::Exchange)
        }
    }

    /// The same of its lease, if it has one.
    pub(crate) fn own_cut(&self) -> (u64, WaitEnd) {
        self.cut(self.held.as_ref().map(Held::since))
    }

    /// How long a wait may last whose own bound is `limit`: no longer than until all is cut.
    pub(crate) fn bounded(&self, limit: Option<Duration>) -> Option<Duration> {
        let now = self.worker.clock.now();
        let (at, _) = self.own_cut();
        let left = (at != NEVER).then(|| Duration::from_millis(at.saturating_sub(now)));
        [limit, left].into_iter().flatten().min()
    }

    /// The bound by which what waits is not waited for any more; `None`: it is.
    pub(crate) fn overdue(&self) -> Option<WaitEnd> {
        let (at, end) = self.own_cut();
        (at <= self.worker.clock.now()).then_some(end)
    }

    /// After a wait that was late: if that is because all that is under way is to be cut, counts it, gives back what was held for
    /// too long, and says what the client is told.
    pub(crate) fn give_up(&mut self) -> Option<Reply> {
        let end = self.overdue()?;
        record::wait_ended(&self.worker, self.held.as_ref(), end);
        self.notes.ends(end.label());
        if end == WaitEnd::Hold {
            self.lose_lease();
        }
        Some(Reply::cut(end))
    }

    /// Gives the lease back though the connection goes on to its last answer.
    pub(crate) fn lose_lease(&mut self) {
        self.has_lost_its_lease = true;
        self.held = None;
    }

    /// Sends an answer of tpp's own; to what `asked`, if that could be read.
    pub(crate) async fn say(
        &mut self,
        reply: &Reply,
        asked: Option<(&Request, &Head)>,
        close: bool,
    ) -> Result<(), Interrupt> {
        if reply.is_error() {
            self.worker.counters().request_errors.add(1);
        }
        let seal = Seal {
            close,
            keep_alive: self.keep_alive(),
            date: &self.worker.clock.date_line(),
            fields: b"",
            hsts: self.hsts.as_deref().unwrap_or_default(),
            request_id: self.notes.id_line(),
        };
        let before = self.wire.outbox.len();
        let body = write::reply(reply, asked, seal, &mut self.wire.outbox);
        self.notes.answers(reply.status());
        self.notes
            .has_head_of(self.wire.outbox.len() - before - body);
        self.flush().await
    }

    /// How long the client is told that its connection may be idle: when the next client would have to wait, so short that
    /// those who heed it give the token back themselves, before they are made to in the middle of their next request.
    pub(crate) fn keep_alive(&self) -> Option<Duration> {
        let lease = &self.settings.lease;
        let must_give_way = lease.mode == LeaseMode::Connection && lease.contended_idle.is_some();
        let is_scarce = |pool: &Arc<TokenPool>| pool.is_scarce();
        (must_give_way && self.pool.as_ref().is_some_and(is_scarce)).then_some(SCARCE_KEEP_ALIVE)
    }

    /// Sends what waits for the client.
    pub(crate) async fn flush(&mut self) -> Result<(), Interrupt> {
        let limit = self.bounded(self.settings.client.stall_timeout);
        self.timer.set(&self.worker.clock, limit);
        let flushed = poll_fn(|cx| match self.wire.poll_send(cx) {
            Poll::Ready(sent) => Poll::Ready(sent.map_err(|_| Interrupt::Gone)),
            Poll::Pending if self.timer.is_cut() => Poll::Ready(Err(Interrupt::Cut)),
            Poll::Pending if self.timer.is_due(&self.worker.clock) => {
                Poll::Ready(Err(Interrupt::Late))
            }
            Poll::Pending => Poll::Pending,
        })
        .await;
        if flushed == Err(Interrupt::Late) {
            let end = self.overdue().unwrap_or(WaitEnd::ClientReadsNothing);
            record::wait_ended(&self.worker, self.held.as_ref(), end);
        }
        flushed
    }
}
