//! A stand-in for DolphinDB: its REST login and execute, small and honest enough to try tpp on.
//!
//! `POST /api/login` and `POST /api/execute` answer in the documented shapes, tokens in base64 lines included.
//! `GET /stats` tells what was seen. The stand-in watches that no token is used by two requests at a time,
//! which is what tpp promises, and counts each time it was. It is not a database, and it is for loopback:
//! it speaks no TLS.
//!
//! `tpp dev` has it inside, and `tpp-standin` is the same as a program of its own. [`WebStandIn`] is a web server without tokens,
//! for `tpp dev` too.
#![forbid(unsafe_code)]

mod api;
mod ledger;
mod script;
mod token;
mod web;

#[cfg(test)]
mod tests;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tpp::config::Secret;

pub use ledger::{Stats, UserStats};
pub use web::WebStandIn;

use ledger::Ledger;

/// How long requests in hand may take to end when the stand-in stops.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// What a stand-in is like.
#[derive(Debug, Clone)]
pub struct StandInOptions {
    /// Where it listens; port 0 for any.
    pub listen: SocketAddr,
    /// Its accounts: name and password.
    pub users: Vec<(String, Secret)>,
    /// How long a login takes.
    pub login_delay: Duration,
    /// How long a token is good for; `None`: for ever.
    pub token_ttl: Option<Duration>,
}

impl Default for StandInOptions {
    /// On loopback, without accounts, at once and for ever.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            users: Vec::new(),
            login_delay: Duration::ZERO,
            token_ttl: None,
        }
    }
}

/// A running stand-in. Dropping it stops it too, without waiting.
#[derive(Debug)]
pub struct StandIn {
    address: SocketAddr,
    ledger: Arc<Ledger>,
    stop: watch::Sender<bool>,
    server: JoinHandle<io::Result<()>>,
}

impl StandIn {
    /// Starts to listen, on the current tokio runtime.
    ///
    /// # Errors
    /// The system's, if the address cannot be had.
    pub async fn start(options: StandInOptions) -> io::Result<Self> {
        let listener = TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let ledger = Arc::new(Ledger::new(options.users, options.token_ttl));
        let (stop, mut stopped) = watch::channel(false);
        let service = api::Service {
            ledger: Arc::clone(&ledger),
            login_delay: options.login_delay,
            stopped: stopped.clone(),
        };
        let server =
            axum::serve(listener, api::router(service)).with_graceful_shutdown(async move {
                // An error means that the stand-in was dropped.
                let _ = stopped.wait_for(|stopped| *stopped).await;
            });
        let server = tokio::spawn(server.into_future());
        Ok(Self {
            address,
            ledger,
            stop,
            server,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// What it has seen so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.ledger.stats()
    }

    /// Gives `user` a password, and an account if there was none. Tokens drawn before stay good.
    pub fn set_password(&self, user: &str, password: Secret) {
        self.ledger.set_password(user, password);
    }

    /// Makes every token drawn so far void, as a restart of the server does.
    pub fn revoke_all(&self) {
        self.ledger.revoke_all();
    }

    /// Stops: sleeping scripts wake, requests in hand are answered, idle connections closed.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if tokio::time::timeout(STOP_PATIENCE, &mut self.server)
            .await
            .is_err()
        {
            self.server.abort();
        }
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        self.server.abort();
    }
}
