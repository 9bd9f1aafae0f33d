//! What a running tpp says of itself, when asked.

use std::process::Command;

use serde::de::DeserializeOwned;
use tpp::control::{PoolStatus, Status, TokenStatus, WorkerStatus};

use super::{
    built::built,
    client::Client,
    command::{Outcome, run},
    message::{Answer, Request},
    proxy::Proxy,
    wait_until, within_patience,
};

impl Proxy {
    /// Runs `tppctl` on this tpp.
    pub(crate) fn ctl(&self, arguments: &[&str]) -> Outcome {
        let mut command = Command::new(built("tppctl"));
        run(command
            .arg("--socket")
            .arg(self.control_socket())
            .args(arguments))
    }

    fn ctl_json<T: DeserializeOwned>(&self, arguments: &[&str]) -> T {
        let outcome = self.ctl(arguments);
        let parsed = serde_json::from_str(&outcome.out);
        parsed.unwrap_or_else(|error| panic!("tppctl {arguments:?}: {error} in {outcome:?}"))
    }

    /// What `tppctl status` says.
    pub(crate) fn status(&self) -> Status {
        self.ctl_json(&["status", "--json"])
    }

    pub(crate) fn workers(&self) -> Vec<WorkerStatus> {
        self.ctl_json(&["workers", "--json"])
    }

    pub(crate) fn ready_workers(&self) -> Vec<WorkerStatus> {
        self.workers()
            .into_iter()
            .filter(|worker| worker.state == "ready")
            .collect()
    }

    pub(crate) fn tokens(&self) -> Vec<TokenStatus> {
        self.ctl_json(&["tokens", "--json"])
    }

    /// Asks the health endpoint.
    pub(crate) fn health(&self, path: &str) -> Answer {
        let request = Request::get(path).field("Connection", "close");
        let ask = || Client::try_connect(self.health_address())?.try_ask(&request);
        ask().unwrap_or_else(|error| panic!("{path} of the health endpoint: {error}"))
    }

    /// The pool's four numbers, as `/health` gives them.
    pub(crate) fn pool(&self) -> PoolStatus {
        let health = self.health("/health").json();
        serde_json::from_value(health["pool"].clone())
            .unwrap_or_else(|error| panic!("{error} in {health}"))
    }

    /// A metric's value; the name stands as in the text, labels included.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        value_of(name, &self.health("/metrics").ok().text())
    }

    /// Waits until nobody holds or awaits a token and each of the `slots` is free.
    #[track_caller]
    pub(crate) fn wait_until_all_is_back(&self, slots: u64) {
        let whole = PoolStatus {
            total: slots,
            in_use: 0,
            available: slots,
            waiting: 0,
        };
        let mut last = PoolStatus::default();
        let is_whole = within_patience(|| {
            last = self.pool();
            (last == whole).then_some(())
        });
        assert!(
            is_whole.is_some(),
            "not every token is back, or somebody waits: {last:?} in the place of {whole:?}, {:?}",
            self.tokens()
        );
    }

    /// Waits until `count` workers are ready.
    pub(crate) fn wait_until_ready(&self, count: usize) {
        wait_until("all workers are ready", || {
            self.ready_workers().len() == count
        });
    }
}

/// The value of a metric, by its name with labels, in the text of a scrape.
pub(crate) fn value_of(name: &str, text: &str) -> Option<f64> {
    text.lines().find_map(|line| {
        line.strip_prefix(name)?
            .strip_prefix(' ')?
            .trim()
            .parse()
            .ok()
    })
}
