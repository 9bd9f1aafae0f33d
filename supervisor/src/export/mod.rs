//! Spans and metrics on their way to a collector, by OTLP.
//!
//! It is the supervisor's business alone: workers write spans into the region, here they are read, gathered into batches and sent. All is
//! bounded: what a collector that is away does not take in time is dropped and counted, and nobody waits for it.

mod collector;
mod metrics;
mod spans;
mod traces;
mod words;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::watch, task::JoinHandle, time::timeout};
use tpp::lending::Stock;
use tracing::{info, warn};

use crate::outlook::{Outlook, metrics::families};
use collector::{Collector, Failure, Signal};

/// How long what is left may take at the end.
const LAST: Duration = Duration::from_secs(2);
/// How often it is looked whether metrics are due, and how often they are wanted.
const LOOK: Duration = Duration::from_secs(1);

/// What exports, once it runs.
#[derive(Debug)]
pub(crate) struct Exporting {
    end: watch::Sender<bool>,
    traces: JoinHandle<()>,
    metrics: JoinHandle<()>,
}

impl Exporting {
    /// Begins, if there is a collector to send to.
    pub(crate) fn begin(outlook: &Arc<Outlook>) -> Option<Self> {
        let (telemetry, listen) = {
            let configured = outlook.in_force.now();
            let config = &configured.config;
            let first = configured.listeners.first();
            let listen = first.map(|one| one.bound.to_string()).unwrap_or_default();
            (config.telemetry.clone(), listen)
        };
        let endpoint = telemetry.otlp_endpoint.as_deref()?;
        let collector = match Collector::at(endpoint, &telemetry) {
            Ok(collector) => Arc::new(collector),
            Err(error) => {
                warn!(%error, "no spans and metrics are exported");
                return None;
            }
        };
        if let Err(error) = outlook.stock.add_span_rings() {
            warn!(%error, "no spans are exported");
        }
        info!(collector = collector.host(), "exporting spans and metrics");
        let resource = words::resource(&listen);
        let (end, ended) = watch::channel(false);
        let teller = Teller::new(Arc::clone(&outlook.stock), Arc::clone(&collector));
        let traces = traces::export(Arc::clone(&teller), resource.clone(), ended);
        let metrics = export_metrics(Arc::clone(outlook), teller, resource);
        Some(Self {
            end,
            traces: tokio::spawn(traces),
            metrics: tokio::spawn(metrics),
        })
    }

    /// Ends. If `workers_stay` the region is another supervisor's from here on; else tpp stops, and what there is is sent within a
    /// bounded time.
    pub(crate) async fn end(self, workers_stay: bool) {
        self.metrics.abort();
        if workers_stay {
            self.traces.abort();
            return;
        }
        self.end.send_replace(true);
        // What has not been taken by then is lost with the process.
        let _ = timeout(LAST, self.traces).await;
    }
}

/// Sends, counts what came of it, and says when that changes.
#[derive(Debug)]
struct Teller {
    stock: Arc<Stock>,
    collector: Arc<Collector>,
    /// Whether the last export of each signal failed.
    failing: [std::sync::atomic::AtomicBool; 2],
}

impl Teller {
    fn new(stock: Arc<Stock>, collector: Arc<Collector>) -> Arc<Self> {
        Arc::new(Self {
            stock,
            collector,
            failing: Default::default(),
        })
    }

    /// Sends `message` once. Returns how many of its parts the collector turned down.
    async fn send(&self, signal: Signal, message: &[u8]) -> Result<u64, Failure> {
        let sent = self.collector.send(signal, message).await;
        let counters = self.stock.region().supervisors();
        let failing = &self.failing[signal as usize];
        // Relaxed: one thread; the atomic makes it shareable.
        let has_failed = failing.swap(sent.is_err(), std::sync::atomic::Ordering::Relaxed);
        match &sent {
            Ok(_) => {
                counters.exports_taken.add(1);
                if has_failed {
                    info!(signal = signal.word(), "the collector takes exports again");
                }
            }
            Err(error) => {
                counters.exports_failed.add(1);
                if !has_failed {
                    warn!(signal = signal.word(), %error, "the collector does not take an export");
                }
            }
        }
        sent
    }
}

/// Sends all that is counted, every so often. What a collector misses stands in the next one, for all is counted from the begin.
async fn export_metrics(outlook: Arc<Outlook>, teller: Arc<Teller>, resource: words::Resource) {
    let mut last = Instant::now();
    loop {
        tokio::time::sleep(LOOK).await;
        let every = outlook
            .in_force
            .now()
            .config
            .telemetry
            .otlp_metrics_interval;
        if every.is_some_and(|every| last.elapsed() >= every) {
            last = Instant::now();
            let snapshot = outlook.glance();
            let began = snapshot.details.identity.started_at;
            let message = metrics::message(&families(&snapshot), began, resource.clone());
            // It is told and counted; the next one is as good.
            let _ = teller.send(Signal::Metrics, &message).await;
        }
    }
}

#[cfg(test)]
mod tests;
