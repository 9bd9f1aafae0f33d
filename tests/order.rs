//! First come, first served, over all workers.

use crate::common::{
    client::Client,
    load::each_at_once,
    message::Request,
    processes,
    proxy::Proxy,
    settings::Settings,
    upstream::{ConnId, Upstream},
    wait_until,
};
use nix::sys::signal::Signal;

/// A line behind one token whose holder still has it.
struct Line {
    upstream: Upstream,
    proxy: Proxy,
    holder: Client,
    waiting: Vec<Client>,
}

impl Line {
    /// `length` connections line up one after another, by turns in one worker and the other.
    fn of(length: usize) -> Self {
        let mut line = Self::behind("/holder", length, 0);
        line.holder.read_answer().ok();
        line
    }

    /// The same behind a holder that asks for `target`, where those who are idle for `contended_idle_ms` give way.
    fn behind(target: &str, length: usize, contended_idle_ms: u64) -> Self {
        let upstream = Upstream::start();
        let settings = Settings::in_front_of(&upstream).accounts(&upstream, 1);
        let settings = settings.set("lease.contended_idle_ms", contended_idle_ms);
        // The stops that make the turns must not look like hanging.
        let proxy = Proxy::start(&settings.set("workers.worker_timeout_seconds", 120));
        let mut holder = proxy.client(&upstream);
        holder.send(&Request::get(target));
        wait_until("it holds the token", || proxy.pool().in_use == 1);
        let workers: Vec<u32> = proxy
            .ready_workers()
            .iter()
            .map(|worker| worker.pid)
            .collect();
        let mut line = Self {
            upstream,
            proxy,
            holder,
            waiting: Vec::new(),
        };
        for place in 0..length {
            line.join(workers[place % 2]);
        }
        line
    }

    /// One more, in a worker other than `stopped`, which cannot accept while it stands still.
    fn join(&mut self, stopped: u32) {
        processes::stop(stopped);
        let mut client = self.proxy.client(&self.upstream);
        client.send(&Request::get("/turn"));
        let place = self.waiting.len() as u64 + 1;
        wait_until("one more waits", || self.proxy.pool().waiting == place);
        processes::send(stopped, Signal::SIGCONT);
        self.waiting.push(client);
    }

    /// Lets the holder go and everyone else as soon as served; returns in what order they were.
    fn serve(self) -> Vec<ConnId> {
        let Self {
            upstream,
            proxy,
            holder,
            waiting,
        } = self;
        drop(holder);
        each_at_once(waiting, |mut client| drop(client.read_answer().ok()));
        proxy.wait_until_all_is_back(1);
        upstream.assert_clean();
        upstream
            .seen()
            .iter()
            .filter(|seen| seen.target == "/turn")
            .map(|seen| seen.conn)
            .collect()
    }
}

#[test]
fn a_hundred_who_line_up_over_two_workers_are_served_in_that_order() {
    let line = Line::of(100);
    let waiting_in: Vec<u64> = line
        .proxy
        .workers()
        .iter()
        .map(|worker| worker.waiting)
        .collect();
    assert_eq!(waiting_in, [50, 50], "the line stands in both workers");
    let arrived: Vec<ConnId> = line.waiting.iter().map(Client::id).collect();
    assert_eq!(line.serve(), arrived);
}

#[test]
fn the_order_holds_when_every_other_one_leaves_the_line() {
    let mut line = Line::of(30);
    for (place, client) in std::mem::take(&mut line.waiting).into_iter().enumerate() {
        match place % 4 {
            1 => drop(client),
            2 => client.reset(),
            _ => line.waiting.push(client),
        }
    }
    let left = line.waiting.len() as u64;
    wait_until("the others are out of the line", || {
        line.proxy.pool().waiting == left
    });
    let arrived: Vec<ConnId> = line.waiting.iter().map(Client::id).collect();
    assert_eq!(line.serve(), arrived);
}

#[test]
fn the_order_holds_when_a_worker_dies_with_half_of_the_line() {
    let mut line = Line::of(20);
    // The holder's worker dies or not: either way the rest must be served.
    let doomed = line.proxy.ready_workers()[0].pid;
    processes::send(doomed, Signal::SIGKILL);
    let mut cut = Vec::new();
    for (place, client) in std::mem::take(&mut line.waiting).into_iter().enumerate() {
        // Places 0, 2, 4, … joined while the first worker stood still, so they wait in the second.
        if place % 2 == 0 {
            line.waiting.push(client)
        } else {
            cut.push(client)
        }
    }
    for client in &mut cut {
        assert_eq!(client.read_to_close(), b"");
    }
    line.proxy.wait_until_ready(2);
    let arrived: Vec<ConnId> = line.waiting.iter().map(Client::id).collect();
    assert_eq!(line.serve(), arrived);
}

#[test]
fn a_newcomer_does_not_overtake_when_a_token_falls_free() {
    let mut line = Line::of(3);
    let arrived: Vec<ConnId> = line.waiting.iter().map(Client::id).collect();
    let first = line.waiting.remove(0);
    let mut first = first;
    drop(std::mem::replace(
        &mut line.holder,
        line.proxy.client(&line.upstream),
    ));
    first.read_answer().ok();
    // The first of the line holds the token now; who comes now stands behind the other two.
    line.holder.send(&Request::get("/turn"));
    let newcomer = line.holder.id();
    wait_until("the newcomer waits", || line.proxy.pool().waiting == 3);
    let behind = std::mem::replace(&mut line.holder, first);
    line.waiting.push(behind);
    let expected = [arrived, vec![newcomer]].concat();
    assert_eq!(line.serve(), expected);
}

#[test]
fn a_crowd_that_keeps_its_connections_open_is_served_in_order_of_arrival() {
    let mut line = Line::behind("/gate/open", 10, 100);
    let arrived: Vec<ConnId> = line.waiting.iter().map(Client::id).collect();
    line.upstream.gates().open("open");
    line.holder.read_answer().ok();
    // Nobody closes: each in turn gives way to the next one, whichever worker has it.
    for client in &mut line.waiting {
        client.read_answer().ok();
    }
    let seen = line.upstream.seen();
    let seen = seen.iter().filter(|seen| seen.target == "/turn");
    assert_eq!(seen.map(|seen| seen.conn).collect::<Vec<_>>(), arrived);
    drop(line.holder);
    drop(line.waiting);
    line.proxy.wait_until_all_is_back(1);
    line.upstream.assert_clean();
}
