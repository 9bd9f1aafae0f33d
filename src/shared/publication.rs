//! Bytes that one process publishes and others read without ever waiting: tokens, settings, addresses.
//!
//! Two buffers and a version. The publisher writes the buffer that the current version does not name, then
//! raises the version; a publisher that dies half-way has changed nothing. A reader copies the current buffer and checks
//! that the version did not move under it. It has to copy again only if two publications fell into one
//! copy. (The scheme is a seqlock's with the write side moved out of the readers' way; the bytes are atomic
//! words, read Relaxed, because a racing plain read is undefined behaviour in Rust however it is discarded
//! afterwards: H. Boehm, "Can seqlocks get along with programming language memory models?", 2012.)

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::sync::{AtomicU64, fence};

const WORD: usize = size_of::<u64>();

/// A view of one published value.
#[derive(Debug, Clone, Copy)]
pub struct Publication<'a> {
    version: &'a AtomicU64,
    /// Two buffers, each a length word and the bytes.
    words: &'a [AtomicU64],
}

/// The value is longer than the place for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{length} bytes do not fit into {capacity}")]
pub struct TooLong {
    /// Length of the value, bytes.
    pub length: usize,
    /// Room for it, bytes.
    pub capacity: usize,
}

impl<'a> Publication<'a> {
    /// Words that a publication of up to `capacity` bytes takes.
    #[must_use]
    pub const fn words_for(capacity: usize) -> usize {
        2 * (1 + capacity.div_ceil(WORD))
    }

    /// Over a version word and [`Self::words_for`] words.
    #[must_use]
    pub fn new(version: &'a AtomicU64, words: &'a [AtomicU64]) -> Self {
        Self { version, words }
    }

    /// Longest value, bytes.
    #[must_use]
    pub fn capacity(self) -> usize {
        (self.words.len() / 2 - 1) * WORD
    }

    /// Counts publications; 0 means that nothing was published yet.
    #[must_use]
    pub fn version(self) -> u64 {
        // Acquire, pairs with Release in `publish`: who sees a version sees its bytes.
        self.version.load(Acquire)
    }

    fn buffer(self, version: u64) -> &'a [AtomicU64] {
        let half = self.words.len() / 2;
        if version & 1 == 0 {
            &self.words[..half]
        } else {
            &self.words[half..]
        }
    }

    /// Publishes `bytes` and returns their version. Only one process at a time may publish.
    ///
    /// # Errors
    /// If they are too long.
    pub fn publish(self, bytes: &[u8]) -> Result<u64, TooLong> {
        if bytes.len() > self.capacity() {
            return Err(TooLong {
                length: bytes.len(),
                capacity: self.capacity(),
            });
        }
        // Relaxed: we are the only writer.
        let version = self.version.load(Relaxed) + 1;
        // Release fence, pairs with the Acquire fence in `read`: whoever reads a word stored below is sure to
        // see, on its second look, the version stored before this fence, and discards what it copied.
        fence(Release);
        let buffer = self.buffer(version);
        buffer[0].store(bytes.len() as u64, Relaxed);
        for (word, chunk) in buffer[1..].iter().zip(bytes.chunks(WORD)) {
            let mut padded = [0; WORD];
            padded[..chunk.len()].copy_from_slice(chunk);
            word.store(u64::from_le_bytes(padded), Relaxed);
        }
        // Release, pairs with Acquire in `version`.
        self.version.store(version, Release);
        Ok(version)
    }

    /// Copies the current value over `into` and returns its version; 0 and nothing if there is none.
    pub fn read(self, into: &mut Vec<u8>) -> u64 {
        loop {
            into.clear();
            let version = self.version();
            if version == 0 {
                return 0;
            }
            let buffer = self.buffer(version);
            // The bound keeps a damaged length from reaching beyond the buffer.
            let length = (buffer[0].load(Relaxed) as usize).min(self.capacity());
            let words = &buffer[1..=length.div_ceil(WORD)];
            // Once: a vector that grows by and by leaves the parts of a secret behind that it had before.
            into.reserve(words.len() * WORD);
            for word in words {
                into.extend_from_slice(&word.load(Relaxed).to_le_bytes());
            }
            into.truncate(length);
            // Acquire fence, pairs with the Release fence in `publish`.
            fence(Acquire);
            // Relaxed: ordered by the fence. One publication since then wrote the other buffer; only from the
            // second on can ours have been touched, but the value would be stale, so read again at once.
            if self.version.load(Relaxed) == version {
                return version;
            }
        }
    }

    /// Overwrites both buffers with zeros; the version stays. For a secret that nobody will read again.
    pub fn wipe(self) {
        for word in self.words {
            // Relaxed: the caller made sure that nobody reads.
            word.store(0, Relaxed);
        }
    }
}
