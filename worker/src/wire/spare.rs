//! Buffers that nobody uses now: an idle connection owns none, so each request needs some, for a moment.
//!
//! A thread keeps a few and hands the last one out first: its memory is still in the processor's caches. What it does not keep goes
//! back to the allocator.

use std::cell::RefCell;

use bytes::{Buf as _, BytesMut};

/// A buffer smaller than this is not worth giving back while its connection is idle.
pub(super) const FIRST_CAPACITY: usize = 1024;
/// Buffers kept. A request has two at most while it moves, and none while it waits.
const KEPT: usize = 16;
/// A larger one is not kept.
const LARGEST: usize = 16 * 1024;

thread_local! {
    static SPARE: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// Makes sure that `buffer` has room for a message head, so that it does not grow by many small steps.
// Once, not in each place where it is called: its code is met cold.
#[inline(never)]
pub(super) fn provide(buffer: &mut BytesMut) {
    if buffer.capacity() == 0
        && let Some(spare) = SPARE.with_borrow_mut(Vec::pop)
    {
        *buffer = spare;
    } else {
        buffer.reserve(FIRST_CAPACITY);
    }
}

/// The first `length` bytes of `buffer` are used. What is used up is given back at once: who waits for its upstream has no buffer, so
/// that a few that are in the processor's caches serve all.
// Once, as [`provide`] is.
#[inline(never)]
pub(crate) fn consume(buffer: &mut BytesMut, length: usize) {
    if length == buffer.len() {
        buffer.clear();
        if buffer.capacity() <= LARGEST {
            take_back(buffer);
        }
    } else {
        buffer.advance(length);
    }
}

/// Takes the memory of an empty `buffer`.
#[inline(never)]
pub(super) fn take_back(buffer: &mut BytesMut) {
    if !buffer.is_empty() {
        return;
    }
    let mut buffer = std::mem::take(buffer);
    if buffer.capacity() != FIRST_CAPACITY {
        // What was used of it counts again: the bytes before its begin are nobody's. They are looked for only where the rest is too
        // little; false: the rest is all there is.
        let _ = buffer.try_reclaim(buffer.capacity() + 1);
    }
    if !(FIRST_CAPACITY..=LARGEST).contains(&buffer.capacity()) {
        return;
    }
    SPARE.with_borrow_mut(|spare| {
        if spare.len() < KEPT {
            spare.push(buffer);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spare() -> usize {
        SPARE.with_borrow(Vec::len)
    }

    #[test]
    fn a_buffer_goes_from_hand_to_hand_whole() {
        let mut first = BytesMut::new();
        provide(&mut first);
        first.extend_from_slice(&[1; FIRST_CAPACITY]);
        let place = first.as_ptr();
        // Used up from the front, as a wire does.
        bytes::Buf::advance(&mut first, FIRST_CAPACITY);
        take_back(&mut first);
        assert_eq!((first.capacity(), spare()), (0, 1));
        let mut second = BytesMut::new();
        provide(&mut second);
        assert_eq!((second.as_ptr(), second.len(), spare()), (place, 0, 0));
        assert!(second.capacity() >= FIRST_CAPACITY);
    }

    #[test]
    fn what_is_used_up_is_given_back_at_once_unless_it_is_large() {
        let mut buffer = BytesMut::new();
        provide(&mut buffer);
        buffer.extend_from_slice(b"ab");
        consume(&mut buffer, 1);
        assert_eq!((&buffer[..], spare()), (&b"b"[..], 0));
        consume(&mut buffer, 1);
        assert_eq!((buffer.capacity(), spare()), (0, 1));
        let mut large = BytesMut::zeroed(2 * LARGEST);
        consume(&mut large, 2 * LARGEST);
        assert_eq!(
            (large.len(), large.capacity(), spare()),
            (0, 2 * LARGEST, 1)
        );
    }

    #[test]
    fn a_large_buffer_that_is_nearly_used_up_is_not_kept() {
        let mut large = BytesMut::zeroed(2 * LARGEST);
        bytes::Buf::advance(&mut large, 2 * LARGEST - 2 * FIRST_CAPACITY);
        large.clear();
        assert!(large.capacity() <= LARGEST);
        take_back(&mut large);
        assert_eq!((large.capacity(), spare()), (0, 0));
    }

    #[test]
    fn bytes_in_it_keep_a_buffer_where_it_is() {
        let mut buffer = BytesMut::from(&b"unread"[..]);
        take_back(&mut buffer);
        assert_eq!((&buffer[..], spare()), (&b"unread"[..], 0));
        provide(&mut buffer);
        assert_eq!(&buffer[..], b"unread");
    }

    #[test]
    fn neither_large_nor_shared_nor_too_many_buffers_are_kept() {
        let mut large = BytesMut::with_capacity(LARGEST + 1);
        take_back(&mut large);
        let mut shared = BytesMut::from(&[0; FIRST_CAPACITY][..]);
        let other = shared.split_to(FIRST_CAPACITY);
        take_back(&mut shared);
        assert_eq!((spare(), other.len()), (0, FIRST_CAPACITY));
        for _ in 0..2 * KEPT {
            take_back(&mut BytesMut::with_capacity(FIRST_CAPACITY));
        }
        assert_eq!(spare(), KEPT);
    }
}
