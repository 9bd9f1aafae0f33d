//! A writer and a reader of one ring of two records, in every order.

use loom::{sync::Arc, thread};

use super::{Record, SpanRing};

/// The numbers of what is taken; each record must be one that was written, whole.
fn taken(ring: &SpanRing) -> Vec<u64> {
    let whole = |record: Record| {
        let id = record.span().map_or(0, |span| span.id);
        assert_eq!(record, SpanRing::numbered(id), "a record of two halves");
        id
    };
    ring.take(2).into_iter().map(whole).collect()
}

#[test]
fn loom_a_reader_sees_whole_records_in_order_and_none_is_lost_unsaid() {
    loom::model(|| {
        let ring: Arc<SpanRing> = Arc::from_std(SpanRing::empty().into());
        let other = Arc::clone(&ring);
        // One more than there is room for, so that it writes over what was read, or drops it.
        let writer =
            thread::spawn(move || (1..=3).for_each(|id| other.push(&SpanRing::numbered(id))));
        let mut seen = taken(&ring);
        seen.extend(taken(&ring));
        writer.join().unwrap();
        seen.extend(taken(&ring));
        assert!(seen.is_sorted_by(|one, next| one < next), "{seen:?}");
        assert_eq!(seen.len() as u64 + ring.dropped(), 3, "{seen:?}");
    });
}
