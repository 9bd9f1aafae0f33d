//! `X-Request-Id`: kept if the client's own is sane, else made.

use std::{
    hash::{BuildHasher as _, RandomState},
    process,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::hex;

/// Longest id of a client's that is kept.
const LONGEST: usize = 128;
/// Of one that is made: 32 hex digits.
const MADE: usize = 32;
/// The line of an answer or a request: name, id, line end.
const OPENING: &[u8] = b"X-Request-Id: ";
const END: &[u8] = b"\r\n";
const LINE: usize = OPENING.len() + LONGEST + END.len();

/// A worker's source of ids. No two requests get the same, in whichever worker: the first half is drawn once for each process, the
/// second counts.
#[derive(Debug)]
pub(crate) struct Ids {
    /// As digits, for they stand in each id.
    process: [u8; MADE / 2],
    // Relaxed: one thread counts; the atomic only makes it shareable.
    next: AtomicU64,
}

impl Ids {
    pub(crate) fn new() -> Self {
        Self {
            // Its keys are the system's own random bytes.
            process: hex::of_number(RandomState::new().hash_one(process::id())),
            next: AtomicU64::new(1),
        }
    }
}

/// The id of the request in hand, as the line that tells it.
pub(crate) struct RequestId {
    line: [u8; LINE],
    length: usize,
    /// It is the client's own, and passes where it stands.
    is_kept: bool,
}

impl RequestId {
    /// None yet.
    pub(crate) fn new() -> Self {
        let mut line = [0; LINE];
        line[..OPENING.len()].copy_from_slice(OPENING);
        Self {
            line,
            length: 0,
            is_kept: false,
        }
    }

    /// The client's id, which it said once and soundly, or a new one.
    pub(crate) fn choose<'v>(&mut self, mut said: impl Iterator<Item = &'v [u8]>, ids: &Ids) {
        match (said.next(), said.next()) {
            (Some(own), None) if is_sane(own) => {
                self.is_kept = true;
                self.set(own);
            }
            _ => self.make(ids),
        }
    }

    /// A new one.
    pub(crate) fn make(&mut self, ids: &Ids) {
        self.is_kept = false;
        let number = ids.next.load(Relaxed);
        ids.next.store(number.wrapping_add(1), Relaxed);
        let mut digits = [0; MADE];
        let (process, count) = digits.split_at_mut(MADE / 2);
        process.copy_from_slice(&ids.process);
        count.copy_from_slice(&hex::of_number(number));
        self.set(&digits);
    }

    fn set(&mut self, id: &[u8]) {
        let end = OPENING.len() + id.len();
        self.line[OPENING.len()..end].copy_from_slice(id);
        self.line[end..end + END.len()].copy_from_slice(END);
        self.length = end + END.len();
    }

    /// The whole line; empty: there is no id yet.
    pub(crate) fn line(&self) -> &[u8] {
        &self.line[..self.length]
    }

    /// The id alone.
    pub(crate) fn id(&self) -> &[u8] {
        let end = self.length.saturating_sub(END.len());
        self.line.get(OPENING.len()..end).unwrap_or_default()
    }

    /// Whether the client's own field tells it.
    pub(crate) fn is_kept(&self) -> bool {
        self.is_kept
    }
}

/// Whether it may stand in other people's logs as it is.
fn is_sane(id: &[u8]) -> bool {
    let may_stand = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~:/+=@".contains(byte);
    (1..=LONGEST).contains(&id.len()) && id.iter().all(may_stand)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn chosen(said: &[&[u8]], ids: &Ids) -> RequestId {
        let mut id = RequestId::new();
        assert!(id.line().is_empty() && id.id().is_empty());
        id.choose(said.iter().copied(), ids);
        id
    }

    #[test]
    fn a_sane_id_is_kept_and_anything_else_replaced() {
        let ids = Ids::new();
        let longest = [b'x'; LONGEST];
        for own in [
            &b"x"[..],
            b"0b5b1c4e-3b5c-4d36-8a5e-000000000000",
            b"Root=1-67891233-abcdef012345678912345678",
            &longest,
        ] {
            let id = chosen(&[own], &ids);
            assert!(id.is_kept());
            assert_eq!(id.id(), own);
            assert_eq!(id.line(), [OPENING, own, END].concat());
        }
        let too_long = [b'x'; LONGEST + 1];
        let refused: [&[&[u8]]; 8] = [
            &[],
            &[b""],
            &[b"a b"],
            &[b"a\"b"],
            &[b"a\xff"],
            &[b"a,b"],
            &[&too_long],
            &[b"one", b"two"],
        ];
        for said in refused {
            let id = chosen(said, &ids);
            assert!(!id.is_kept(), "{said:?}");
            assert_eq!(id.id().len(), MADE);
            assert!(id.id().iter().all(u8::is_ascii_hexdigit));
        }
    }

    #[test]
    fn no_two_workers_make_the_same() {
        let workers = [Ids::new(), Ids::new()];
        let made = workers
            .iter()
            .flat_map(|ids| (0..100).map(|_| chosen(&[], ids).id().to_vec()));
        assert_eq!(made.collect::<HashSet<_>>().len(), 200);
    }
}
