//! The clients together: each does one thing after another, until all are told to pause.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Instant,
};

use crate::{
    browser::{Authority, Browser},
    common::{
        dice::Dice,
        journal::Journal,
        patience,
        upstream::{Oracle, Seen},
    },
    judge::{Complaint, Judge},
    line::{Line, Place},
    scene::Scene,
    stalled::{DRIP, Stalled},
};
use tokio_rustls::TlsConnector;

/// More than there are tokens, so that some stand in line most of the time.
pub(crate) const CLIENTS: usize = 24;
/// Most connections that are kept although their clients do nothing; more would take all tokens for most of the time.
const MOST_STALLED: usize = 4;

/// Something that a client does.
pub(crate) type Act = fn(&Crowd, &mut Dice);

/// What all clients share.
pub(crate) struct Crowd<'a> {
    pub(crate) address: SocketAddr,
    /// Where clients come over TLS, and with what.
    pub(crate) front: SocketAddr,
    pub(crate) tls: TlsConnector,
    pub(crate) oracle: Oracle,
    journal: &'a Journal,
    complaints: Mutex<Vec<Complaint>>,
    line: Mutex<Line>,
    stalled: Mutex<VecDeque<Stalled>>,
    connections: AtomicU64,
    served: AtomicU64,
    dice: Vec<Mutex<Dice>>,
    pause: Mutex<Pause>,
    changed: Condvar,
}

#[derive(Debug)]
struct Pause {
    asked: bool,
    /// What each client does, and since when; `None`: it pauses.
    acts: Vec<Option<(&'static str, Instant)>>,
}

/// While it lives all clients pause.
pub(crate) struct Paused<'a, 'b>(&'a Crowd<'b>);

// === impl Crowd ===

impl<'a> Crowd<'a> {
    pub(crate) fn new(seed: u64, scene: &Scene, journal: &'a Journal) -> Self {
        let dice = |number| Mutex::new(Dice::new(seed.wrapping_add(1000 + number)));
        Self {
            address: scene.proxy.address(),
            front: scene.front,
            tls: trusting(&scene.authority),
            oracle: scene.oracle().clone(),
            journal,
            complaints: Mutex::default(),
            line: Mutex::default(),
            stalled: Mutex::default(),
            connections: AtomicU64::default(),
            served: AtomicU64::default(),
            dice: (0..CLIENTS as u64).map(dice).collect(),
            pause: Mutex::new(Pause {
                asked: false,
                acts: vec![None; CLIENTS],
            }),
            changed: Condvar::new(),
        }
    }

    /// One act of one client; before it, a pause if one is asked for.
    pub(crate) fn act(&self, number: usize, kinds: &[(&'static str, Act)]) {
        let mut dice = self.dice[number].lock().expect("one thread a client");
        let (name, act) = dice.pick(kinds);
        self.rest_if_asked();
        self.set_act(number, Some((name, Instant::now())));
        act(self, &mut dice);
        self.set_act(number, None);
    }

    fn rest_if_asked(&self) {
        let pause = self.pause.lock().expect("short");
        let resumed = self.changed.wait_while(pause, |pause| pause.asked);
        drop(resumed.expect("short"));
    }

    fn set_act(&self, number: usize, act: Option<(&'static str, Instant)>) {
        self.pause.lock().expect("short").acts[number] = act;
        self.changed.notify_all();
    }

    /// Asks all clients to pause, and waits until they do: each must come to the end of what it does.
    /// `Err`: these do not.
    pub(crate) fn pause(&self) -> Result<Paused<'_, 'a>, Vec<String>> {
        let mut pause = self.pause.lock().expect("short");
        pause.asked = true;
        let paused = Paused(self);
        // A client whose connection is silent gives up by itself after one patience, and complains.
        let (pause, waited) = self
            .changed
            .wait_timeout_while(pause, 2 * patience(), |pause| {
                pause.acts.iter().any(Option::is_some)
            })
            .expect("short");
        if !waited.timed_out() {
            return Ok(paused);
        }
        let busy = pause.acts.iter().enumerate();
        let busy = busy.filter_map(|(number, act)| act.map(|(name, since)| (number, name, since)));
        let busy = busy.map(|(number, name, since)| {
            format!(
                "client {number} ({name}) is stuck for {:?}",
                since.elapsed()
            )
        });
        let busy = busy.collect();
        // Before `paused` goes, which takes the same lock.
        drop(pause);
        Err(busy)
    }

    pub(crate) fn complain(&self, complaint: Complaint) {
        self.journal.note(format!("a client: {complaint}"));
        self.complaints.lock().expect("short").push(complaint);
    }

    pub(crate) fn take_complaints(&self) -> Vec<Complaint> {
        std::mem::take(&mut *self.complaints.lock().expect("short"))
    }

    pub(crate) fn note_place(&self, place: Place) {
        self.line.lock().expect("short").note(place);
    }

    /// Who was served before somebody who had come long before; `seen` is what has reached the upstream.
    pub(crate) fn check_line(&self, seen: &[Seen], judge: &Judge) -> Vec<String> {
        self.line.lock().expect("short").check(seen, judge)
    }

    /// Keeps a connection whose client does nothing to end it. The one that was kept for longest leaves for it.
    pub(crate) fn keep(&self, stalled: Stalled) {
        let mut all = self.stalled.lock().expect("short");
        all.push_back(stalled);
        let oldest = (all.len() > MOST_STALLED).then(|| all.pop_front());
        drop(all);
        drop(oldest);
    }

    /// Runs `meanwhile` while the kept connections go on as they did, and then ends them.
    pub(crate) fn with_the_stalled<T>(&self, meanwhile: impl FnOnce() -> T) -> T {
        let mut stalled = std::mem::take(&mut *self.stalled.lock().expect("short"));
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Relaxed) {
                    stalled.iter_mut().for_each(Stalled::drip);
                    thread::sleep(DRIP);
                }
            });
            let _over = SetAtDrop(&over);
            meanwhile()
        })
    }

    pub(crate) fn note_connection(&self) {
        self.connections.fetch_add(1, Relaxed);
    }

    pub(crate) fn note_served(&self) {
        self.served.fetch_add(1, Relaxed);
    }

    /// Connections made, and requests answered with 200.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.connections.load(Relaxed), self.served.load(Relaxed))
    }
}

/// As clients here trust `authority`.
fn trusting(authority: &Authority) -> TlsConnector {
    let mut config = (*Browser::trusting(authority).config()).clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config).into()
}

/// Even if it panics.
struct SetAtDrop<'a>(&'a AtomicBool);

impl Drop for SetAtDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

impl Drop for Paused<'_, '_> {
    fn drop(&mut self) {
        self.0.pause.lock().expect("short").asked = false;
        self.0.changed.notify_all();
    }
}
