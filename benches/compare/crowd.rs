//! Many clients that each want one answer after another, on blocking sockets.

use std::{
    io,
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use crate::{
    Result,
    http::{self, Answer},
};

/// How a client treats its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Habit {
    /// One request, then it closes.
    Close,
    /// One request that says `Connection: close`, then it closes.
    SayClose,
    /// All requests on one connection.
    KeepAlive,
}

/// Clients at work, until [`Crowd::disperse`].
#[derive(Debug)]
pub(crate) struct Crowd {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    habit: Habit,
    stopping: AtomicBool,
    failures: AtomicU64,
    first_failure: Mutex<Option<String>>,
    /// Each client's open connection, for breaking off its wait at the end.
    connections: Vec<Mutex<Option<Arc<TcpStream>>>>,
}

impl Crowd {
    /// Sends `count` clients to `target`.
    pub(crate) fn gather(target: SocketAddr, count: usize, habit: Habit) -> Result<Self> {
        let shared = Arc::new(Shared {
            target,
            habit,
            stopping: AtomicBool::new(false),
            failures: AtomicU64::new(0),
            first_failure: Mutex::default(),
            connections: (0..count).map(|_| Mutex::default()).collect(),
        });
        let client = |index| {
            let shared = Arc::clone(&shared);
            thread::Builder::new()
                .stack_size(128 * 1024)
                .spawn(move || shared.run_client(index))
        };
        let clients = (0..count).map(client).collect::<io::Result<_>>()?;
        Ok(Self { shared, clients })
    }

    /// Sends all clients home, those in line too.
    ///
    /// # Errors
    /// A client did not get its answer before that.
    pub(crate) fn disperse(self) -> Result<()> {
        let Self { shared, clients } = self;
        shared.stopping.store(true, Ordering::SeqCst);
        for connection in &shared.connections {
            if let Some(stream) = lock(connection).as_ref() {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        for client in clients {
            client.join().map_err(|_| "a client panicked")?;
        }
        match lock(&shared.first_failure).take() {
            None => Ok(()),
            Some(first) => Err(format!(
                "{} requests failed, the first: {first}",
                shared.failures.load(Ordering::Relaxed)
            )
            .into()),
        }
    }
}

impl Shared {
    fn run_client(&self, index: usize) {
        let mut answer = Answer::default();
        while !self.stopping.load(Ordering::SeqCst) {
            let outcome = self.use_connection(&self.connections[index], &mut answer);
            *lock(&self.connections[index]) = None;
            if let Err(error) = outcome
                && !self.stopping.load(Ordering::SeqCst)
            {
                self.failures.fetch_add(1, Ordering::Relaxed);
                lock(&self.first_failure).get_or_insert(error.to_string());
            }
        }
    }

    /// Opens a connection, and uses it as the habit says.
    fn use_connection(
        &self,
        place: &Mutex<Option<Arc<TcpStream>>>,
        answer: &mut Answer,
    ) -> io::Result<()> {
        let stream = Arc::new(TcpStream::connect(self.target)?);
        stream.set_nodelay(true)?;
        *lock(place) = Some(Arc::clone(&stream));
        let request = http::request(
            "/",
            if self.habit == Habit::SayClose {
                "Connection: close\r\n"
            } else {
                ""
            },
        );
        while !self.stopping.load(Ordering::SeqCst) {
            http::exchange(&stream, &request, answer)?;
            if answer.status() != 200 {
                return Err(io::Error::other(format!("status {}", answer.status())));
            }
            if self.habit != Habit::KeepAlive {
                break;
            }
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
