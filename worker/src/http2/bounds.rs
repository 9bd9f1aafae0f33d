//! What a peer may cost: streams, what they may leave unread, heads, and resets.
//!
//! The `h2` crate has bounds of its own besides, which are left as they are: streams that were reset and not yet looked at (20),
//! resets that a peer's errors led to (1,024 in all; MadeYouReset), CONTINUATION frames by the size of the head, empty and tiny DATA frames. Past
//! one of them the connection ends with ENHANCE_YOUR_CALM. Streams that were looked at, and then reset, `resets` bounds.

use h2::{client, server};

use crate::message::headers::{FIELD_LIMIT, HEAD_LIMIT};

/// What a stream may have sent that nobody has read: as much as is read ahead of an HTTP/1.1 client.
const STREAM_WINDOW: u32 = 65_535;
/// What a client's head may be. A larger one the `h2` crate answers with a bare 431; below it the gateway does, as it answers any head that
/// is too large: with words, in the form that its client reads. Each field counts 32 bytes more here (RFC 9113, 6.5.2).
const CLIENTS_HEAD: usize = 2 * (HEAD_LIMIT + 32 * FIELD_LIMIT);
/// What may wait to be sent on one stream.
const SEND_BUFFER: usize = 64 * 1024;

/// What an upstream may do: it opens no streams by itself.
pub(crate) fn of_upstreams() -> client::Builder {
    let mut bounds = client::Builder::new();
    bounds
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        // So that an answer that nobody reads does not hold up the others.
        .initial_connection_window_size(i32::MAX as u32)
        .max_header_list_size(u32::try_from(HEAD_LIMIT).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BUFFER);
    bounds
}

/// What a client may do, that has so many streams at once.
pub(crate) fn of_clients(streams: u32) -> server::Builder {
    let mut bounds = server::Builder::new();
    bounds
        .max_concurrent_streams(streams)
        .initial_window_size(STREAM_WINDOW)
        // All streams may be full: those that wait for a token must not keep those from being read that hold one.
        .initial_connection_window_size(STREAM_WINDOW.saturating_mul(streams).min(i32::MAX as u32))
        .max_header_list_size(u32::try_from(CLIENTS_HEAD).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BUFFER);
    bounds
}
