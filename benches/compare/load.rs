//! The loads of the comparison: as much as goes (wrk, h2load), and a fixed rate (a generator of our own).

mod paced;
mod secure;
mod wrk;

use std::{
    collections::VecDeque,
    net::{SocketAddr, TcpStream},
    path::Path,
    time::Duration,
};

pub(crate) use wrk::{host, run as run_wrk};

use crate::{
    Result,
    http::{self, Answer},
    stats::percentile,
};

/// What a load asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Load {
    /// Each connection sends its next request as soon as it has its answer.
    Saturating,
    /// So many requests a second over all connections, evenly spaced.
    Paced(f64),
    /// As `Saturating`, each request on a connection of its own.
    Anew,
    /// As `Saturating`, each request for another of so many hosts ([`host`]).
    Hosts(usize),
    /// As `Saturating`, over TLS.
    Secure,
    /// Over TLS and HTTP/2, so many streams at once on each connection.
    Streams(usize),
    /// A handshake for each request, from its beginning or going on with a session.
    Handshakes { resumed: bool },
}

/// How a load ended. Every answer was a 200.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    pub(crate) requests: u64,
    pub(crate) elapsed: Duration,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

impl Load {
    /// Puts this load on `target` for `duration`.
    ///
    /// # Errors
    /// An answer other than 200, or a broken connection.
    pub(crate) fn run(
        self,
        target: SocketAddr,
        connections: usize,
        duration: Duration,
        dir: &Path,
    ) -> Result<Outcome> {
        match self {
            Self::Saturating => run_wrk(target, connections, duration, "", dir),
            Self::Secure => secure::run_wrk(target, connections, duration, dir),
            Self::Streams(streams) => {
                secure::run_streams(target, connections, streams, duration, dir)
            }
            Self::Handshakes { resumed } => {
                secure::run_handshakes(target, connections, duration, resumed, dir)
            }
            Self::Paced(rate) => paced::run(target, connections, duration, rate),
            Self::Anew => run_wrk(target, connections, duration, wrk::CLOSING, dir),
            Self::Hosts(count) => {
                run_wrk(target, connections, duration, &wrk::requests_to(count), dir)
            }
        }
    }
}

/// `None`: there was no answer.
fn outcome(mut latencies: Vec<Duration>, elapsed: Duration) -> Option<Outcome> {
    latencies.sort_unstable();
    Some(Outcome {
        requests: latencies.len() as u64,
        elapsed,
        p50: percentile(&latencies, 0.50)?,
        p99: percentile(&latencies, 0.99)?,
    })
}

/// Opens connections that each have had one answer already, so that a proxy's work per connection is done.
pub(crate) fn open(
    target: SocketAddr,
    connections: usize,
    request: &[u8],
) -> Result<VecDeque<(TcpStream, Answer)>> {
    let mut opened = VecDeque::with_capacity(connections);
    for _ in 0..connections {
        let stream = TcpStream::connect(target)?;
        stream.set_nodelay(true)?;
        let mut answer = Answer::default();
        http::exchange(&stream, request, &mut answer)?;
        opened.push_back((stream, answer));
    }
    Ok(opened)
}
