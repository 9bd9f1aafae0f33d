//! A worker between two ends in memory, on a clock that jumps over what nobody does anything in. Only for a runtime whose
//! clock is paused.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use async_trait::async_trait;
use bytes::{Buf as _, BytesMut};
use pingora_core::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType, raw_connect::ProxyDigest,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf},
    task::JoinHandle,
    time::{Instant, timeout},
};
use tpp::{
    bells::BellBoard,
    ids::Origin,
    lending::{Desk, Permits, Stock, WorkerSettings},
    plan::Plan,
    pool::{Holder, SlotIndex},
    region::{Geometry, Region},
    shared::WaitEnd,
};

use super::play::{ORIGIN, place, received, settings};
use crate::{clock::TICK, door::connection, upstream::Link, wire::Wire, worker::Worker};

/// Where nobody connects to: the worker has its connections already.
const NOWHERE: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1));
/// Longer than any bound in the tests.
const FOR_EVER: Duration = Duration::from_secs(20_000);
/// Room of each pipe: a peer that does not read stops the other one here.
pub(super) const PIPE: usize = 64 * 1024;

/// Waits for what must come.
pub(super) async fn surely<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(FOR_EVER, future)
        .await
        .unwrap_or_else(|_| panic!("{what}: never"))
}

/// The settings of the defaults' bounds.
pub(super) fn bounded() -> WorkerSettings {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let mut settings = settings(1);
    settings.client.head_timeout = seconds(60);
    settings.client.stall_timeout = seconds(60);
    settings.client.min_rate = Some(240);
    settings.upstream.response_header_timeout = seconds(30);
    settings.upstream.read_timeout = seconds(300);
    settings.upstream.tunnel_timeout = seconds(3600);
    settings.lease.idle_timeout = seconds(60);
    settings.lease.abandoned_wait = Duration::from_secs(30);
    settings
}

/// A worker over one slot.
pub(super) struct Memory {
    pub(super) stock: Stock,
    pub(super) worker: Arc<Worker>,
    began: Instant,
    plan: Plan,
    tasks: Vec<JoinHandle<()>>,
}

impl Memory {
    pub(super) fn new(change: impl FnOnce(&mut WorkerSettings)) -> Self {
        let geometry = Geometry {
            slots: 64,
            seats: 1,
            token_bytes: 64,
        };
        // Pools of permits have room, too.
        let region = Region::with_room(geometry, 8 << 20).unwrap();
        region.set_slots_used(1);
        let stock = Stock::new(Arc::new(region), BellBoard::create(1).unwrap());
        let mut settings = bounded();
        // The connections that it is given beforehand are good however long nobody asks for one.
        settings.upstream.idle_timeout = FOR_EVER;
        change(&mut settings);
        let plan = Plan::plain(1, settings, vec![place(NOWHERE)]);
        stock.put_plan_in_force(plan.generation);
        stock.install(SlotIndex::new(0), b"token", ORIGIN).unwrap();
        let (seat, epoch) = stock.fill_seat(0).unwrap();
        let bells = stock.bells().try_clone().unwrap();
        let desk = Desk::new(Arc::clone(stock.region()), bells, seat, epoch);
        let worker = Worker::new(desk, received(&plan));
        worker.desk.set_ready();
        let ticking = Arc::clone(&worker);
        let ticks = tokio::spawn(async move {
            // Coarser than the worker's own, so that an hour is over at once.
            let mut ticks = tokio::time::interval(5 * TICK);
            loop {
                ticks.tick().await;
                ticking.desk.answer_bell();
                ticking.timers.tick(&ticking.clock);
            }
        });
        Self {
            stock,
            worker,
            began: Instant::now(),
            plan,
            tasks: vec![ticks],
        }
    }

    /// Has the worker act on another plan.
    pub(super) fn put_in_force(&mut self, change: impl FnOnce(&mut Plan)) {
        self.plan.generation += 1;
        change(&mut self.plan);
        self.worker.take_plan(received(&self.plan));
        self.stock.put_plan_in_force(self.plan.generation);
    }

    /// The backend draws no tokens.
    pub(super) fn without_tokens(&mut self) {
        self.put_in_force(|plan| {
            let backend = &mut plan.backends[0];
            backend.pool = None;
            let places = backend.places.iter_mut();
            places.for_each(|place| place.origin = Origin::NONE);
        });
    }

    /// One request may be under way at the host, and others wait for ever: the pool of its permit.
    pub(super) fn one_permit(&mut self) -> Arc<Desk> {
        let mut permits = Permits::new(&self.stock);
        let pool = permits.assign(&[(1, 1)], 3).unwrap()[0];
        self.put_in_force(|plan| {
            plan.hosts[0].permits = Some(pool);
            plan.hosts[0].host.queue.max_waiting = 10;
            plan.hosts[0].host.queue.wait_timeout = None;
        });
        self.worker.desk.open(pool).unwrap()
    }

    /// A client's end of a connection to the worker.
    pub(super) fn client(&mut self) -> End {
        let (ours, theirs) = tokio::io::duplex(PIPE);
        let inside = self.worker.enter();
        let worker = Arc::clone(&self.worker);
        self.play(async move {
            connection::serve(&worker, Box::new(theirs), BytesMut::new()).await;
            drop(inside);
        });
        End::new(ours)
    }

    /// The upstream's end of the connection that the worker will use next.
    pub(super) fn upstream(&self) -> End {
        let (ours, theirs) = tokio::io::duplex(PIPE);
        self.keep(Wire::new(Box::new(theirs)));
        End::new(ours)
    }

    /// A client that has sent `request`, and the upstream that has read its head.
    pub(super) async fn asked(&mut self, request: impl AsRef<[u8]>) -> (End, End) {
        let (mut client, mut upstream) = (self.client(), self.upstream());
        client.send(request).await;
        upstream.head().await;
        (client, upstream)
    }

    /// As [`Self::upstream`], with a layer like that of TLS on the worker's side.
    pub(super) fn upstream_behind_a_buffer(&self) -> End {
        let (ours, theirs) = tokio::io::duplex(1024);
        self.keep(Wire::new(Box::new(Buffering::over(theirs))));
        End::new(ours)
    }

    fn keep(&self, wire: Wire) {
        let worker = &self.worker;
        let view = worker.view();
        let backend = &view.backends()[0];
        let link = Link {
            wire: Box::new(wire),
            address: NOWHERE,
            origin: backend.plan.places[0].origin,
        };
        backend.upstream.keep(link, None, worker.clock.now());
    }

    /// Runs `part` beside the test.
    pub(super) fn play(&mut self, part: impl Future<Output = ()> + Send + 'static) {
        self.tasks.push(tokio::spawn(part));
    }

    /// Seconds since the beginning.
    pub(super) fn seconds(&self) -> u64 {
        self.began.elapsed().as_secs()
    }

    /// Waits until nobody holds the slot.
    pub(super) async fn slot_is_free(&self) {
        surely("the slot is free", async {
            while self.stock.pool().census().in_use > 0 {
                tokio::time::sleep(10 * TICK).await;
            }
        })
        .await;
    }

    /// Waits until nobody holds the slot, usable or not.
    pub(super) async fn slot_is_free_or_out_of_use(&self) {
        surely("the slot is let go", async {
            while self.stock.pool().slots[0].word().holder != Holder::Free {
                tokio::time::sleep(10 * TICK).await;
            }
        })
        .await;
    }

    pub(super) fn ended(&self) -> Vec<WaitEnd> {
        let counts = self.stock.totals().waits_ended;
        let some = WaitEnd::ALL.into_iter().zip(counts);
        some.flat_map(|(end, count)| vec![end; usize::try_from(count).unwrap()])
            .collect()
    }

    pub(super) fn is_spent(&self) -> bool {
        self.stock.is_spent(SlotIndex::new(0))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// The far end of a connection, in the test's hands.
pub(super) struct End {
    pub(super) stream: DuplexStream,
    inbox: Vec<u8>,
}

impl End {
    fn new(stream: DuplexStream) -> Self {
        Self {
            stream,
            inbox: Vec::new(),
        }
    }

    /// Sends, unless nobody takes it any more.
    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        surely("send", self.stream.write_all(bytes.as_ref()))
            .await
            .is_ok()
    }

    pub(super) async fn finish(&mut self) {
        AsyncWriteExt::shutdown(&mut self.stream).await.unwrap();
    }

    pub(super) async fn through(&mut self, mark: &str) -> String {
        loop {
            if let Some(at) = memchr::memmem::find(&self.inbox, mark.as_bytes()) {
                let taken = self.inbox.drain(..at + mark.len()).collect();
                return String::from_utf8(taken).unwrap();
            }
            assert!(self.more().await, "ended before {mark:?}");
        }
    }

    pub(super) async fn head(&mut self) -> String {
        self.through("\r\n\r\n").await
    }

    /// Reads once, at most `most` bytes. Returns how many came.
    pub(super) async fn some(&mut self, most: usize) -> usize {
        if self.inbox.is_empty() {
            let mut read = vec![0; most];
            let length = surely("read", self.stream.read(&mut read)).await;
            return length.expect("in memory nothing breaks");
        }
        self.inbox.drain(..most.min(self.inbox.len())).count()
    }

    /// Whether all that was read was looked at.
    pub(super) fn is_empty(&self) -> bool {
        self.inbox.is_empty()
    }

    /// All to the end.
    pub(super) async fn rest(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.inbox)
    }

    async fn more(&mut self) -> bool {
        surely("read", self.stream.read_buf(&mut self.inbox))
            .await
            .is_ok_and(|length| length > 0)
    }
}

/// A layer that takes bytes without having sent them, as TLS does: what does not fit below waits for a flush.
#[derive(Debug)]
struct Buffering {
    below: DuplexStream,
    taken: BytesMut,
}

impl Buffering {
    fn over(below: DuplexStream) -> Self {
        Self {
            below,
            taken: BytesMut::new(),
        }
    }
}

impl AsyncRead for Buffering {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.below).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Buffering {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.taken.len() >= PIPE {
            ready!(self.as_mut().poll_flush(cx))?;
        }
        let length = bytes.len().min(PIPE - self.taken.len());
        self.taken.extend_from_slice(&bytes[..length]);
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { below, taken } = self.get_mut();
        while !taken.is_empty() {
            let sent = ready!(Pin::new(&mut *below).poll_write(cx, taken))?;
            taken.advance(sent);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        Pin::new(&mut self.below).poll_shutdown(cx)
    }
}

#[async_trait]
impl Shutdown for Buffering {
    async fn shutdown(&mut self) {}
}

impl UniqueID for Buffering {
    fn id(&self) -> UniqueIDType {
        0
    }
}

impl GetTimingDigest for Buffering {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Buffering {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Buffering {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}

impl Ssl for Buffering {}
impl Peek for Buffering {}
