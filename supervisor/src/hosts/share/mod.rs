//! One pool's share: drives its core, and carries out what that orders.

mod begin;
mod looks;
mod orders;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{self, JoinError, JoinSet},
    time::{Instant, sleep_until},
};
use tpp::clock::boot_nanos;
use tpp_hosts::{
    Account, Command, Core, Event, Session, Settings,
    engine::{Outcome, Ticket},
};
use tracing::{error, info};

use self::{begin::beforehand, looks::Looked};
use super::{Common, engine::News, local::Names};
use crate::{pools::Running, refresh::ShareEvent};

/// The shortest time between two ticks.
const BREATH: Duration = Duration::from_millis(1);
/// How often a core is asked that has ended.
const SELDOM: Duration = Duration::from_secs(60);

/// What the share is asked for.
pub(super) enum Wish {
    /// An operator's.
    Command(Command, oneshot::Sender<Result<(), String>>),
    /// Give everything away; answered when nothing is left.
    Leave(oneshot::Sender<()>),
    /// The pool is configured so from now on.
    Changed(Box<Running>),
    /// There is no such pool any more: give everything away when its leases have ended.
    Gone,
}

/// Whether the pool is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gone {
    No,
    /// Leases go on.
    Lends,
    /// Nothing of it is in use, and its place may be another pool's.
    Empty,
}

/// A pool's share.
pub(super) struct Share {
    common: Arc<Common>,
    pool: String,
    running: Running,
    root: String,
    core: Core,
    names: Names,
    /// What the core knows.
    settings: Settings,
    /// What it is to know, once nothing is left of accounts that are gone.
    next_settings: Option<Settings>,
    answers: JoinSet<Event>,
    /// What each of them is the answer to, should it break down.
    asked: HashMap<task::Id, Asked>,
    /// Why etcd could not be read since it last could, as the log has it.
    why_unread: watch::Sender<BTreeSet<String>>,
    news: Option<mpsc::Receiver<News>>,
    slots: mpsc::UnboundedReceiver<ShareEvent>,
    /// Sessions that have come and have no token yet, with when they came, ns of the boot clock.
    coming: BTreeMap<Session, u64>,
    looked: Option<Looked>,
    next_glance: Instant,
    /// When the core was last looked at for people.
    shown: Instant,
    /// A token has come since the last look.
    has_news: bool,
    is_ready: bool,
    leaving: Vec<oneshot::Sender<()>>,
    has_left: bool,
    gone: Gone,
    /// The core has ended: it orders nothing any more.
    is_over: bool,
}

/// A request to etcd.
#[derive(Debug, Clone, Copy)]
enum Asked {
    List(Ticket),
    Send(Ticket),
}

impl Share {
    /// Runs as long as anybody may wish something.
    pub(super) async fn run(
        common: Arc<Common>,
        pool: String,
        running: Running,
        mut wishes: mpsc::UnboundedReceiver<Wish>,
    ) {
        let mut later = None;
        let begun = tokio::select! {
            begun = begin::begin(common, pool, running) => begun,
            _ = beforehand(&mut wishes, &mut later) => None,
        };
        let Some(mut share) = begun else {
            // Nothing of it is lent.
            while beforehand(&mut wishes, &mut later).await.is_some() {}
            return;
        };
        if let Some(running) = later {
            share.change(running);
        }
        share.live(wishes).await;
    }

    async fn live(mut self, mut wishes: mpsc::UnboundedReceiver<Wish>) {
        loop {
            let wake = self.wake();
            tokio::select! {
                // Signs of life first: with a thousand accounts all else may take its time.
                biased;
                Some(answer) = self.answers.join_next_with_id() => self.take_answer(answer),
                () = sleep_until(wake) => self.step(Event::Tick),
                wish = wishes.recv() => match wish {
                    Some(wish) => self.grant(wish),
                    // tpp ends: what it has stays its until others take it.
                    None => return,
                },
                news = next_news(&mut self.news) => self.hear(news),
                Some(event) = self.slots.recv() => self.slot_event(event),
                () = sleep_until(self.next_glance) => self.glance(),
            }
            if self.is_over && self.gone != Gone::No {
                return;
            }
        }
    }

    /// When the core wants to look again. A suspend makes it late, which costs what is not lent meanwhile.
    fn wake(&self) -> Instant {
        let now = Instant::now();
        if self.is_over {
            return now + SELDOM;
        }
        let left = Duration::from_nanos(self.core.wake().saturating_sub(boot_nanos()));
        // Whatever is told has its turn between two ticks; each step does what is due.
        now + left.max(BREATH)
    }

    fn step(&mut self, event: Event) {
        let orders = self.core.step(event, boot_nanos());
        self.carry_out(orders);
    }

    /// Each request to etcd is answered to the core, once, whatever becomes of it.
    fn take_answer(&mut self, answer: Result<(task::Id, Event), JoinError>) {
        let id = answer.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let asked = self.asked.remove(&id);
        let event = match (answer, asked) {
            (Ok((_, event)), _) => event,
            (Err(broken), Some(asked)) => {
                error!(pool = self.pool, error = %broken, "a call to etcd broke down");
                asked.unanswered()
            }
            (Err(_), None) => return,
        };
        if matches!(event, Event::Listing(..)) {
            self.why_unread.send_modify(BTreeSet::clear);
        }
        self.step(event);
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
        let event = match event {
            ShareEvent::Idle(at) => Event::Idle(self.names.session(&at)),
            ShareEvent::Wiped(at) => Event::Wiped(self.names.session(&at)),
            ShareEvent::Floats(at, ticket) => Event::Floats(self.names.session(&at), ticket),
            ShareEvent::Lent(at) => return self.note_lent(self.names.session(&at)),
            ShareEvent::Refused(user) => Event::Refused(Account::of(self.names.upstream(), &user)),
        };
        self.step(event);
    }

    fn grant(&mut self, wish: Wish) {
        match wish {
            Wish::Command(command, answer) => {
                let stays = command == Command::Stay;
                let outcome = self.core.command(command, boot_nanos());
                let outcome = outcome.map(|orders| {
                    if stays {
                        (self.is_over, self.has_left) = (false, false);
                    }
                    self.carry_out(orders);
                });
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
            Wish::Changed(running) => self.change(*running),
            Wish::Gone => self.gone = Gone::Lends,
        }
    }

    fn say_left(&mut self) {
        self.has_left = true;
        for answer in self.leaving.drain(..) {
            let _ = answer.send(());
        }
    }
}

impl Asked {
    /// What the core is told where there was no answer.
    fn unanswered(self) -> Event {
        match self {
            Self::List(ticket) => Event::Unlisted(ticket),
            Self::Send(ticket) => Event::Answer(ticket, Outcome::Ambiguous),
        }
    }
}

async fn next_news(news: &mut Option<mpsc::Receiver<News>>) -> Option<News> {
    match news {
        Some(news) => news.recv().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_breaks_down_is_answered_as_one_of_which_nobody_knows() {
        assert_eq!(Asked::List(3).unanswered(), Event::Unlisted(3));
        let answer = Event::Answer(4, Outcome::Ambiguous);
        assert_eq!(Asked::Send(4).unanswered(), answer);
    }
}
