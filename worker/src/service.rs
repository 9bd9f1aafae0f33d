//! The Pingora service: it accepts on the inherited sockets and hands each connection to its task.

use std::{
    os::fd::{AsFd, IntoRawFd, OwnedFd},
    sync::Arc,
};

use anyhow::Context as _;
use async_trait::async_trait;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use parking_lot::Mutex;
use pingora_core::{
    apps::ServerApp,
    listeners::{L4BufferSettings, ListenerConfig, Listeners, TcpSocketOptions},
    protocols::Stream,
    server::{Fds, ShutdownWatch},
    services::{Service as _, listening::Service},
};
use tokio::{sync::watch, task::JoinHandle};

use crate::{connection, upstream::tcp_keepalive, worker::Worker};

/// What Pingora calls for each connection.
struct Lending(Arc<Worker>);

#[async_trait]
impl ServerApp for Lending {
    async fn process_new(self: &Arc<Self>, stream: Stream, _: &ShutdownWatch) -> Option<Stream> {
        connection::serve(&self.0, stream).await;
        None
    }

    async fn cleanup(&self) {}
}

/// The running service.
#[derive(Debug)]
pub(crate) struct Accepting {
    stop: watch::Sender<bool>,
    pub(crate) task: JoinHandle<()>,
}

impl Accepting {
    /// Accepts no more. Connections that wait in a backlog are left to the other workers.
    pub(crate) fn stop(&self) {
        // No receiver: it has ended already.
        let _ = self.stop.send(true);
    }
}

/// Begins to accept.
///
/// # Errors
/// If a descriptor is no socket of ours.
pub(crate) fn accept(
    worker: &Arc<Worker>,
    sockets: Vec<(String, OwnedFd)>,
) -> anyhow::Result<Accepting> {
    let mut listeners = Listeners::new();
    let mut fds = Fds::new();
    for (address, socket) in sockets {
        set_nonblocking(&socket).with_context(|| format!("prepare the socket of {address}"))?;
        let mut options = TcpSocketOptions::default();
        options.tcp_keepalive = Some(tcp_keepalive());
        listeners.add_listener(
            // Buffers are ours: one more below them would only copy.
            ListenerConfig::tcp(&address)
                .tcp_socket_options(options)
                .l4_buffer(L4BufferSettings::unbuffered()),
        );
        // Pingora finds the descriptor by the very same string, and owns it from here on.
        fds.add(address, socket.into_raw_fd());
    }
    let (stop, stopped) = watch::channel(false);
    let mut service =
        Service::with_listeners("tpp".to_owned(), listeners, Lending(Arc::clone(worker)));
    let task = tokio::spawn(async move {
        service
            .start_service(Some(Arc::new(Mutex::new(fds))), stopped, 1)
            .await;
    });
    Ok(Accepting { stop, task })
}

/// A blocking socket would stop the whole worker in its first accept.
fn set_nonblocking(socket: impl AsFd) -> nix::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(socket.as_fd(), FcntlArg::F_GETFL)?);
    fcntl(socket, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).map(drop)
}
