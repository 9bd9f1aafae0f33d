//! `[http2]`.

use super::section;
use crate::config::text::{choice::choice, key::Key};

section! {
    /// `[http2]`: how clients of HTTP/2 are served.
    #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    pub struct Http2 in "http2" {
        /// For what a token is lent.
        pub lease: Http2Lease = Key::choice("http2.lease", Http2Lease::WORDS);
        /// Most streams of a connection that are open at once.
        pub max_streams: u32 = Key::number("http2.max_streams", (1, 10_000), 100);
    }
}

choice! {
    /// For what a token is lent to a client of HTTP/2.
    pub enum Http2Lease {
        /// For each stream.
        Stream = "stream",
        /// For the connection, which has one stream at a time.
        Connection = "connection",
    }
}
