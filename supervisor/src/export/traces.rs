//! Spans from the region to the collector: read often, so that the rings have room; sent in batches, each again and again for a while.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use tpp::{lending::Stock, spans::Record};

use super::{
    Teller,
    collector::{Failure, Signal},
    spans,
    words::Resource,
};

/// How often the rings are read.
const READ: Duration = Duration::from_millis(250);
/// Records of one seat that are read at once.
const MOST_READ: usize = 4096;
/// Spans in a batch.
const BATCH: usize = 512;
/// Batches that wait to be sent: what more there is, is lost.
const MOST_BATCHES: usize = 32;
/// Waits between tries, and how long a batch is worth them.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(15);
const WORTH: Duration = Duration::from_secs(60);

/// Exports until `ended` says so, and then what is left.
pub(super) async fn export(teller: Arc<Teller>, resource: Resource, ended: watch::Receiver<bool>) {
    let (batches, waiting) = mpsc::channel(MOST_BATCHES);
    let stock = Arc::clone(&teller.stock);
    let reading = read(&stock, batches, ended.clone());
    let sending = send(&teller, resource, waiting, ended);
    tokio::join!(reading, sending);
}

/// Reads the rings into batches. The last one ends the sender too.
async fn read(stock: &Stock, batches: mpsc::Sender<Vec<Record>>, mut ended: watch::Receiver<bool>) {
    let mut ticks = interval(READ);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_over = false;
    while !is_over {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = ended.wait_for(|ended| *ended) => is_over = true,
        }
        for batch in stock.take_spans(MOST_READ).chunks(BATCH) {
            if batches.try_send(batch.to_vec()).is_err() {
                let lost = &stock.region().supervisors().spans_lost;
                lost.add(batch.len() as u64);
            }
        }
    }
}

async fn send(
    teller: &Teller,
    resource: Resource,
    mut batches: mpsc::Receiver<Vec<Record>>,
    mut ended: watch::Receiver<bool>,
) {
    while let Some(batch) = batches.recv().await {
        let message = spans::message(&batch, resource.clone());
        let count = batch.len() as u64;
        let lost = match deliver(teller, &message, &mut ended).await {
            Ok(refused) => refused.min(count),
            Err(_) => count,
        };
        let counters = teller.stock.region().supervisors();
        counters.spans_exported.add(count - lost);
        counters.spans_lost.add(lost);
    }
}

/// Sends a batch, again while that may help and it is worth it. Returns how many of its spans were turned down.
async fn deliver(
    teller: &Teller,
    message: &[u8],
    ended: &mut watch::Receiver<bool>,
) -> Result<u64, Failure> {
    let worth_until = Instant::now() + WORTH;
    let mut wait = FIRST_WAIT;
    loop {
        let failure = match teller.send(Signal::Traces, message).await {
            Ok(refused) => return Ok(refused),
            Err(failure) => failure,
        };
        let pause = failure.wait().unwrap_or(wait);
        if !failure.may_pass() || *ended.borrow() || Instant::now() + pause > worth_until {
            return Err(failure);
        }
        tokio::select! {
            () = sleep(pause) => {}
            // One last try.
            _ = ended.wait_for(|ended| *ended) => {}
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}
