//! etcd, by its gRPC interface.
//!
//! Each member has a client of its own, and one that answers is asked until it does not: a client over all of them picks a dead one
//! as readily as a live one. No lease, lock or election of etcd's is used: what a server may take away by its own clock bears no promise.

use std::{
    sync::{
        Arc,
        Mutex as Lock,
        MutexGuard,
        PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed}, // Numbers on their own.
    },
    time::Duration,
};

use etcd_client::{Client, GetOptions, WatchOptions};
use tokio::{
    sync::{Mutex, mpsc},
    time::{Instant, sleep, timeout},
};
use tpp::config::Hosts;
use tpp_hosts::engine::{Header, Item, Outcome, Transaction};
use tracing::{debug, info, warn};

use super::{
    Calls, Engine, EngineError, MemberStatus, News, Pending,
    access::{Access, UnreadableFile},
    words::{changes_of, header_of, item_of, nonsense, outcome_of, txn_of},
};

/// How long a look at a member may take.
const STATUS_LIMIT: Duration = Duration::from_secs(2);
/// News of a watch that may wait to be read.
const MOST_NEWS: usize = 64;
/// Room for the list of all keys: ten thousand accounts are three megabytes.
const MOST_BYTES: usize = 64 << 20;

/// How long nobody is connected to after a member did not let this host in: it reckons long over a password.
const SHUT: Duration = Duration::from_secs(1);
/// How long nothing is made of a watch's end: one that ends at once, again and again, is not to keep all busy.
const AFTER_WATCH: Duration = Duration::from_millis(100);

/// The members, and which of them is asked.
pub(crate) struct Etcd(Arc<Members>);

struct Members {
    members: Vec<Member>,
    /// Index of the one that answered last.
    current: AtomicUsize,
    /// The last that was asked of it was answered.
    answers: AtomicBool,
    access: Access,
    /// Until when this host is shut out, and why.
    shut: Lock<Option<(Instant, String)>>,
    counts: [Count; Op::ALL.len()],
}

struct Member {
    endpoint: String,
    /// There once it was needed.
    client: Mutex<Option<Client>>,
}

#[derive(Default)]
struct Count {
    ok: AtomicU64,
    failed: AtomicU64,
    /// Why it was refused the last time that it was not done.
    refused: Lock<Option<String>>,
}

/// What is asked of etcd.
#[derive(Debug, Clone, Copy)]
enum Op {
    Txn,
    Range,
    Watch,
    Status,
}

impl Op {
    const ALL: [Self; 4] = [Self::Txn, Self::Range, Self::Watch, Self::Status];

    fn word(self) -> &'static str {
        match self {
            Self::Txn => "txn",
            Self::Range => "range",
            Self::Watch => "watch",
            Self::Status => "status",
        }
    }
}

impl Etcd {
    /// As `[hosts]` says. Nothing is connected yet.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub(crate) fn new(hosts: &Hosts) -> Result<Self, UnreadableFile> {
        let access = Access::of(hosts);
        access.check()?;
        let member = |endpoint: &String| Member {
            endpoint: endpoint.clone(),
            client: Mutex::new(None),
        };
        Ok(Self(Arc::new(Members {
            members: hosts.endpoints.iter().map(member).collect(),
            current: AtomicUsize::new(0),
            answers: AtomicBool::new(true),
            access,
            shut: Lock::default(),
            counts: Default::default(),
        })))
    }
}

impl Members {
    /// A client of the member at `at`.
    async fn client(&self, at: usize) -> Result<Client, EngineError> {
        let member = &self.members[at];
        let mut client = member.client.lock().await;
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let shut = locked(&self.shut).clone();
        if let Some((_, why)) = shut.filter(|(until, _)| Instant::now() < *until) {
            return Err(EngineError::NotAllowed(why));
        }
        let options = self.access.options(&member.endpoint).await?;
        // With a user it asks for a token at once.
        let made = Client::connect([&member.endpoint], Some(options)).await?;
        Ok(client.insert(made).clone())
    }

    /// Asks a member, and knows by its answer whether this host may.
    async fn ask_member<T, F>(
        &self,
        at: usize,
        op: Op,
        within: Duration,
        ask: impl FnOnce(Client) -> F,
    ) -> Result<T, EngineError>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let asked = async { Ok(ask(self.client(at).await?).await?) };
        let outcome = timeout(within, asked)
            .await
            .unwrap_or(Err(EngineError::Late));
        let outcome = outcome.map_err(|error| match error {
            EngineError::Said(why) => {
                EngineError::Said(self.access.explained(&self.members[at].endpoint, why))
            }
            error => error,
        });
        self.count(op, outcome.is_ok());
        match &outcome {
            Ok(_) => self.note_refusal(at, op, None),
            Err(EngineError::Refused(why)) => self.note_refusal(at, op, Some(why)),
            Err(EngineError::NotAllowed(why)) => {
                self.note_refusal(at, op, Some(why));
                self.shut(why);
            }
            Err(EngineError::Late | EngineError::Said(_)) => {}
        }
        outcome
    }

    /// Said when it changes, and shown as long as it lasts.
    fn note_refusal(&self, at: usize, op: Op, why: Option<&String>) {
        let mut refused = locked(&self.counts[op as usize].refused);
        if refused.as_ref() == why {
            return;
        }
        let (member, op) = (&self.members[at].endpoint, op.word());
        match why {
            Some(why) => warn!(%member, op, why, "etcd refuses what this host asks"),
            None => info!(%member, op, "etcd does again what it refused"),
        }
        *refused = why.cloned();
    }

    /// Nobody is connected to for a while. A refusal out of that while does not prolong it.
    fn shut(&self, why: &str) {
        let (mut shut, now) = (locked(&self.shut), Instant::now());
        if shut.as_ref().is_none_or(|(until, _)| now >= *until) {
            *shut = Some((now + SHUT, why.to_owned()));
        }
    }

    /// What is refused, for people.
    fn refused(&self) -> Option<String> {
        let counts = Op::ALL.iter().zip(&self.counts);
        let refused = counts.filter_map(|(op, count)| {
            let why = locked(&count.refused).clone()?;
            Some(format!("refuses {}: {why}", op.word()))
        });
        Some(refused.collect::<Vec<_>>().join("; ")).filter(|all| !all.is_empty())
    }

    fn current(&self) -> usize {
        self.current.load(Relaxed) % self.members.len().max(1)
    }

    /// The member at `at` did not do as asked: another one is asked next, and this one is connected to anew.
    async fn leave(&self, at: usize, why: &str) {
        let next = (at + 1) % self.members.len();
        let left = self.current.compare_exchange(at, next, Relaxed, Relaxed);
        *self.members[at].client.lock().await = None;
        let (from, to) = (&self.members[at].endpoint, &self.members[next].endpoint);
        // Said once: while none answers they are tried in turn.
        let is_news = self.answers.swap(false, Relaxed);
        if is_news && at == next {
            info!(member = %from, why, "etcd does not answer");
        } else if is_news && left.is_ok() {
            info!(member = %from, next = %to, why, "etcd member left for the next");
        } else {
            debug!(member = %from, why, "etcd member connected to anew");
        }
    }

    fn count(&self, op: Op, is_ok: bool) {
        let count = &self.counts[op as usize];
        let word = if is_ok { &count.ok } else { &count.failed };
        word.fetch_add(1, Relaxed);
    }

    /// Asks the member that answered last. What does not succeed in time has the next one asked, the next time.
    async fn ask<T, F>(
        &self,
        op: Op,
        within: Duration,
        ask: impl FnOnce(Client) -> F,
    ) -> Result<T, EngineError>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let at = self.current();
        let outcome = self.ask_member(at, op, within, ask).await;
        match &outcome {
            // Another member would say no as well.
            Ok(_) | Err(EngineError::Refused(_)) => self.answers.store(true, Relaxed),
            Err(error) => self.leave(at, &error.to_string()).await,
        }
        outcome
    }
}

impl Engine for Etcd {
    fn txn(&self, transaction: Transaction, within: Duration) -> Pending<Outcome> {
        let members = Arc::clone(&self.0);
        Box::pin(async move {
            let txn = txn_of(&transaction);
            let asked = members.ask(Op::Txn, within, |client| async move {
                client.kv_client().txn(txn).await
            });
            match asked.await {
                Ok(answer) => outcome_of(&transaction, &answer),
                Err(_) => Outcome::Ambiguous,
            }
        })
    }

    fn range(
        &self,
        root: &str,
        within: Duration,
    ) -> Pending<Result<(Header, Vec<Item>), EngineError>> {
        let (members, root) = (Arc::clone(&self.0), root.to_owned());
        Box::pin(async move {
            let asked = members.ask(Op::Range, within, |client| async move {
                let mut kv = client.kv_client().max_decoding_message_size(MOST_BYTES);
                kv.get(root, Some(GetOptions::new().with_prefix())).await
            });
            let answer = asked.await?;
            let header = header_of(answer.header()).ok_or_else(nonsense)?;
            let items = answer.kvs().iter().map(item_of);
            let items = items.collect::<Option<_>>().ok_or_else(nonsense)?;
            Ok((header, items))
        })
    }

    fn watch(&self, root: &str, from: i64) -> mpsc::Receiver<News> {
        let (sender, receiver) = mpsc::channel(MOST_NEWS);
        let (members, root) = (Arc::clone(&self.0), root.to_owned());
        tokio::spawn(async move {
            let at = members.current();
            let why = tokio::select! {
                why = follow(&members, at, root, from, &sender) => why,
                // Nobody listens any more.
                () = sender.closed() => return,
            };
            members.count(Op::Watch, false);
            members.leave(at, &why).await;
            sleep(AFTER_WATCH).await;
            let _ = sender.send(News::Lost(why)).await;
        });
        receiver
    }

    fn status(&self) -> Pending<Vec<MemberStatus>> {
        let members = Arc::clone(&self.0);
        Box::pin(async move {
            let mut all = Vec::new();
            for at in 0..members.members.len() {
                all.push(status_of(&members, at).await);
            }
            all
        })
    }

    fn calls(&self) -> Vec<Calls> {
        let counts = Op::ALL.iter().zip(&self.0.counts);
        let calls = counts.map(|(op, count)| Calls {
            op: op.word(),
            ok: count.ok.load(Relaxed),
            failed: count.failed.load(Relaxed),
        });
        calls.collect()
    }
}

/// Passes on what the watch says, to its end. Returns why it ended.
async fn follow(
    members: &Members,
    at: usize,
    root: String,
    from: i64,
    news: &mpsc::Sender<News>,
) -> String {
    let options = WatchOptions::new()
        .with_prefix()
        .with_start_revision(from)
        .with_progress_notify();
    let begun = timeout(STATUS_LIMIT, async {
        let client = members.client(at).await?;
        Ok::<_, EngineError>(client.watch_client().watch(root, Some(options)).await?)
    });
    let mut stream = match begun.await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return error.to_string(),
        Err(_) => return EngineError::Late.to_string(),
    };
    members.count(Op::Watch, true);
    loop {
        let said = match stream.message().await {
            Ok(Some(said)) => said,
            Ok(None) => return "the watch ended".to_owned(),
            Err(error) => return error.to_string(),
        };
        if said.canceled() || said.compact_revision() > 0 {
            return format!("the watch was ended: {}", said.cancel_reason());
        }
        let Some((header, items)) = header_of(said.header()).zip(changes_of(&said)) else {
            return "a watch that says what nobody understands".to_owned();
        };
        if !items.is_empty() && news.send(News::Changed(header, items)).await.is_err() {
            return "nobody listens".to_owned();
        }
    }
}

async fn status_of(members: &Members, at: usize) -> MemberStatus {
    let asked = members.ask_member(at, Op::Status, STATUS_LIMIT, |client| async move {
        client.maintenance_client().status().await
    });
    let (answer, trouble) = match asked.await {
        Ok(answer) => {
            let errors = answer.errors().join(", ");
            let refused = || members.refused().filter(|_| at == members.current());
            let trouble = Some(errors).filter(|errors| !errors.is_empty());
            (Some(answer), trouble.or_else(refused))
        }
        Err(error) => (None, Some(error.to_string())),
    };
    MemberStatus {
        endpoint: members.members[at].endpoint.clone(),
        version: answer.as_ref().map(|answer| answer.version().to_owned()),
        db_bytes: answer.map_or(0, |answer| answer.db_size().unsigned_abs()),
        trouble,
    }
}

fn locked<T>(lock: &Lock<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
