//! etcd, by its gRPC interface.
//!
//! Each member has a client of its own, and one that answers is asked until it does not: a client over all of them picks a dead one
//! as readily as a live one. No lease, lock or election of etcd's is used: what a server may take away by its own clock bears no promise.

use std::{
    fs, io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed}, // Numbers on their own.
    },
    time::Duration,
};

use etcd_client::{
    Certificate, Client, ConnectOptions, GetOptions, Identity, TlsOptions, WatchOptions,
};
use tokio::{
    sync::{Mutex, mpsc},
    time::timeout,
};
use tpp::config::{Hosts, Secret};
use tpp_hosts::engine::{Header, Item, Outcome, Transaction};
use tracing::{debug, info};

use super::{
    Calls, Engine, EngineError, MemberStatus, News, Pending,
    words::{changes_of, header_of, item_of, nonsense, outcome_of, txn_of},
};

/// How long a member may take to accept a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);
/// How long one may be silent before it is asked whether it is there, and may take to answer that.
const KEEP_ALIVE: Duration = Duration::from_secs(2);
/// How long a look at a member may take.
const STATUS_LIMIT: Duration = Duration::from_secs(2);
/// News of a watch that may wait to be read.
const MOST_NEWS: usize = 64;
/// Room for the list of all keys: ten thousand accounts are three megabytes.
const MOST_BYTES: usize = 64 << 20;

/// Why etcd cannot be spoken to as configured.
#[derive(Debug, thiserror::Error)]
#[error("read {path}")]
pub(crate) struct UnreadableFile {
    path: String,
    #[source]
    source: io::Error,
}

/// The members, and which of them is asked.
pub(crate) struct Etcd(Arc<Members>);

struct Members {
    members: Vec<Member>,
    /// Index of the one that answered last.
    current: AtomicUsize,
    /// The last that was asked of it was answered.
    answers: AtomicBool,
    options: ConnectOptions,
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
    pub(crate) fn new(hosts: &Hosts, password: Option<&Secret>) -> Result<Self, UnreadableFile> {
        let mut options = ConnectOptions::new()
            .with_connect_timeout(CONNECT_LIMIT)
            .with_keep_alive(KEEP_ALIVE, KEEP_ALIVE)
            .with_keep_alive_while_idle(true)
            .with_require_leader(true)
            .with_auto_token_refresh(true);
        if hosts
            .endpoints
            .iter()
            .any(|one| one.starts_with("https://"))
        {
            options = options.with_tls(tls(hosts)?);
        }
        if let Some((user, password)) = hosts.username.as_ref().zip(password) {
            options = options.with_user(user, password.expose());
        }
        let member = |endpoint: &String| Member {
            endpoint: endpoint.clone(),
            client: Mutex::new(None),
        };
        Ok(Self(Arc::new(Members {
            members: hosts.endpoints.iter().map(member).collect(),
            current: AtomicUsize::new(0),
            answers: AtomicBool::new(true),
            options,
            counts: Default::default(),
        })))
    }
}

fn tls(hosts: &Hosts) -> Result<TlsOptions, UnreadableFile> {
    let mut tls = TlsOptions::new();
    tls = match &hosts.ca_file {
        Some(file) => tls.ca_certificate(Certificate::from_pem(read(file)?)),
        None => tls.with_native_roots(),
    };
    if let Some((certificate, key)) = hosts.cert_file.as_ref().zip(hosts.key_file.as_ref()) {
        tls = tls.identity(Identity::from_pem(read(certificate)?, read(key)?));
    }
    Ok(tls)
}

fn read(path: &Path) -> Result<Vec<u8>, UnreadableFile> {
    fs::read(path).map_err(|source| UnreadableFile {
        path: path.display().to_string(),
        source,
    })
}

impl Members {
    /// A client of the member at `at`.
    async fn client(&self, at: usize) -> Result<Client, etcd_client::Error> {
        let member = &self.members[at];
        let mut client = member.client.lock().await;
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        // With a user it asks for a token at once.
        let made = Client::connect([&member.endpoint], Some(self.options.clone())).await?;
        Ok(client.insert(made).clone())
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
        if left.is_ok() && at != next && is_news {
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
        let asked = timeout(within, async { ask(self.client(at).await?).await }).await;
        let outcome = match asked {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(EngineError::Said(error.to_string())),
            Err(_) => Err(EngineError::Late),
        };
        self.count(op, outcome.is_ok());
        match &outcome {
            Ok(_) => self.answers.store(true, Relaxed),
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
        client.watch_client().watch(root, Some(options)).await
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
    let asked = timeout(STATUS_LIMIT, async {
        members
            .client(at)
            .await?
            .maintenance_client()
            .status()
            .await
    });
    let (answer, trouble) = match asked.await {
        Ok(Ok(answer)) => {
            let errors = answer.errors().join(", ");
            (
                Some(answer),
                Some(errors).filter(|errors| !errors.is_empty()),
            )
        }
        Ok(Err(error)) => (None, Some(error.to_string())),
        Err(_) => (None, Some(EngineError::Late.to_string())),
    };
    members.count(Op::Status, answer.is_some());
    MemberStatus {
        endpoint: members.members[at].endpoint.clone(),
        version: answer.as_ref().map(|answer| answer.version().to_owned()),
        db_bytes: answer.map_or(0, |answer| answer.db_size().unsigned_abs()),
        trouble,
    }
}
