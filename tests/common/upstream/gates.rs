//! Places where the upstream stands still until the test says go on, and counters of who is inside.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Condvar, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

/// Named gates, all shut at first. A gate once opened stays open.
#[derive(Debug, Default)]
pub(crate) struct Gates {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    open: HashSet<String>,
    all_open: bool,
    waiting: HashMap<String, usize>,
}

impl Gates {
    /// Waits until the gate `name` is open.
    pub(crate) fn pass(&self, name: &str) {
        let mut state = self.state.lock().expect("gates");
        *state.waiting.entry(name.to_owned()).or_default() += 1;
        let shut = |state: &mut State| !state.all_open && !state.open.contains(name);
        state = self.changed.wait_while(state, shut).expect("gates");
        *state.waiting.entry(name.to_owned()).or_default() -= 1;
    }

    pub(crate) fn open(&self, name: &str) {
        self.state
            .lock()
            .expect("gates")
            .open
            .insert(name.to_owned());
        self.changed.notify_all();
    }

    /// Opens every gate, those not thought of yet included: the end of a test.
    pub(crate) fn open_all(&self) {
        self.state.lock().expect("gates").all_open = true;
        self.changed.notify_all();
    }

    /// How many stand at the gate `name`.
    pub(crate) fn waiting_at(&self, name: &str) -> usize {
        self.state
            .lock()
            .expect("gates")
            .waiting
            .get(name)
            .copied()
            .unwrap_or_default()
    }
}

/// How many are inside, and how many were at most.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    now: AtomicUsize,
    most: AtomicUsize,
}

/// One that is inside, until dropped.
#[derive(Debug)]
pub(crate) struct Inside<'a>(&'a Gauge);

impl Gauge {
    pub(crate) fn enter(&self) -> Inside<'_> {
        let now = self.now.fetch_add(1, SeqCst) + 1;
        self.most.fetch_max(now, SeqCst);
        Inside(self)
    }

    pub(crate) fn now(&self) -> usize {
        self.now.load(SeqCst)
    }

    pub(crate) fn most(&self) -> usize {
        self.most.load(SeqCst)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, SeqCst);
    }
}
