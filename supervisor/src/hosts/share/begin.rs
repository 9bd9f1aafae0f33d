//! How a share begins: once nothing is left of what is lent by no right.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep},
};
use tpp::{clock::boot_nanos, shared::Tenure};
use tpp_hosts::{Core, Memory, Start};
use tracing::error;

use super::{
    super::{
        Common, SharedPool,
        local::{Names, class_of, settings_of},
    },
    Gone, Share, Wish,
};
use crate::{
    pools::Running,
    refresh::{PlaceOf, ShareEvent},
};

/// How often an earlier life's end is looked for.
const LOOK_AT_LOCK: Duration = Duration::from_millis(200);

/// Answers wishes before there is a core, as long as this host is not to leave: nothing is there to be given away. `None`: nobody wishes
/// anything any more. `later` becomes how the pool is configured by then.
pub(super) async fn beforehand(
    wishes: &mut mpsc::UnboundedReceiver<Wish>,
    later: &mut Option<Running>,
) -> Option<()> {
    loop {
        match wishes.recv().await? {
            Wish::Command(_, answer) => {
                let _ = answer.send(Err("this host has no part yet".to_owned()));
            }
            Wish::Leave(answer) => {
                let _ = answer.send(());
                return Some(());
            }
            // Nothing of it is lent, and nothing will be.
            Wish::Gone => return None,
            Wish::Changed(running) => *later = Some(*running),
        }
    }
}

/// A share with its core; `None`: the accounts cannot be shared.
pub(super) async fn begin(common: Arc<Common>, pool: String, running: Running) -> Option<Share> {
    let region = running.stock.region();
    if let Err(error) = region.add_host_memory(running.stock.pool_id()) {
        error!(pool, %error, "no room to share its accounts: nothing of it is lent");
        let why = "a restart: the shared memory has no room for what a successor must know";
        say_waits(&common, &pool, why);
        return None;
    }
    let memory = remembered(&running);
    say_waits(&common, &pool, "the end of what was lent before");
    let (events, slots) = mpsc::unbounded_channel();
    let refresher = &running.refresher;
    let held = refresher.begin_sharing(events, memory.is_some()).await?;
    if memory.is_none() {
        let what = "the end of this host's earlier processes";
        say_waits(&common, &pool, what);
        await_alone(&common).await;
    }
    Some(start(common, pool, running, (memory, held), slots))
}

fn start(
    common: Arc<Common>,
    pool: String,
    running: Running,
    (memory, held): (Option<Memory>, Vec<(PlaceOf, Tenure)>),
    slots: mpsc::UnboundedReceiver<ShareEvent>,
) -> Share {
    let mut names = Names::new(running.upstream(&common.sharing));
    names.learn(running.accounts());
    let settings = settings_of(
        &common,
        names.upstream(),
        running.accounts(),
        running.token_life(),
    );
    let held = held.into_iter();
    let held = held.map(|(at, tenure)| (names.session(&at), class_of(tenure)));
    let start = Start {
        settings: settings.clone(),
        memory,
        held: held.collect(),
        random: rand::random(),
    };
    let (core, orders) = Core::start(start, boot_nanos());
    let mut share = Share {
        common,
        pool,
        running,
        root: core.root().to_owned(),
        core,
        names,
        settings,
        next_settings: None,
        answers: JoinSet::new(),
        asked: HashMap::new(),
        why_unread: watch::Sender::default(),
        news: None,
        slots,
        coming: BTreeMap::new(),
        looked: None,
        next_glance: Instant::now(),
        shown: Instant::now(),
        has_news: false,
        is_ready: false,
        leaving: Vec::new(),
        has_left: false,
        gone: Gone::No,
        is_over: false,
    };
    share.carry_out(orders);
    share
}

/// What a predecessor left in the region.
fn remembered(running: &Running) -> Option<Memory> {
    let stock = &running.stock;
    let place = stock.region().host_memory(stock.pool_id())?;
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
        sleep(LOOK_AT_LOCK).await;
    }
}

fn say_waits(common: &Common, pool: &str, what: &str) {
    let seen = SharedPool {
        status: None,
        is_ready: false,
        waits_for: Some(what.to_owned()),
    };
    common.seen().pools.insert(pool.to_owned(), seen);
}
