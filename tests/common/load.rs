//! Many clients at once.

use std::{
    panic::resume_unwind,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    thread,
};

/// Hundreds of client threads must fit on a small machine.
const STACK: usize = 512 << 10;

/// Runs `each` on `count` threads at once and returns what they returned, in order. A panic of one is passed on
/// when all have ended.
pub(crate) fn all_at_once<T: Send>(count: usize, each: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let each = &each;
    thread::scope(|scope| {
        let start = |number| {
            let builder = thread::Builder::new().stack_size(STACK);
            builder
                .spawn_scoped(scope, move || each(number))
                .expect("a thread for a client")
        };
        let threads: Vec<_> = (0..count).map(start).collect();
        let results: Vec<_> = threads
            .into_iter()
            .map(thread::ScopedJoinHandle::join)
            .collect();
        results
            .into_iter()
            .map(|result| result.unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    })
}

/// Runs `clients` threads of `work`, over and over, while `meanwhile` runs once; then lets each finish its round.
/// Returns what `meanwhile` returned and how many rounds were done.
pub(crate) fn while_clients_work<T>(
    clients: usize,
    work: impl Fn(usize) + Sync,
    meanwhile: impl FnOnce() -> T,
) -> (T, usize) {
    let over = AtomicBool::new(false);
    let (over, work) = (&over, &work);
    thread::scope(|scope| {
        let rounds = move |number| {
            let mut done = 0;
            while !over.load(SeqCst) {
                work(number);
                done += 1;
            }
            done
        };
        let start = |number| {
            let builder = thread::Builder::new().stack_size(STACK);
            builder
                .spawn_scoped(scope, move || rounds(number))
                .expect("a thread for a client")
        };
        let threads: Vec<_> = (0..clients).map(start).collect();
        // The clients must stop even if `meanwhile` panics, or the scope would wait for them for ever.
        let stop = StopAtDrop(over);
        let result = meanwhile();
        drop(stop);
        let join = |thread: thread::ScopedJoinHandle<'_, usize>| {
            thread.join().unwrap_or_else(|panic| resume_unwind(panic))
        };
        (result, threads.into_iter().map(join).sum())
    })
}

struct StopAtDrop<'a>(&'a AtomicBool);

impl Drop for StopAtDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}
