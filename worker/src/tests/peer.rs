//! A client or an upstream, played byte by byte.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::play::soon;

/// One end of a connection, in the test's hands.
pub(super) struct Peer {
    stream: TcpStream,
    inbox: Vec<u8>,
}

impl Peer {
    pub(super) fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            inbox: Vec::new(),
        }
    }

    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        soon("send", self.stream.write_all(bytes.as_ref()))
            .await
            .unwrap();
    }

    /// Sends and ends this side before anybody else can run: the thread does not yield in between.
    pub(super) fn send_and_end(self, bytes: &str) {
        let sent = self.stream.try_write(bytes.as_bytes()).unwrap();
        assert_eq!(sent, bytes.len());
        drop(self.stream);
    }

    /// A message head, with its empty line.
    pub(super) async fn head(&mut self) -> String {
        self.through("\r\n\r\n").await
    }

    /// All up to and with `mark`.
    pub(super) async fn through(&mut self, mark: &str) -> String {
        loop {
            if let Some(at) = memchr::memmem::find(&self.inbox, mark.as_bytes()) {
                return self.take(at + mark.len());
            }
            assert!(
                self.more().await,
                "ended before {mark:?}: {}",
                self.inbox.escape_ascii()
            );
        }
    }

    pub(super) async fn exactly(&mut self, length: usize) -> String {
        while self.inbox.len() < length {
            assert!(
                self.more().await,
                "ended after {} of {length} bytes",
                self.inbox.len()
            );
        }
        self.take(length)
    }

    /// All to the end, whether it comes in order or not.
    pub(super) async fn rest(&mut self) -> String {
        while self.more().await {}
        self.take(self.inbox.len())
    }

    fn take(&mut self, length: usize) -> String {
        String::from_utf8(self.inbox.drain(..length).collect()).unwrap()
    }

    async fn more(&mut self) -> bool {
        soon("read", self.stream.read_buf(&mut self.inbox))
            .await
            .is_ok_and(|length| length > 0)
    }

    /// Whether the other side has ended, once it says something or ends.
    pub(super) async fn is_at_end(&mut self) -> bool {
        self.inbox.is_empty()
            && (self.stream.read_buf(&mut self.inbox).await).map_or(true, |length| length == 0)
    }

    /// [`Self::rest`] of one that is needed no more.
    pub(super) async fn into_rest(mut self) -> String {
        self.rest().await
    }

    /// Reads to the end; whether that is a reset.
    pub(super) async fn ends_by_a_reset(&mut self) -> bool {
        loop {
            match soon("read", self.stream.read_buf(&mut self.inbox)).await {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
            }
        }
    }

    /// Ends this side, in order.
    pub(super) async fn finish(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Breaks the connection off.
    pub(super) fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }
}
