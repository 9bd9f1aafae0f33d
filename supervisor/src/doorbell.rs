//! The supervisor's bell, passed on to whoever in the supervisor has to look when a worker rings.

use anyhow::Context;
use tokio::{net::unix::pipe, sync::watch};
use tpp::{bells::BellBoard, lending::Stock};
use tracing::error;

/// Announces each ring to all receivers of `rings`, as long as the supervisor lives.
///
/// # Errors
/// If the bell cannot be waited for.
pub(crate) fn answer(
    stock: &Stock,
    rings: watch::Sender<()>,
) -> anyhow::Result<impl Future<Output = ()> + Send + use<>> {
    let bell = stock
        .bells()
        .supervisor()
        .try_clone_to_owned()
        .context("duplicate the bell")?;
    // An eventfd is read as a pipe is, and this is the runtime's way to wait for one without unsafe code.
    let bell = pipe::Receiver::from_owned_fd_unchecked(bell).context("wait for the bell")?;
    Ok(async move {
        loop {
            match bell.readable().await {
                Ok(()) => {
                    // Read first: a ring during the look is a new one. "Would block" tells the runtime to wait again.
                    while bell.try_read(&mut [0; BellBoard::RING_BYTES]).is_ok() {}
                    rings.send_replace(());
                }
                // Only the runtime's end does that.
                Err(error) => return error!(%error, "the workers' rings are not heard any more"),
            }
        }
    })
}
