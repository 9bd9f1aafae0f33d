//! Looks at tpp from outside while it is under load, and judges in the end.

use std::{collections::BTreeMap, fs};

use crate::{
    common::{processes::proc_text, proxy::Proxy},
    hinder::Hinderers,
    ledger::Ledger,
    load::Load,
    verdict::{Kind, Series},
};

/// One process's numbers over time.
#[derive(Debug)]
struct Process {
    name: String,
    pss: Series,
    rss: Series,
    descriptors: Series,
}

pub(crate) struct Watch<'a> {
    proxy: &'a Proxy,
    processes: BTreeMap<u32, Process>,
    answered_before: u64,
    looked_before: f64,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(proxy: &'a Proxy) -> Self {
        let processes = proxy.processes().into_iter();
        Self {
            proxy,
            processes: processes.map(|pid| (pid, Process::of(pid))).collect(),
            answered_before: 0,
            looked_before: 0.0,
        }
    }

    /// Takes the numbers of now and prints them on one line.
    pub(crate) fn look(&mut self, load: &Load<'_>) {
        let now = load.elapsed().as_secs_f64();
        let mut seen = String::new();
        for (pid, process) in &mut self.processes {
            process.look(*pid, now);
            seen += &format!(
                "  {} {:.1}/{:.1} MiB {} fd",
                process.name,
                process.pss.last() / 1024.0,
                process.rss.last() / 1024.0,
                process.descriptors.last()
            );
        }
        let answered = load.answered();
        let rate = (answered - self.answered_before) as f64 / (now - self.looked_before);
        (self.answered_before, self.looked_before) = (answered, now);
        let latencies = load.take_latencies();
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|share| percentile(&latencies, share));
        let pool = self.proxy.pool();
        let balance =
            self.metric("tpp_token_acquisitions_total") - self.metric("tpp_token_releases_total");
        println!(
            "{now:6.0} s {rate:7.0}/s  p50 {p50:.2} p99 {p99:.2} p99.9 {p999:.2} ms  {} errors  {} connections  \
             acquired-released {balance} of {} in use, {} waiting {seen}",
            load.errors(),
            load.connections(),
            pool.in_use,
            pool.waiting
        );
    }

    fn metric(&self, name: &str) -> f64 {
        self.proxy.metric(name).expect("a metric of tpp")
    }

    /// All that was wrong; prints how flat the numbers were.
    pub(crate) fn judge(
        &self,
        load: &Load<'_>,
        hinderers: &Hinderers<'_>,
        ledger: &Ledger,
    ) -> Vec<String> {
        let mut faults = ledger.faults();
        let connections = load.connections() + hinderers.requests();
        let acquired = self.metric("tpp_token_acquisitions_total");
        // Whoever held a token when tpp moved may have got another one.
        if acquired < connections as f64 {
            faults.push(format!("{acquired} leases of {connections} connections"));
        }
        let mut must_be = |what: &str, found: f64, expected: f64| {
            println!("{what}: {found}, expected {expected}");
            if found != expected {
                faults.push(format!("{what}: {found}, not {expected}"));
            }
        };
        must_be(
            "requests counted",
            self.metric("tpp_requests_total"),
            (load.answered() + hinderers.requests()) as f64,
        );
        must_be(
            "requests with an error of tpp's own",
            self.metric("tpp_requests_errors_total"),
            0.0,
        );
        must_be(
            "leases given back",
            self.metric("tpp_token_releases_total"),
            acquired,
        );
        must_be(
            "workers that ended",
            self.metric("tpp_worker_restarts_total"),
            0.0,
        );
        must_be(
            "processes",
            self.proxy.processes().len() as f64,
            self.processes.len() as f64,
        );
        println!("logins: {}", ledger.logins());
        for process in self.processes.values() {
            for (what, series) in process.all() {
                let (text, is_flat) = series.verdict();
                println!("{} {what}: {text}", process.name);
                if !is_flat {
                    faults.push(format!("{} {what} grows: {text}", process.name));
                }
            }
        }
        faults
    }
}

impl Process {
    fn of(pid: u32) -> Self {
        let name = proc_text(pid, "comm").unwrap_or_default();
        Self {
            name: format!("{}[{pid}]", name.trim()),
            pss: Series::new(Kind::Kibibytes),
            rss: Series::new(Kind::Kibibytes),
            descriptors: Series::new(Kind::Descriptors),
        }
    }

    fn look(&mut self, pid: u32, now: f64) {
        let rollup = proc_text(pid, "smaps_rollup").unwrap_or_default();
        let size = |name: &str| {
            let line = rollup.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
            number.unwrap_or_default()
        };
        self.pss.add(now, size("Pss:"));
        self.rss.add(now, size("Rss:"));
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        self.descriptors.add(now, descriptors as f64);
    }

    fn all(&self) -> [(&'static str, &Series); 3] {
        [
            ("proportional memory", &self.pss),
            ("resident memory", &self.rss),
            ("descriptors", &self.descriptors),
        ]
    }
}

/// Milliseconds; `latencies` are microseconds in rising order.
fn percentile(latencies: &[u32], share: f64) -> f64 {
    let at = (latencies.len() as f64 * share) as usize;
    let found = latencies.get(at).or(latencies.last());
    found.map_or(0.0, |micros| f64::from(*micros) / 1000.0)
}
