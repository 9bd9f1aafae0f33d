//! One pool's share: drives its core, and carries out what that orders.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};
use tpp::{
    clock::{boot_nanos, monotonic_millis},
    config::Credential,
    shared::Tenure,
};
use tpp_hosts::{
    Command, Core, Event, Memory, Order, Settings, Start, Upstream,
    engine::{Outcome, Ticket},
};
use tracing::{error, info, warn};

use super::{
    Common, SharedPool,
    engine::{Engine, News},
    local::{
        Names, Refused, class_of, deadlines_of, longest_wait, look, session_of, settings_of,
        tenure_of, upstream_of,
    },
    words,
};
use crate::{
    pools::Running,
    refresh::{PlaceOf, ShareEvent, ShareOrder},
};

/// How often the core is told what the pool does while nobody waits …
const LOOK: Duration = Duration::from_secs(1);
/// … and while somebody does.
const LOOK_AT_LINE: Duration = Duration::from_millis(100);
/// How soon it is noticed that somebody begins to wait.
const GLANCE: Duration = Duration::from_millis(50);
/// How often an earlier life's end is looked for.
const LOOK_AT_LOCK: Duration = Duration::from_millis(200);

/// What the share is asked for.
pub(super) enum Wish {
    /// An operator's.
    Command(Command, oneshot::Sender<Result<(), String>>),
    /// Give everything away; answered when nothing is left.
    Leave(oneshot::Sender<()>),
}

/// A pool's share.
pub(super) struct Share {
    common: Arc<Common>,
    pool: String,
    running: Running,
    upstream: Upstream,
    root: String,
    core: Core,
    names: Names,
    /// What the core knows.
    settings: Settings,
    answers: JoinSet<Event>,
    news: Option<mpsc::Receiver<News>>,
    slots: mpsc::UnboundedReceiver<ShareEvent>,
    next_look: Instant,
    /// Somebody waited at the last glance.
    had_line: bool,
    leaving: Vec<oneshot::Sender<()>>,
    has_left: bool,
}

impl Share {
    /// Runs as long as anybody may wish something.
    pub(super) async fn run(
        common: Arc<Common>,
        pool: String,
        running: Running,
        wishes: mpsc::UnboundedReceiver<Wish>,
    ) {
        let (events, slots) = mpsc::unbounded_channel();
        say_waits(&common, &pool, "the end of what was lent before");
        let held = running.refresher.begin_sharing(events).await;
        let Some(start) = Self::start(&common, &pool, &running, held).await else {
            return;
        };
        let upstream = start.settings.upstream.clone();
        let settings = start.settings.clone();
        let mut names = Names::default();
        names.learn(&upstream, running.accounts());
        let (core, orders) = Core::start(start, boot_nanos());
        let root = core.root().to_owned();
        let mut share = Self {
            common,
            pool,
            running,
            upstream,
            root,
            core,
            names,
            settings,
            answers: JoinSet::new(),
            news: None,
            slots,
            next_look: Instant::now(),
            had_line: false,
            leaving: Vec::new(),
            has_left: false,
        };
        share.carry_out(orders);
        share.live(wishes).await;
    }

    /// What the core begins with; `None`: the region has no room for what a successor must know.
    async fn start(
        common: &Common,
        pool: &str,
        running: &Running,
        held: Vec<(PlaceOf, Tenure)>,
    ) -> Option<Start> {
        let (provider, origin) = (running.provider(), running.login_origin());
        let upstream = upstream_of(&common.wanted, provider, &origin);
        let region = running.stock.region();
        if let Err(error) = region.add_host_memory(running.stock.pool_id()) {
            error!(pool, %error, "no room to share its accounts: nothing of it is lent");
            return None;
        }
        let memory = remembered(running);
        if memory.is_none() {
            say_waits(common, pool, "the end of this host's earlier processes");
            await_alone(common).await;
        }
        let sessions = held.into_iter();
        let sessions = sessions.map(|(at, tenure)| (session_of(&upstream, &at), class_of(tenure)));
        let held = sessions.collect();
        Some(Start {
            settings: settings_of(common, &upstream, running.accounts(), running.token_life()),
            memory,
            held,
            random: rand::random(),
        })
    }

    async fn live(mut self, mut wishes: mpsc::UnboundedReceiver<Wish>) {
        loop {
            self.show();
            let wake = wake_at(self.core.wake());
            let glance = self.next_look.min(Instant::now() + GLANCE);
            tokio::select! {
                Some(answer) = self.answers.join_next() => match answer {
                    Ok(event) => self.step(event),
                    // It has said so; the core takes silence for what it is, but waits for an answer to each ticket.
                    Err(broken) => error!(pool = self.pool, error = %broken, "a call to etcd broke down"),
                },
                news = next_news(&mut self.news) => self.hear(news),
                Some(event) = self.slots.recv() => self.slot_event(event),
                wish = wishes.recv() => match wish {
                    Some(wish) => self.grant(wish),
                    // The pool is gone, or tpp ends: what it has stays its until others take it.
                    None => return,
                },
                () = sleep_until(wake) => self.step(Event::Tick),
                () = sleep_until(glance) => self.glance(),
            }
        }
    }

    fn step(&mut self, event: Event) {
        let orders = self.core.step(event, boot_nanos());
        self.carry_out(orders);
    }

    fn hear(&mut self, news: Option<News>) {
        match news {
            Some(News::Changed(header, items)) => self.step(Event::Changed(header, items)),
            lost => {
                if let Some(News::Lost(why)) = lost {
                    info!(pool = self.pool, why, "watching etcd anew");
                }
                self.news = None;
                self.step(Event::WatchLost);
            }
        }
    }

    fn slot_event(&mut self, event: ShareEvent) {
        let session = |at: &PlaceOf| session_of(&self.upstream, at);
        let event = match event {
            ShareEvent::Idle(at) => Event::Idle(session(&at)),
            ShareEvent::Wiped(at) => Event::Wiped(session(&at)),
            ShareEvent::Refused(user) => {
                Event::Refused(tpp_hosts::Account::of(&self.upstream, &user))
            }
        };
        self.step(event);
    }

    fn grant(&mut self, wish: Wish) {
        match wish {
            Wish::Command(command, answer) => {
                let outcome = self.core.command(command, boot_nanos());
                let outcome = outcome.map(|orders| self.carry_out(orders));
                let _ = answer.send(outcome.map_err(|denied| denied.to_string()));
            }
            Wish::Leave(answer) => {
                self.leaving.push(answer);
                if self.has_left {
                    self.say_left();
                } else {
                    self.step(Event::Leave);
                }
            }
        }
    }

    fn say_left(&mut self) {
        self.has_left = true;
        for answer in self.leaving.drain(..) {
            let _ = answer.send(());
        }
    }

    /// Looks at the pool, if it is time or somebody has begun to wait.
    fn glance(&mut self) {
        let now = Instant::now();
        let line = longest_wait(&self.running.stock, monotonic_millis());
        let has_begun = line >= 50 && !self.had_line;
        self.had_line = line > 0;
        if now < self.next_look && !has_begun {
            return;
        }
        self.next_look = now + if self.had_line { LOOK_AT_LINE } else { LOOK };
        let seen = {
            let book = self.running.refresher.ledger();
            look(
                &self.running.stock,
                &book,
                &self.upstream,
                monotonic_millis(),
            )
        };
        self.step(Event::Pool(seen));
        self.look_at_accounts();
    }

    /// Tells the core of other accounts, once nothing is left of those that are gone.
    fn look_at_accounts(&mut self) {
        let refresher = &self.running.refresher;
        let accounts: Vec<Credential> = refresher.ledger().accounts();
        let life = self.running.token_life();
        let settings = settings_of(&self.common, &self.upstream, &accounts, life);
        if settings != self.settings && refresher.ledger().has_none_retired() {
            self.names.learn(&self.upstream, &accounts);
            self.settings = settings.clone();
            self.step(Event::Settings(Box::new(settings)));
        }
    }

    fn carry_out(&mut self, orders: Vec<Order>) {
        orders.into_iter().for_each(|order| self.obey(order));
    }

    fn obey(&mut self, order: Order) {
        let refresher = &self.running.refresher;
        match order {
            Order::List { ticket, within } => self.list(ticket, Duration::from_nanos(within)),
            Order::Watch { from } => {
                self.news = Some(self.common.engine.watch(&self.root, from));
            }
            Order::Send {
                ticket,
                transaction,
                within,
            } => {
                let within = Duration::from_nanos(within);
                let asked = self.common.engine.txn(transaction, within);
                self.answers.spawn(async move {
                    let outcome = timeout(within, asked).await;
                    Event::Answer(ticket, outcome.unwrap_or(Outcome::Ambiguous))
                });
            }
            Order::Lend {
                session,
                class,
                not_before,
            } => refresher.share(ShareOrder::Lend {
                at: self.names.place(session),
                tenure: tenure_of(class),
                // Rounded up: not before.
                not_before: not_before.div_ceil(super::local::MILLI),
            }),
            Order::Withdraw { session, at_once } => refresher.share(ShareOrder::Withdraw {
                at: self.names.place(session),
                at_once,
            }),
            Order::Wipe { session } => refresher.share(ShareOrder::Wipe {
                at: self.names.place(session),
            }),
            Order::Deadlines(deadlines) => {
                let stock = &self.running.stock;
                stock.set_deadlines(Tenure::Floating, deadlines_of(deadlines.floating));
                stock.set_deadlines(Tenure::Home, deadlines_of(deadlines.home));
            }
            Order::Remember(memory) => self.remember(&memory),
            Order::Ready(_) => {}
            Order::Refuse(refusal) => {
                let (pool, why) = (self.pool.clone(), refusal.to_string());
                error!(pool, why, "this host must not take part");
                self.common
                    .refused
                    .send_replace(Some(Refused { pool, why }));
            }
            Order::Left => self.say_left(),
            Order::Note(note) => words::say(&self.pool, &note, &self.names),
        }
    }

    fn list(&mut self, ticket: Ticket, within: Duration) {
        let asked = self.common.engine.range(&self.root, within);
        let pool = self.pool.clone();
        self.answers.spawn(async move {
            match timeout(within, asked).await {
                Ok(Ok((header, items))) => Event::Listing(ticket, header, items),
                Ok(Err(why)) => {
                    warn!(pool, %why, "etcd cannot be read");
                    Event::Unlisted(ticket)
                }
                Err(_) => Event::Unlisted(ticket),
            }
        });
    }

    /// Keeps it for the next supervisor, before anything else is done.
    fn remember(&self, memory: &Memory) {
        let region = self.running.stock.region();
        let place = region.host_memory(self.running.stock.pool_id());
        let text = serde_json::to_vec(memory).unwrap_or_default();
        if place.is_none_or(|place| place.publish(&text).is_err()) {
            error!(
                pool = self.pool,
                "a successor of this supervisor will begin anew"
            );
        }
    }

    fn show(&self) {
        let seen = SharedPool {
            status: Some(self.core.status(boot_nanos())),
            waits_for: None,
        };
        self.common.seen().pools.insert(self.pool.clone(), seen);
    }
}

/// What a predecessor left in the region.
fn remembered(running: &Running) -> Option<Memory> {
    let place = running
        .stock
        .region()
        .host_memory(running.stock.pool_id())?;
    let mut text = Vec::new();
    (place.read(&mut text) > 0).then_some(())?;
    serde_json::from_slice(&text).ok()
}

/// Waits until no process of an earlier life is left: what it holds is this host's no more.
async fn await_alone(common: &Common) {
    loop {
        match common.lock.is_alone() {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => error!(%error, "whether earlier processes are left is not known"),
        }
        tokio::time::sleep(LOOK_AT_LOCK).await;
    }
}

fn say_waits(common: &Common, pool: &str, what: &str) {
    let seen = SharedPool {
        status: None,
        waits_for: Some(what.to_owned()),
    };
    common.seen().pools.insert(pool.to_owned(), seen);
}

/// When the runtime's clock shows `at`, nanoseconds of the boot clock. A suspend makes it late, which costs what is not lent
/// meanwhile.
fn wake_at(at: u64) -> Instant {
    Instant::now() + Duration::from_nanos(at.saturating_sub(boot_nanos()))
}

async fn next_news(news: &mut Option<mpsc::Receiver<News>>) -> Option<News> {
    match news {
        Some(news) => news.recv().await,
        None => std::future::pending().await,
    }
}
