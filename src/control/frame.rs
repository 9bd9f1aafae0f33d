//! Frames: a 4-byte big-endian length, then that many bytes of JSON.
//!
//! [`read`] and [`write()`] serve blocking streams. A peer on another kind of stream reads
//! [`HEADER_BYTES`], asks [`body_length`] how much follows, and hands that to [`decode`]; what
//! [`encode`] returns is the whole frame.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::PROTOCOL_VERSION;
use crate::config::MAX_SESSIONS;

/// Size of the length that opens a frame.
pub const HEADER_BYTES: usize = 4;

/// Longest body of any frame: the list of all slots, of as many as may be configured, with so much for each.
pub const MAX_FRAME_BYTES: usize = MAX_SESSIONS * 1152;

/// Longest body the supervisor takes: a request holds a user name at most.
pub const MAX_REQUEST_BYTES: usize = 64 << 10;

/// Why a frame could not be sent or was not taken.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Its body is longer than allowed.
    #[error("frame of {bytes} bytes, at most {bound} are allowed")]
    TooLong {
        /// Length of the body.
        bytes: usize,
        /// The bound it broke.
        bound: usize,
    },
    /// The stream ended before the frame's first byte.
    #[error("connection closed before a frame")]
    Closed,
    /// The stream ended within the frame.
    #[error("connection closed after {got} of {wanted} bytes")]
    Truncated {
        /// Bytes of the header or body that came.
        got: usize,
        /// Bytes it should have had.
        wanted: usize,
    },
    /// The sender speaks another version of the protocol.
    #[error("protocol version {theirs}, this program speaks {PROTOCOL_VERSION}")]
    Version {
        /// The sender's version.
        theirs: u32,
    },
    /// The body is not the message expected.
    #[error("malformed message")]
    Malformed(#[source] serde_json::Error),
    /// The stream failed.
    #[error("stream")]
    Io(#[source] io::Error),
}

/// The one field every version of every message has.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// The whole frame of `message`.
///
/// # Errors
/// [`FrameError::TooLong`] past [`MAX_FRAME_BYTES`], [`FrameError::Malformed`] if it has no JSON form.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    let mut frame = vec![0; HEADER_BYTES];
    serde_json::to_writer(&mut frame, message).map_err(FrameError::Malformed)?;
    let bytes = frame.len() - HEADER_BYTES;
    let too_long = FrameError::TooLong {
        bytes,
        bound: MAX_FRAME_BYTES,
    };
    if bytes > MAX_FRAME_BYTES {
        return Err(too_long);
    }
    let length = u32::try_from(bytes).map_err(|_| too_long)?;
    frame[..HEADER_BYTES].copy_from_slice(&length.to_be_bytes());
    Ok(frame)
}

/// How many bytes of body follow `header`.
///
/// # Errors
/// [`FrameError::TooLong`] past `bound`.
pub fn body_length(header: [u8; HEADER_BYTES], bound: usize) -> Result<usize, FrameError> {
    let bytes = usize::try_from(u32::from_be_bytes(header)).unwrap_or(usize::MAX);
    if bytes > bound {
        Err(FrameError::TooLong { bytes, bound })
    } else {
        Ok(bytes)
    }
}

/// The message in a frame's `body`, if its sender speaks our version.
///
/// # Errors
/// [`FrameError::Version`] of another version, whatever else the body holds; [`FrameError::Malformed`].
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, FrameError> {
    let Versioned { version } = serde_json::from_slice(body).map_err(FrameError::Malformed)?;
    if version != PROTOCOL_VERSION {
        return Err(FrameError::Version { theirs: version });
    }
    serde_json::from_slice(body).map_err(FrameError::Malformed)
}

/// Reads one frame whose body is no longer than `bound`.
///
/// # Errors
/// Any [`FrameError`].
pub fn read<T: DeserializeOwned>(stream: &mut impl Read, bound: usize) -> Result<T, FrameError> {
    let header = read_exactly(stream, HEADER_BYTES)?;
    let header = header
        .try_into()
        .expect("read_exactly returns as many bytes as asked");
    decode(&read_exactly(stream, body_length(header, bound)?)?)
}

/// Writes `message` as one frame.
///
/// # Errors
/// As [`encode`], and [`FrameError::Io`].
pub fn write<T: Serialize>(stream: &mut impl Write, message: &T) -> Result<(), FrameError> {
    stream
        .write_all(&encode(message)?)
        .and_then(|()| stream.flush())
        .map_err(FrameError::Io)
}

/// `wanted` bytes. The buffer grows with what comes: a length alone makes nobody allocate it.
fn read_exactly(stream: &mut impl Read, wanted: usize) -> Result<Vec<u8>, FrameError> {
    let mut bytes = Vec::new();
    stream
        .take(wanted as u64)
        .read_to_end(&mut bytes)
        .map_err(FrameError::Io)?;
    complete(bytes, wanted)
}

/// `bytes` if there are `wanted` of them, else the error that names what is missing. For streams that
/// [`read`] does not serve.
///
/// # Errors
/// [`FrameError::Closed`] if an empty `bytes` was to be a header, else [`FrameError::Truncated`].
pub fn complete(bytes: Vec<u8>, wanted: usize) -> Result<Vec<u8>, FrameError> {
    match bytes.len() {
        got if got == wanted => Ok(bytes),
        0 if wanted == HEADER_BYTES => Err(FrameError::Closed),
        got => Err(FrameError::Truncated { got, wanted }),
    }
}

#[cfg(test)]
mod tests;
