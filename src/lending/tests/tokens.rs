//! Tokens under leases: new, spent, out of use.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use super::*;

#[test]
fn a_refresh_changes_the_token_under_a_lease_and_never_the_slot() {
    let fixture = Fixture::new(1, 1);
    let lease = fixture.desks[0].try_lease().unwrap();
    let mut token = Vec::new();
    let (version, origin) = lease.read_token(&mut token);
    assert_eq!(
        (&token[..], origin),
        (&b"first token of slot 0"[..], ORIGIN)
    );
    let mut refreshed = lease.refreshed(version);
    let mut look = |cx: &mut Context<'_>| pin!(&mut refreshed).poll(cx);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(fixture.stock.is_suspect(lease.slot()));
    assert_eq!(look(&mut cx), Poll::Pending);
    fixture.install(0, "second");
    assert_eq!(look(&mut cx), Poll::Ready(true));
    assert!(!fixture.stock.is_suspect(lease.slot()));
    assert!(lease.read_token(&mut token).0 > version);
    assert_eq!(token, b"second token of slot 0");
}

#[test]
fn a_failed_login_ends_the_wait_for_a_new_token() {
    let fixture = Fixture::new(1, 1);
    let lease = fixture.desks[0].try_lease().unwrap();
    let mut refreshed = lease.refreshed(lease.token_version());
    fixture.stock.login_failed(lease.slot());
    let outcome = pin!(&mut refreshed).poll(&mut Context::from_waker(Waker::noop()));
    assert_eq!(outcome, Poll::Ready(false));
}

#[test]
fn a_slot_out_of_use_is_lent_to_nobody_else() {
    let fixture = Fixture::new(1, 1);
    let lease = fixture.desks[0].try_lease().unwrap();
    fixture.stock.take_out_of_use(lease.slot());
    let census = fixture.stock.pool().census();
    assert_eq!((census.usable, census.retiring), (0, 1));
    assert!(!fixture.stock.wipe(lease.slot()), "somebody holds it");
    let mut waiting = fixture.desks[0].join();
    let slot = lease.slot();
    drop(lease);
    assert!(poll(&mut waiting).is_none());
    assert!(fixture.stock.wipe(slot));
    fixture.install(0, "new");
    fixture.answer_all_bells();
    assert!(poll(&mut waiting).is_some());
}

#[test]
fn a_spent_token_is_lent_to_nobody_until_there_is_a_new_one() {
    let fixture = Fixture::new(1, 2);
    let slot = SlotIndex::new(0);
    let (one, two) = (&fixture.desks[0], &fixture.desks[1]);
    let mut lease = one.try_lease().unwrap();
    lease.mark_spent(lease.token_version());
    assert!(!fixture.stock.is_spent(slot), "not as long as it is held");
    drop(lease);
    assert!(fixture.stock.is_spent(slot) && two.try_lease().is_none());
    fixture.stock.sweep();
    assert!(two.try_lease().is_none(), "a sweep changes nothing");
    fixture.stock.install(slot, b"new", ORIGIN).unwrap();
    assert!(!fixture.stock.is_spent(slot));
    // One that was replaced while it was held is spent no more, nor is one that was found sound.
    for replace in [true, false] {
        let mut lease = two.try_lease().unwrap();
        lease.mark_spent(lease.token_version());
        if replace {
            fixture.stock.install(slot, b"newer", ORIGIN).unwrap();
        } else {
            lease.mark_sound();
        }
        drop(lease);
        assert!(!fixture.stock.is_spent(slot));
    }
    // Who dies has said it all the same.
    let mut lease = one.try_lease().unwrap();
    lease.mark_spent(lease.token_version());
    fixture.stock.reclaim(one.seat());
    assert!(fixture.stock.is_spent(slot) && two.try_lease().is_none());
    drop(lease);
    assert!(fixture.stock.is_spent(slot));
}

#[test]
fn an_offer_whose_token_became_unusable_is_not_taken_up() {
    let fixture = Fixture::new(2, 2);
    let held: Vec<_> = (0..2)
        .map(|_| fixture.desks[0].try_lease().unwrap())
        .collect();
    let mut waiting = fixture.desks[1].join();
    let (mut first, rest) = (None, held);
    let mut rest = rest.into_iter();
    first.replace(rest.next().unwrap());
    let slot = first.as_ref().unwrap().slot();
    drop(first);
    fixture.stock.take_out_of_use(slot);
    fixture.desks[1].answer_bell();
    assert!(
        poll(&mut waiting).is_none(),
        "the offer was void, the place is kept"
    );
    fixture.assert_counts(1, 0, 1);
    drop(rest);
    fixture.desks[1].answer_bell();
    assert!(poll(&mut waiting).is_some());
}

#[test]
fn a_reader_never_sees_half_a_token() {
    let fixture = Fixture::new(1, 1);
    let lease = fixture.desks[0].try_lease().unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..if cfg!(miri) { 50 } else { 20_000_usize } {
                let letter = b'a' + (round % 26) as u8;
                let token = vec![letter; 1 + round % 200];
                // Of its own origin, too: neither is ever seen with the other's.
                let origin = Origin::new(u64::from(letter));
                fixture
                    .stock
                    .install(SlotIndex::new(0), &token, origin)
                    .unwrap();
            }
            done.store(true, Ordering::Release);
        });
        let (mut token, mut last) = (Vec::new(), 0);
        while !done.load(Ordering::Acquire) {
            let (version, origin) = lease.read_token(&mut token);
            assert!(version >= last);
            last = version;
            let whole = token.iter().all(|&byte| u64::from(byte) == origin.get());
            assert!(
                whole || token.starts_with(b"first"),
                "{:?}",
                String::from_utf8_lossy(&token)
            );
        }
    });
}
